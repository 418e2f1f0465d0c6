"""``edgekit inspect``: what a model file really is."""

from __future__ import annotations

import json
from pathlib import Path

import click

EPILOG = """\b
Examples:
  edgekit inspect model.tflite
  edgekit inspect model.onnx --ops
  edgekit inspect model.pt2 --json > model.json

Nothing is run: which operators a delegate takes is predicted from the file.
There is no verdict: exit code 0 whatever is found, 2 if the file cannot be read."""


@click.command("inspect", epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--ops", "every_op", is_flag=True, help="Every operator, not just the kinds of them.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="Only the first line: what the file is.")
def inspect(file: Path, every_op: bool, as_json: bool, quiet: bool) -> None:
    """Show what a model FILE (.tflite, .onnx, .pt2) really is.

    Its types and scales, operators and where they run, islands of float among integers, the oldest
    runtime that has them all, and what it says about itself.
    """
    from edgekit.cli.console import stdout_console
    from edgekit.inspection import inspect as look_into

    found = look_into(file)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False))
        return
    from edgekit.report.inspection_terminal import first_line, print_inspection

    if quiet:
        click.echo(first_line(found))
    else:
        print_inspection(found, stdout_console(), every_op=every_op)
