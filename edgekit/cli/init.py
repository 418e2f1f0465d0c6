"""``edgekit init``: write a first recipe for a model file."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import asker, model_options
from edgekit.errors import OutputError, UsageError

if TYPE_CHECKING:
    from edgekit.starter import Choices

EPILOG = """\b
Examples:
  edgekit init model.pt2 --data photos/ --normalize imagenet
  edgekit init saved_model/ --signature serve --data samples.npz
  edgekit init traced.ts --input-shape 1,3,224,224 --out traced_int8.yaml"""


@click.command(epilog=EPILOG)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Recipe file to write. [default: <model>_int8.yaml]",
)
@click.option("--force", is_flag=True, help="Replace an existing recipe file.")
@model_options
def init(out: Path | None, force: bool, model: Path | None, choices: Choices) -> int:
    """Look into MODEL and write a commented recipe for it.

    MODEL is a .pt2, TorchScript, .onnx, .keras, .h5 or float .tflite file, or a SavedModel folder.
    """
    from edgekit.starter import starter_recipe
    from edgekit.starter_yaml import recipe_name

    if model is None:
        raise UsageError("give the MODEL file to look into", hint="edgekit init model.pt2")
    file = out or Path(f"{recipe_name(model)}_int8.yaml")
    if file.exists() and not force:
        raise OutputError(f"{file} is there already", hint="Give --out FILE, or --force.")
    # Not resolved: where the folder is a link, a recipe's paths are read from the link too.
    folder = Path(os.path.abspath(file.parent))
    started = starter_recipe(model, choices, ask=asker(), folder=folder)
    _write(file, started.text)
    for assumption in started.assumptions:
        click.echo(f"assumed: {assumption}", err=True)
    click.echo(f"wrote {file}", err=True)
    click.echo(f"edgekit quantize --recipe {shlex.quote(str(file))}")
    return 0


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {file}: {error.strerror}", hint="Give another file with --out."
        ) from error
