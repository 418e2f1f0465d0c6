"""A click program with as many verbs as edgekit and nothing else: the least ``--help`` can take."""

from __future__ import annotations

import click


@click.group(epilog="Exit codes: 0 passed, 1 failed.")
@click.version_option("1.0")
def cli() -> None:
    """A bare click program."""


@cli.command()
def quantize() -> None:
    """Quantize a model."""


@cli.command()
def init() -> None:
    """Write a recipe."""


@cli.command()
def recipes() -> None:
    """List recipes."""


@cli.command()
def doctor() -> None:
    """Show what is installed."""


if __name__ == "__main__":
    cli()
