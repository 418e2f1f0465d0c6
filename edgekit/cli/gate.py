"""``edgekit gate``: hold a finished model file against a recipe's limits."""

from __future__ import annotations

import json
from pathlib import Path

import click

EPILOG = """\b
Examples:
  edgekit gate model.tflite --recipe mobilenet_int8
  edgekit gate app/src/main/assets/model.tflite --recipe my_recipe.yaml --out gate --force
  edgekit gate model.tflite --recipe my_recipe.yaml --baseline release/report.json
  edgekit gate runs/mobilenet_int8/20260101T120000Z-1a2b3c4 --recipe mobilenet_int8

The recipe says which float model MODEL is held against, on which data, and
within which limits; how it would quantize is no matter here. Where MODEL
calls its inputs and outputs otherwise, they are matched by shape.

Exit code 0: every required check passed; 1: one failed, or MODEL cannot be
run; 2: wrong usage; 3: one could not be decided; 4: something is missing."""


@click.command(epilog=EPILOG)
@click.argument("model", metavar="MODEL|RUN_DIR", type=click.Path(path_type=Path))
@click.option(
    "-r", "--recipe", "recipe_name", required=True, help="Shipped recipe, or path of a recipe file."
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one key; repeatable."
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="RUN_DIR|REPORT",
    help="Run folder or report.json of the last release, which MODEL must not be worse than.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run folder. [default: runs/<recipe>/<UTC time>-<hash>]",
)
@click.option("--force", is_flag=True, help="Replace an existing run folder.")
@click.option("--no-cache", is_flag=True, help="Make the float graph and its answers anew.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the table.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no notes; warnings stay.")
def gate(
    model: Path,
    recipe_name: str,
    overrides: tuple[str, ...],
    baseline: Path | None,
    out: Path | None,
    force: bool,
    no_cache: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Judge a model file that is there already, whoever made it.

    MODEL is a .tflite or .onnx, or the folder of a run. It is measured beside
    the recipe's float model like one that edgekit quantize makes, and gets
    the same report, checks and exit code.
    """
    from edgekit.cache import Cache
    from edgekit.cli.console import make_progress, stdout_console
    from edgekit.cli.interrupt import CheckedProgress
    from edgekit.pipeline import judge_model
    from edgekit.recipe import load_recipe

    report = judge_model(
        model,
        load_recipe(recipe_name, overrides),
        baseline=baseline,
        out=out,
        force=force,
        cache=Cache(enabled=not no_cache),
        progress=CheckedProgress(make_progress(quiet)),
    )
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        from edgekit.report.terminal import print_report

        print_report(report, stdout_console())
    return report.exit_code
