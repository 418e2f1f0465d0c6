"""``edgekit quantize``: parse, run the pipeline, render its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import asker, model_options
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.recipe.schema import Recipe
    from edgekit.starter import Choices

EPILOG = """\b
Examples:
  edgekit quantize --recipe mobilenet_int8
  edgekit quantize --recipe my_recipe.yaml --set calibration.samples=200 --out build/run
  edgekit quantize model.pt2 --data photos/ --normalize imagenet

Exit code 0: every required check passed; 1: one failed; 3: one could not be decided."""


@click.command(epilog=EPILOG)
@click.option("-r", "--recipe", "recipe_name", help="Shipped recipe, or path of a recipe file.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one key; repeatable."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run folder. [default: runs/<recipe>/<UTC time>-<hash>]",
)
@click.option("--force", is_flag=True, help="Replace an existing run folder.")
@click.option("--no-cache", is_flag=True, help="Make the float graph and statistics anew.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the table.")
@click.option(
    "-q", "--quiet", is_flag=True, help="No progress, no notes; warnings and assumptions stay."
)
@model_options
def quantize(
    recipe_name: str | None,
    overrides: tuple[str, ...],
    out: Path | None,
    force: bool,
    no_cache: bool,
    as_json: bool,
    quiet: bool,
    model: Path | None,
    choices: Choices,
) -> int:
    """Quantize a model, measure what that cost and gained, and judge it.

    Give a recipe, or a MODEL file with --data and --normalize for a recipe made on the spot.
    """
    from edgekit.cache import Cache
    from edgekit.cli.console import make_progress, stdout_console
    from edgekit.cli.interrupt import CheckedProgress
    from edgekit.pipeline import quantize as run

    recipe = _recipe(recipe_name, model, choices, overrides)
    progress = CheckedProgress(make_progress(quiet))
    report = run(recipe, out=out, force=force, cache=Cache(enabled=not no_cache), progress=progress)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        from edgekit.report.terminal import print_report

        print_report(report, stdout_console())
    return report.exit_code


def _recipe(
    name: str | None, model: Path | None, choices: Choices, overrides: tuple[str, ...]
) -> Recipe:
    from edgekit.recipe import load_recipe

    if name is not None and model is not None:
        raise UsageError(
            "give either --recipe or a MODEL file, not both",
            hint=f"For a recipe of your own model: edgekit init {model}",
        )
    if name is not None:
        given = [option for option, value in vars(choices).items() if value is not None]
        if given:
            option = "--" + given[0].replace("_", "-")
            raise UsageError(
                f"{option} describes a MODEL file; a recipe says that itself",
                hint="Change a key of the recipe with --set, e.g. --set calibration.dataset=DIR",
            )
        return load_recipe(name, overrides)
    if model is None:
        raise UsageError(
            "nothing to quantize: give --recipe NAME or a MODEL file",
            hint="edgekit recipes list shows the shipped recipes.",
        )
    from edgekit.recipe import shipped_recipes
    from edgekit.starter import starter_recipe

    if not model.exists() and str(model) in shipped_recipes():
        raise UsageError(
            f"there is no model file {model}, but a recipe of that name",
            hint=f"edgekit quantize --recipe {model}",
        )
    started = starter_recipe(model, choices, overrides, ask=asker())
    for assumption in started.assumptions:
        click.echo(f"assumed: {assumption}", err=True)
    return started.recipe
