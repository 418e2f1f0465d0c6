"""What a TorchScript trace keeps as it was for one example, told apart by what it hangs on.

The tracer warns alike of a size and of a value that becomes a Python bool or number, for in a trace
both are tensors. In an eager call sizes are plain numbers, so a line that reads a tensor there too
reads a value: what the trace fixes at it is wrong for other inputs.

Imports torch.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from edgekit.errors import ConversionError

Place = tuple[str, int]
"""File and line."""

_TENSOR: Any = torch.Tensor
_NUMBERS = (_TENSOR.item, _TENSOR.__int__, _TENSOR.__float__, _TENSOR.__index__, _TENSOR.tolist)
_FROM_VALUES = "Converting a tensor to a Python"


@dataclass(frozen=True)
class Fixed:
    """Source lines, ``file.py:12 (code)``: ``values`` were read from tensors and came out alike for
    all examples, or belong to a check that the trace leaves out; ``sizes`` are all others."""

    values: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join((*self.values, *self.sizes))


class Reads(TorchFunctionMode):
    """Where the calls in its block turn tensors into Python bools and numbers. ``constants``, a
    module's own tensors, are the same for all inputs and do not count."""

    def __init__(self, constants: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self._constants = {id(tensor) for tensor in constants}
        self.branches: set[Place] = set()
        self.numbers: dict[Place, list[Any]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        reads = func is _TENSOR.__bool__ or func in _NUMBERS
        if reads and id(args[0]) not in self._constants:
            caller = sys._getframe(1)
            place = (caller.f_code.co_filename, caller.f_lineno)
            if func is _TENSOR.__bool__:
                self.branches.add(place)
            else:
                self.numbers.setdefault(place, []).append(result)
        return result


def own_tensors(module: torch.nn.Module) -> tuple[torch.Tensor, ...]:
    """Parameters and buffers."""
    return (*module.parameters(), *module.buffers())


def fixed_by_trace(name: str, said: Sequence[Any], reads: Sequence[Reads]) -> Fixed:
    """What the trace of the module called ``name`` fixed, from the warnings ``said`` by the tracer
    and what eager calls read, one of ``reads`` for each example. Torch's own lines are left out:
    they compare sizes.

    Raises:
        ConversionError: a path depends on the values of the input, or a number read from them
            differs between the examples; file and line are told.
    """
    values: list[str] = []
    sizes: list[str] = []
    places = {(warning.filename, warning.lineno): str(warning.message) for warning in said}
    for place, message in places.items():
        if Path(place[0]).is_relative_to(Path(torch.__file__).parent):
            continue
        from_values = message.startswith(_FROM_VALUES)
        branches = from_values and any(place in read.branches for read in reads)
        numbers = [read.numbers.get(place, []) for read in reads] if from_values else []
        if branches and not _only_checks(*place):
            raise _depends(name, "the path", place)
        if any(number != numbers[0] for number in numbers):
            raise _depends(name, "a number", place)
        (values if branches or any(numbers) else sizes).append(_shown(Path(place[0]).name, place))
    return Fixed(tuple(values), tuple(sizes))


def _depends(name: str, what: str, place: Place) -> ConversionError:
    return ConversionError(
        f"{what} of {name} depends on the values of its input at {_shown(place[0], place)}; "
        "TorchScript keeps what one sample gave",
        hint="Compute it with tensor operations (torch.where for a choice), or split the model "
        "there and quantize the parts.",
    )


def _only_checks(file: str, line: int) -> bool:
    """Whether the line is an assertion, or an ``if`` whose only way is to raise."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and _covers(node, line):
            return True
        if isinstance(node, ast.If) and _covers(node.test, line):
            return not node.orelse and isinstance(node.body[-1], ast.Raise)
    return False


def _covers(node: ast.stmt | ast.expr, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _shown(file: str, place: Place) -> str:
    code = linecache.getline(*place).strip()
    return f"{file}:{place[1]}" + (f" ({code})" if code else "")
