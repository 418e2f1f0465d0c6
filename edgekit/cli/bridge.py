"""``edgekit bridge``: the bridges, their isolated environments, and one conversion by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.options import input_shape_option, layout_option
from edgekit.errors import EdgekitError, UsageError

if TYPE_CHECKING:
    from edgekit.conversion import Converted

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON on stdout and nothing else.")
_QUIET = click.option("-q", "--quiet", is_flag=True, help="No progress, no notes.")
_ALL = click.option("--all", "everything", is_flag=True, help="Every isolated environment.")
_NAMES = click.argument("names", metavar="NAME...", nargs=-1)


@click.group()
def bridge() -> None:
    """Show, set up, remove and run the bridges between frameworks.

    Some bridges live in isolated environments: made on first use, or beforehand with setup. No
    bridge needs a network once its environment is there.

    \b
    edgekit bridge list
    edgekit bridge setup onnx-tf
    edgekit bridge run onnx_tf model.onnx --out model.tflite
    """


@bridge.command("list")
@_JSON
def list_command(as_json: bool) -> None:
    """List the bridges, and whether they are ready.

    \b
    edgekit bridge list
    edgekit bridge list --json
    """
    rows = _rows()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from edgekit.cli.bridge_tables import print_bridges
    from edgekit.cli.console import stdout_console

    console = stdout_console()
    print_bridges(console, rows)
    for command, names in _commands(rows).items():
        console.print(f"  {command}   for {', '.join(names)}", soft_wrap=True)


@bridge.command("setup")
@_NAMES
@_ALL
@_QUIET
def setup_command(names: tuple[str, ...], everything: bool, quiet: bool) -> None:
    """Make isolated environments, so that no run has to.

    One that is there is checked file by file, and made again if it is damaged.

    \b
    edgekit bridge setup onnx-tf
    edgekit bridge setup --all
    """
    from edgekit.cli.console import make_progress
    from edgekit.cli.interrupt import CheckedProgress
    from edgekit.environments.state import set_up
    from edgekit.report.units import size_text

    progress = CheckedProgress(make_progress(quiet))
    failed: list[EdgekitError] = []
    for name in _environments(names, everything, "setup"):
        try:
            done = set_up(name, progress)
        except EdgekitError as error:
            failed.append(error)
            continue
        how = f"set up in {done.seconds:.1f} s" if done.made else "ready"
        click.echo(f"{name}: {how}, {size_text(done.size_bytes)}")
    if failed:
        for other in failed[:-1]:
            progress.warn(str(other))
        raise failed[-1]


@bridge.command("remove")
@_NAMES
@_ALL
def remove_command(names: tuple[str, ...], everything: bool) -> None:
    """Remove isolated environments, those of earlier versions too. They can be made again.

    \b
    edgekit bridge remove onnx2tf
    edgekit bridge remove --all
    """
    from edgekit.environments.place import remove, shelf_in
    from edgekit.report.units import size_text

    for name in _environments(names, everything, "remove"):
        freed = remove(name, shelf_in(None))
        click.echo(f"{name}: {f'{size_text(freed)} freed' if freed else 'was not set up'}")


@bridge.command("run")
@click.argument("way", metavar="BRIDGE[,BRIDGE...]")
@click.argument("model", required=False, type=click.Path(path_type=Path), metavar="[MODEL.onnx]")
@click.option("-r", "--recipe", "recipe_name", help="Recipe whose model is converted.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one key; repeatable."
)
@input_shape_option
@layout_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--no-cache", is_flag=True, help="Convert anew.")
@_JSON
@_QUIET
def run_command(
    way: str,
    model: Path | None,
    recipe_name: str | None,
    overrides: tuple[str, ...],
    input_shape: str | None,
    layout: str | None,
    out: Path,
    force: bool,
    no_cache: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Convert one model by one bridge, or by several in turn, and verify every hop.

    A recipe's model is verified on its calibration samples, a bare MODEL.onnx on random numbers.
    EDGEKIT_BRIDGE_TIMEOUT_S sets the seconds that a tool in an isolated environment may take.

    \b
    edgekit bridge run onnx2tf model.onnx --out model.tflite
    edgekit bridge run onnx_torch open.onnx --input-shape 1,3,64,64 --out fixed.pt2
    edgekit bridge run torch_onnx,onnx_tf --recipe mobilenet_int8 --out mobilenet.tflite
    """
    from edgekit.cache import Cache
    from edgekit.cli.console import make_progress
    from edgekit.cli.interrupt import CheckedProgress
    from edgekit.conversion import check_out, convert_file, convert_recipe, parse_way

    if (model is None) == (recipe_name is None):
        raise UsageError(
            "give a MODEL.onnx or --recipe, one of the two",
            hint=f"e.g. edgekit bridge run {way} --recipe mobilenet_int8 --out {out}",
        )
    bridges = parse_way(way)
    check_out(out, bridges, force=force)
    progress, cache = CheckedProgress(make_progress(quiet)), Cache(enabled=not no_cache)
    if recipe_name is not None:
        from edgekit.recipe import load_recipe

        for option, value in (("--input-shape", input_shape), ("--layout", layout)):
            if value is not None:
                raise UsageError(
                    f"{option} describes a MODEL.onnx, and a recipe describes its own model",
                    hint="Leave it out, or change the recipe's model.inputs.",
                )
        recipe = load_recipe(recipe_name, overrides)
        done = convert_recipe(recipe, bridges, out, cache=cache, progress=progress)
    else:
        from edgekit.starter import parse_shape

        assert model is not None
        if overrides:
            raise UsageError("--set changes a recipe, and there is none", hint="Leave it out.")
        done = convert_file(
            model,
            bridges,
            out,
            input_shape=parse_shape(input_shape) if input_shape else None,
            layout=layout,
            cache=cache,
            progress=progress,
        )
    _show(done, as_json)


