"""``edgekit recipes``: what ships, what a recipe says once resolved, and whether it is valid."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from edgekit.errors import EXIT_USAGE, RecipeError
from edgekit.recipe.dump import recipe_to_dict, recipe_to_yaml
from edgekit.recipe.load import find_recipe, load_recipe, shipped_recipes
from edgekit.recipe.schema import ModelSpec, Recipe

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON on stdout and nothing else.")
_SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one key, e.g. quantize.seed=1. May be repeated.",
)


@click.group()
def recipes() -> None:
    """List, show and validate recipes.

    A recipe is a YAML file that says which model is quantized, how, and what it must reach. NAME
    is a shipped recipe; anything with a '/' or ending in .yaml is a file of your own.

    \b
    edgekit recipes list
    edgekit recipes show mobilenet_int8
    edgekit recipes validate my_model.yaml
    """


@recipes.command("list")
@_JSON
def list_command(as_json: bool) -> None:
    """List the recipes that ship with edgekit."""
    rows = [_summary(load_recipe(name)) for name in shipped_recipes()]
    if as_json:
        _print_json(rows)
    elif sys.stdout.isatty():
        _print_table(rows)
    else:
        _print_aligned(rows)


@recipes.command("show")
@click.argument("recipe", metavar="NAME")
@_SET
@click.option("--resolved", is_flag=True, help="Everything filled in: inherited keys and defaults.")
@_JSON
def show_command(recipe: str, overrides: tuple[str, ...], resolved: bool, as_json: bool) -> None:
    """Print a recipe: the file as it is written, or all that it means.

    --set and --json show the resolved recipe too; a resolved recipe is validated first.

    \b
    edgekit recipes show mobilenet_int8 > my_model.yaml
    edgekit recipes show mobilenet_int8 --resolved
    edgekit recipes show my_model.yaml --set calibration.samples=200
    """
    if as_json:
        _print_json(recipe_to_dict(load_recipe(recipe, overrides)))
    elif resolved or overrides:
        click.echo(recipe_to_yaml(load_recipe(recipe, overrides)), nl=False)
    else:
        click.echo(_as_written(find_recipe(recipe)), nl=False)


@recipes.command("validate")
@click.argument("names", metavar="NAME_OR_PATH...", nargs=-1, required=True)
@_SET
@_JSON
@click.pass_context
def validate_command(
    ctx: click.Context, names: tuple[str, ...], overrides: tuple[str, ...], as_json: bool
) -> None:
    """Check recipes and tell every problem at once. Exit code 2 if there is one.

    Nothing is fetched and no framework is loaded, so this takes no time.

    \b
    edgekit recipes validate my_model.yaml
    edgekit recipes validate recipes/*.yaml
    """
    found = {name: _problems(name, overrides) for name in names}
    if as_json:
        _print_json([{"recipe": name, **_outcome(found[name])} for name in found])
        ctx.exit(EXIT_USAGE if any(found.values()) else 0)
    for name, problems in found.items():
        if not problems:
            click.echo(f"ok  {name}")
    everything = tuple(problem for problems in found.values() for problem in problems)
    if everything:
        count = "1 problem" if len(everything) == 1 else f"{len(everything)} problems"
        bad = [name for name, problems in found.items() if problems]
        place = bad[0] if len(bad) == 1 else f"{len(bad)} of {len(found)} recipes"
        raise RecipeError(f"{count} in {place}", problems=everything)


def _problems(name: str, overrides: tuple[str, ...]) -> tuple[RecipeError, ...]:
    try:
        load_recipe(name, overrides)
    except RecipeError as error:
        return error.problems or (error,)
    return ()


def _outcome(problems: tuple[RecipeError, ...]) -> dict[str, Any]:
    return {
        "valid": not problems,
        "problems": [
            {
                "file": problem.where.file if problem.where else None,
                "line": problem.where.line if problem.where else None,
                "key": problem.where.key if problem.where else None,
                "message": problem.message,
                "hint": problem.hint,
            }
            for problem in problems
        ],
    }


def _as_written(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise RecipeError(f"{path} cannot be read: {cause}") from cause


def _summary(recipe: Recipe) -> dict[str, str]:
    return {
        "name": recipe.name,
        "method": recipe.quantize.method,
        "model": f"{recipe.model.framework} {_short(recipe.model)}",
        "summary": recipe.summary,
    }


def _short(model: ModelSpec) -> str:
    if model.factory is not None:
        return model.factory.rpartition(":")[2]
    return Path(model.file or "").name


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def _print_aligned(rows: list[dict[str, str]]) -> None:
    """Columns of spaces, two at least between them, the free text last."""
    widths = {key: max(len(row[key]) for row in rows) for key in rows[0]} if rows else {}
    for row in rows:
        click.echo("  ".join(row[key].ljust(width) for key, width in widths.items()).rstrip())


def _print_table(rows: list[dict[str, str]]) -> None:
    from rich.table import Table

    from edgekit.cli.console import stdout_console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in ("name", "method", "model", "summary"):
        table.add_column(key, no_wrap=key in ("name", "method"), overflow="fold")
    for row in rows:
        table.add_row(*(row[key] for key in ("name", "method", "model", "summary")))
    stdout_console().print(table)
