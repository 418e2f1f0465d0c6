"""``edgekit doctor``: renders the facts of ``edgekit.doctor``."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from edgekit.cli.console import NARROW_COLUMNS, make_progress, stdout_console
from edgekit.errors import MissingError

if TYPE_CHECKING:
    from rich.table import Table

    from edgekit.doctor import Diagnosis

_COLOURS = {"ok": "green", "missing": "red", "outside": "yellow"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
@click.option("--deep", is_flag=True, help="Also import and run each heavy package (a minute).")
def doctor(as_json: bool, deep: bool) -> None:
    """Show what is installed, and how to get what is missing.

    Exits 0 when a shipped recipe can run here, 4 when something for that is missing.
    """
    from edgekit.doctor import diagnose

    with make_progress(quiet=as_json).task("running each package") as _:
        diagnosis = diagnose(deep=deep)
    if as_json:
        facts = dataclasses.asdict(diagnosis)
        facts["obstacles"] = [dataclasses.asdict(obstacle) for obstacle in diagnosis.obstacles]
        click.echo(json.dumps(facts, indent=2))
    else:
        _show(diagnosis)
    if diagnosis.obstacles:
        raise MissingError(
            "shipped recipes cannot run here: "
            + ", ".join(obstacle.what for obstacle in diagnosis.obstacles),
            hint="\n".join(dict.fromkeys(obstacle.mend for obstacle in diagnosis.obstacles)),
        )


def _show(diagnosis: Diagnosis) -> None:
    console = stdout_console()
    console.print(
        f"edgekit {diagnosis.edgekit}, Python {diagnosis.python}, "
        f"{diagnosis.cores} cores, {diagnosis.platform}\n"
    )
    console.print(_package_table(diagnosis, console.width))
    for command, uses in _installs(diagnosis).items():
        console.print(f"  {command}   for {uses}", soft_wrap=True)
    console.print()
    console.print(_client_table(diagnosis))
    for client in diagnosis.clients:
        if client.path is None:
            console.print(f"  {client.install}", soft_wrap=True)
    if diagnosis.environments:
        console.print()
        console.print(_environment_table(diagnosis))
        for environment in diagnosis.environments:
            if environment.state != "ready":
                console.print(f"  {environment.set_up}", soft_wrap=True)
    cache = diagnosis.cache
    state = "" if cache.writable else ", cannot be written"
    console.print(f"\ncache: {cache.path}, {cache.size_bytes / 1e6:.1f} MB{state}", soft_wrap=True)
    for fact in diagnosis.deep:
        verdict = "runs" if fact.ran else f"does not run: {fact.why}"
        said = f"; {fact.said}" if fact.said else ""
        console.print(f"{fact.name} {verdict} ({fact.seconds:.1f} s){said}", soft_wrap=True)
    for note in diagnosis.notes:
        console.print(f"note: {note}", soft_wrap=True)
    if not diagnosis.obstacles:
        console.print("\nready: edgekit quantize --recipe mobilenet_int8")


def _installs(diagnosis: Diagnosis) -> dict[str, str]:
    """Command -> what it brings, for the packages that are not in order."""
    from edgekit.doctor import FEATURES

    found = [fact for fact in diagnosis.packages if fact.status != "ok"]
    return {fact.install: FEATURES.get(fact.extras[0], fact.extras[0]) for fact in found}


def _package_table(diagnosis: Diagnosis, width: int) -> Table:
    from rich.text import Text

    needed = diagnosis.main_packages
    narrow = width < NARROW_COLUMNS
    table = _table("package", "installed", "state", *(() if narrow else ("supported", "extras")))
    for fact in diagnosis.packages:
        # Something that no shipped recipe needs may well be absent: no alarm.
        colour = _COLOURS[fact.status] if fact.name in needed or fact.installed else "dim"
        table.add_row(
            fact.name,
            fact.installed or "-",
            Text(fact.status, style=colour),
            *(() if narrow else (fact.supported, ", ".join(fact.extras))),
        )
    return table


def _client_table(diagnosis: Diagnosis) -> Table:
    table = _table("program", "where", "for")
    for client in diagnosis.clients:
        table.add_row(client.name, client.path or "-", client.used_for)
    return table


def _environment_table(diagnosis: Diagnosis) -> Table:
    table = _table("isolated environment", "state", "size", "holds")
    for fact in diagnosis.environments:
        about = "about " if fact.state == "not set up" else ""
        state = fact.state if fact.why is None else f"{fact.state}, {fact.why}"
        table.add_row(fact.name, state, f"{about}{fact.size_bytes / 1e9:.1f} GB", fact.summary)
    return table


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
