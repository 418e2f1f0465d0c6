"""What an ExportedProgram or a TorchScript file says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec
from edgekit.sources.described_file import (
    Described,
    image_layout,
    input_spec,
    refuse_free_sizes,
    refuse_given,
)
from edgekit.types import ModelKind


def describe_torch(
    file: Path, input_shape: tuple[int, ...] | None, layout: str | None
) -> Described:
    """Load ``file`` and describe it; TorchScript needs ``input_shape``.

    Raises:
        SourceError: neither format, or a fact it does not hold and was not given.
    """
    from edgekit.sources.pytorch import file_kind, load_file

    kind = file_kind(file)
    model = load_file(file, kind)
    if kind is ModelKind.EXPORTED_PROGRAM:
        refuse_given(file, input_shape, None)
        ends = _program_inputs(model)
    elif input_shape is None:
        raise SourceError(
            f"{file} is TorchScript, which does not record the shape of its input",
            hint="Add --input-shape, e.g. --input-shape 1,3,224,224",
        )
    else:
        ends = [("image" if len(input_shape) == 4 else "input", input_shape, "float32")]
    inputs: list[InputSpec] = []
    guesses: list[str] = []
    for name, shape, dtype in ends:
        found, guess = image_layout(name, shape, layout)
        guesses += [guess] if guess else []
        inputs.append(input_spec(name, shape, dtype, found))
    shapes = _output_shapes(model, kind, ends)
    return Described(
        framework="pytorch",
        inputs=tuple(inputs),
        outputs=tuple(
            "output" if len(shapes) == 1 else f"output_{number}" for number in range(len(shapes))
        ),
        output_shapes=shapes,
        guesses=tuple(guesses),
    )


def _program_inputs(program: Any) -> list[tuple[str, tuple[int, ...], str]]:
    values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    ends = []
    for name in program.graph_signature.user_inputs:
        value: Any = values.get(name) if isinstance(name, str) else name
        if not hasattr(value, "shape"):
            raise SourceError(
                f"the program also takes {value!r}, which is no tensor",
                hint="Export a module that takes tensors only.",
            )
        free = tuple(axis for axis, size in enumerate(value.shape) if not isinstance(size, int))
        refuse_free_sizes(name, free)
        shape = (1, *value.shape[1:]) if free else tuple(value.shape)
        ends.append((name, tuple(map(int, shape)), str(value.dtype).removeprefix("torch.")))
    return ends


def _output_shapes(
    model: Any, kind: ModelKind, ends: list[tuple[str, tuple[int, ...], str]]
) -> tuple[tuple[int, ...], ...]:
    import torch

    examples = [torch.zeros(shape, dtype=getattr(torch, dtype)) for _, shape, dtype in ends]
    module = model.module() if kind is ModelKind.EXPORTED_PROGRAM else model
    try:
        with torch.inference_mode():
            outputs = module(*examples)
    except Exception as error:  # the user's own model
        first = str(error).strip().rsplit("\n", 1)[-1]
        raise SourceError(
            f"the model does not take an input of shape {[list(s) for _, s, _ in ends]}: {first}",
            hint="Check --input-shape.",
        ) from error
    if isinstance(outputs, dict):
        outputs = tuple(outputs.values())
    found = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    return tuple(tuple(output.shape) for output in found)
