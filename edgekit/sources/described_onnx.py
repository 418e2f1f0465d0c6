"""What an ONNX file says about itself."""

from __future__ import annotations

from pathlib import Path

from edgekit.cache import Cache
from edgekit.errors import SourceError
from edgekit.onnx.dims import End, graph_inputs, graph_outputs
from edgekit.onnx.model_file import read_model
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec
from edgekit.sources.described_file import Described, image_layout, input_spec
from edgekit.sources.onnx import from_file, is_number, refuse_ends

_BY_HAND = "Write its open sizes into a recipe by hand, in model.inputs."


def describe_onnx(file: Path, input_shape: tuple[int, ...] | None, layout: str | None) -> Described:
    """Check ``file`` as a source, run it once, and describe it; ``input_shape`` fills the sizes it
    leaves open, and an open batch is one by itself. Outputs that hold no numbers are left out.

    Raises:
        SourceError: as ``sources.onnx``, or an open size that was not given.
    """
    model = read_model(file)
    ends = graph_inputs(model)
    refuse_ends(ends, "input", str(file))
    if input_shape is not None and len(ends) != 1:
        raise SourceError(
            f"{file} has {len(ends)} inputs, and --input-shape is about one",
            hint=_BY_HAND,
        )
    inputs: list[InputSpec] = []
    guesses: list[str] = []
    for end in ends:
        shape = _closed(end, input_shape, alone=len(ends) == 1)
        found, guess = image_layout(end.name, shape, layout)
        guesses += [guess] if guess else []
        inputs.append(input_spec(end.name, shape, end.dtype, found))
    outputs = []
    for end in graph_outputs(model):
        if is_number(end.dtype):
            outputs.append(end.name)
        else:
            guesses.append(f"output {end} is left out: it is no array of numbers")
    specs, names = tuple(inputs), tuple(outputs)
    source = from_file(file, str(file), specs, names, SilentProgress(), Cache())
    with source.open_session(1) as session:
        shapes = tuple(info.shape for info in session.info.outputs)
    return Described(
        framework="onnx",
        inputs=specs,
        outputs=names,
        output_shapes=shapes,
        guesses=tuple(guesses),
    )


def _closed(end: End, given: tuple[int, ...] | None, *, alone: bool) -> tuple[int, ...]:
    """The shape of ``end`` with its open sizes as ``given``; ``alone`` it has the option that gives
    them for itself."""
    if given is not None:
        fits = end.shape is None or (
            len(given) == len(end.shape)
            and all(
                not isinstance(own, int) or own == size
                for own, size in zip(end.shape, given, strict=True)
            )
        )
        if not fits:
            raise SourceError(
                f"input {end} does not fit --input-shape {','.join(map(str, given))}",
                hint="Only sizes that are no numbers are yours to choose.",
            )
        return given
    if end.shape is None or not all(isinstance(size, int) for size in end.shape[1:]):
        raise SourceError(
            f"input {end} leaves sizes open",
            hint=f"Give them, e.g. --input-shape {_example(end)}" if alone else _BY_HAND,
        )
    return tuple(size if isinstance(size, int) else 1 for size in end.shape)


def _example(end: End) -> str:
    """A shape that could be the one of ``end``: one sample, images of the usual size."""
    if end.shape is None:
        return "1,3,224,224"
    sizes = (
        size if isinstance(size, int) else 224 if axis else 1 for axis, size in enumerate(end.shape)
    )
    return ",".join(map(str, sizes))
