"""The MODEL argument and the choices about it, which ``init`` and ``quantize`` share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

NORMALIZATIONS = ("imagenet", "unit", "signed", "raw")
"""The names in ``starter_yaml.NORMALIZATIONS``, which is not imported to print a help page."""

NORMALIZE_HELP = (
    "How pixels become the model's input: imagenet ((x/255-mean)/std), unit (x/255), "
    "signed ((x-127.5)/127.5), raw (0..255)."
)


input_shape_option = click.option(
    "--input-shape",
    metavar="N,C,H,W",
    help="Shape of the input, where the file does not say (TorchScript, open sizes).",
)
layout_option = click.option(
    "--layout",
    type=click.Choice(["NCHW", "NHWC"]),
    help="Meaning of the input's axes. [default: by the position of 1 or 3 channels]",
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add MODEL and the options about it, --data to --signature; pass them on as ``choices``."""

    @click.argument("model", required=False, type=click.Path(path_type=Path))
    @click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="Representative data: an image folder, .npy, .npz or a manifest.",
    )
    @click.option(
        "--normalize",
        type=click.Choice(NORMALIZATIONS),
        help=NORMALIZE_HELP,
    )
    @input_shape_option
    @layout_option
    @click.option("--signature", metavar="NAME", help="Signature of a SavedModel.")
    @wraps(command)
    def wrapped(
        *args: Any,
        data: Path | None,
        normalize: str | None,
        input_shape: str | None,
        layout: str | None,
        signature: str | None,
        **rest: Any,
    ) -> Any:
        from edgekit.starter import Choices, parse_shape

        choices = Choices(
            data=data,
            normalize=normalize,
            input_shape=parse_shape(input_shape) if input_shape else None,
            layout=layout,
            signature=signature,
        )
        return command(*args, choices=choices, **rest)

    return wrapped


def asker() -> Callable[[], str] | None:
    """What asks for the normalisation, where there is a person to ask."""
    return _ask_normalization if sys.stdin is not None and sys.stdin.isatty() else None


def _ask_normalization() -> str:
    click.echo(NORMALIZE_HELP, err=True)
    answer: str = click.prompt(
        "normalisation in the training code", type=click.Choice(NORMALIZATIONS), err=True
    )
    return answer
