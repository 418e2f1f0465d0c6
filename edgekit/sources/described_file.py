"""What is found out about a model file, and what every format asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec
from edgekit.sources.source import INPUT_DTYPES
from edgekit.tflite.metadata import ModelMetadata


@dataclass(frozen=True)
class Described:
    """``inputs`` carry the layout that the shape suggests; ``guesses`` says where it was one.
    ``signature`` is the one that was asked for, where the format has several; ``metadata`` what a
    .tflite file says of itself."""

    framework: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    guesses: tuple[str, ...]
    signature: str | None = None
    metadata: ModelMetadata | None = None


def refuse_given(file: Path, input_shape: tuple[int, ...] | None, layout: str | None) -> None:
    """Refuse options about what ``file`` records itself.

    Raises:
        SourceError: one is given.
    """
    for option, value in (("--input-shape", input_shape), ("--layout", layout)):
        if value is not None:
            raise SourceError(f"{file} records this itself", hint=f"Leave out {option}.")


def refuse_free_sizes(name: str, free_axes: tuple[int, ...]) -> None:
    """Of a file whose shapes cannot be chosen, only the batch may be free.

    Raises:
        SourceError: another axis of ``free_axes`` is.
    """
    if free_axes not in ((), (0,)):
        raise SourceError(
            f"input {name} has the dynamic axes {', '.join(map(str, free_axes))}",
            hint="Export the model again with fixed shapes; only the batch may be dynamic.",
        )


def nhwc(shape: tuple[int, ...]) -> str | None:
    """The layout of a format that is channels-last throughout."""
    return "NHWC" if len(shape) == 4 else None


def input_spec(name: str, shape: tuple[int, ...], dtype: str, layout: str | None) -> InputSpec:
    """One input for a recipe.

    Raises:
        SourceError: an element type that no recipe can feed.
    """
    if dtype not in INPUT_DTYPES:
        raise SourceError(
            f"input {name} is {dtype}; edgekit takes {', '.join(INPUT_DTYPES)}",
            hint="Convert the model with one of these input types.",
        )
    return InputSpec(
        name=name,
        shape=shape,
        dtype=cast(Literal["float32", "int32", "int64", "uint8"], dtype),
        layout=cast(Literal["NCHW", "NHWC", "any"], layout or "any"),
    )


def image_layout(
    name: str, shape: tuple[int, ...], given: str | None
) -> tuple[str | None, str | None]:
    """The layout of an input of a format that does not state it, and in words that it is a guess.

    Raises:
        SourceError: four axes, and neither their sizes nor ``given`` tell the channels'.
    """
    if len(shape) != 4:
        return None, None
    if given is not None:
        return given, None
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first == last:
        raise SourceError(
            f"the shape {list(shape)} of input {name} does not tell its channels' axis",
            hint="Say which it is: --layout NCHW or --layout NHWC",
        )
    found = "NCHW" if first else "NHWC"
    return found, f"input {name} {list(shape)} is {found}, by its channels"