def _show(done: Converted, as_json: bool) -> None:
    import dataclasses

    if as_json:
        fields = {
            "file": str(done.file),
            "kind": done.kind.value,
            "size_bytes": done.size_bytes,
            "verified_on": done.samples,
            "hops": [dataclasses.asdict(hop) for hop in done.hops],
        }
        click.echo(json.dumps(fields, indent=2))
        return
    from edgekit.cli.bridge_tables import print_converted
    from edgekit.cli.console import stdout_console

    print_converted(stdout_console(), done)


def _environments(names: tuple[str, ...], everything: bool, verb: str) -> tuple[str, ...]:
    """The environments meant, by their own names or by those of their bridges."""
    from edgekit.bridges import BRIDGES
    from edgekit.environments import ENVIRONMENTS, find_environment

    if everything == bool(names):
        raise UsageError(
            "name isolated environments, or give --all",
            hint=f"edgekit bridge {verb} {next(iter(ENVIRONMENTS))}, or --all; "
            f"there are: {', '.join(ENVIRONMENTS)}",
        )
    if everything:
        return tuple(ENVIRONMENTS)
    found = []
    for name in names:
        entry = BRIDGES.get(name.lower().replace("-", "_"))
        if entry is not None and entry.environment is None:
            raise UsageError(
                f"{name} needs no isolated environment",
                hint=f"Isolated environments: {', '.join(ENVIRONMENTS)}.",
            )
        found.append(find_environment(name).name)
    return tuple(dict.fromkeys(found))


def _rows() -> list[dict[str, Any]]:
    from edgekit.bridges import BRIDGES
    from edgekit.bridges.route import FAMILIES
    from edgekit.environments.state import environment_facts

    facts = {fact.name: fact for fact in environment_facts()}
    rows = []
    for name, entry in BRIDGES.items():
        state, command = "ready", None
        fact = None if entry.environment is None else facts[entry.environment]
        if fact is not None and fact.state != "ready":
            state, command = fact.state, fact.set_up
        if missing := entry.missing:  # without these the environment is of no use
            state, command = f"needs {', '.join(missing)}", entry.install
        rows.append(
            {
                "name": name,
                "from": list(dict.fromkeys(FAMILIES[kind] for kind in entry.accepts)),
                "to": FAMILIES[entry.produces],
                "accepts": [kind.value for kind in entry.accepts],
                "produces": entry.produces.value,
                "environment": entry.environment,
                "state": state,
                "command": command,
                "summary": entry.summary,
            }
        )
    return rows


def _commands(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Command -> the bridges it makes ready."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["command"] is not None:
            found.setdefault(row["command"], []).append(row["name"])
    return found
