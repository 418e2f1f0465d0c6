"""A PyTorch model as a graph: ``torch.export`` at the recipe's fixed shapes, errors made readable.

Imports torch; methods import it when they convert.
"""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.utils._pytree import tree_leaves

from edgekit.capture import captured_output
from edgekit.errors import ConversionError, SourceError
from edgekit.pytorch.pt2e_graph import module_path
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.cause import condensed_cause
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind

_DATA_DEPENDENT = "GuardOnDataDependentSymNode"
# In the stack trace of a node: file, line, source.
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in [^\n]*(?:\n(.*))?')


def export_source(source: SourceModel) -> torch.export.ExportedProgram:
    """``source``, a TORCH_MODULE or EXPORTED_PROGRAM, as a program at the shapes of its inputs.

    Dynamic axes of a program that was exported elsewhere are fixed. The source is not changed.

    Raises:
        SourceError: the model does not accept inputs of these shapes.
        ConversionError: it has no graph, or one with shapes that depend on values; cause, place in
            its code and a way out are told.
    """
    if source.kind is ModelKind.EXPORTED_PROGRAM:
        return export(source.value.module(check_guards=False), source.inputs)
    return export(source.value, source.inputs)


def export_at(source: SourceModel, inputs: tuple[InputSpec, ...]) -> torch.export.ExportedProgram:
    """As ``export_source``, at the shapes of ``inputs``."""
    return export_source(replace(source, inputs=inputs, loader=lambda: source.value))


def export(module: torch.nn.Module, inputs: tuple[InputSpec, ...]) -> torch.export.ExportedProgram:
    """``module``, in eval mode, as a program; see ``export_source``."""
    examples = example_inputs(inputs)
    _check_shapes(module, examples, inputs)
    with captured_output(), quiet_warnings(), torch.no_grad():
        try:
            program = torch.export.export(module, examples, strict=False)
        except Exception as error:  # torch.export lets out dozens of types, and the user's own
            raise _condensed(error) from error
    _refuse_unknown_shapes(program)
    return program


def example_inputs(inputs: tuple[InputSpec, ...]) -> tuple[torch.Tensor, ...]:
    """Zeros of the inputs' shapes and types, in their own layout."""
    return tuple(torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in inputs)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch's thread count is the process's; give it back as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """Torch's and torchao's deprecation notes are ours to read, not the user's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def load_torchao() -> None:
    """Import torchao, without what it prints of extensions that are not for this machine."""
    with captured_output(), quiet_warnings():
        import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401


def _check_shapes(
    module: Callable[..., Any], examples: tuple[torch.Tensor, ...], inputs: tuple[InputSpec, ...]
) -> None:
    """A model that does not run on these inputs is a wrong recipe, not a model without a graph."""
    with quiet_warnings(), torch.inference_mode():
        try:
            module(*examples)
        except Exception as error:  # the user's code may raise anything
            shown = ", ".join(f"{spec.name} {list(spec.shape)} {spec.dtype}" for spec in inputs)
            place = users_line(error)
            raise SourceError(
                f"the model fails on zeros of the recipe's inputs ({shown}): "
                f"{condensed_cause(f'{type(error).__name__}: {error}')}"
                + (f" (at {place})" if place else ""),
                hint="Correct model.inputs: names in call order, shape, dtype.",
            ) from error


def _refuse_unknown_shapes(program: torch.export.ExportedProgram) -> None:
    """torch.export lets shapes be that only values decide (``x[x > 0]``); no kernel is laid out for
    them, and their work cannot be counted."""
    for node in program.graph.nodes:
        if not any(map(_has_unknown_shape, tree_leaves(node.meta.get("val")))):
            continue
        frames = _FRAME.findall(node.meta.get("stack_trace") or "")
        own = [frame for frame in frames if _is_the_users(frame[0])]
        file, line, code = (own or frames or [("", "", "")])[-1]
        raise ConversionError(
            f"a shape inside the model depends on the values of its input: {node.target} in "
            f"{module_path(node) or 'the model itself'}"
            + (f" at {file}:{line} ({code.strip()})" if file else ""),
            hint="Keep the shape and mask instead: torch.where(mask, x, 0), or multiply by the "
            "mask; or quantize the parts before and behind that line apart.",
        )


def _has_unknown_shape(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and bool(free_unbacked_symbols(value))


def _condensed(error: Exception) -> ConversionError:
    place = users_line(error)
    where = f" at {place}" if place else ""
    kind, text = type(error).__name__, str(error)
    if kind == _DATA_DEPENDENT or "data-dependent" in text or "Data dependent" in text:
        return ConversionError(
            f"torch.export: the model's path depends on the values of its input{where}",
            hint="A graph has one path for all inputs: choose with torch.where or torch.cond, "
            "mark module-level flags as plain Python values, or quantize the parts apart.",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cause = condensed_cause(f"{kind}: {lines[0]}" if lines else kind)
    return ConversionError(
        f"torch.export could not follow the model{where}: {cause}",
        hint="Rewrite that line with tensor operations of fixed shapes, or give a program that "
        "torch.export already accepted as model.file. quantize.method: dynamic works without a "
        "graph.",
    )


def users_line(error: Exception) -> str | None:
    """``file.py:12 (source line)`` of the innermost frame that is the user's own code."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    for link in chain:
        for frame in reversed(traceback.extract_tb(link.__traceback__)):
            if _is_the_users(frame.filename):
                code = f" ({frame.line})" if frame.line else ""
                return f"{frame.filename}:{frame.lineno}{code}"
    return None


def _is_the_users(filename: str) -> bool:
    if filename.startswith("<"):
        return False
    path = Path(filename)
    ours = (
        Path(torch.__file__).parent,
        Path(__file__).parent.parent,
        Path(traceback.__file__).parent,
    )
    # What pip installed lies below the standard library's folder; a user's package may too.
    return not any(path.is_relative_to(folder) for folder in ours[:2]) and (
        "site-packages" in path.parts or not path.is_relative_to(ours[2])
    )
