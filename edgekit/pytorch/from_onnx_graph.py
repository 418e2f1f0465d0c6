"""The graph that an ONNX model becomes: named modules called one after the other.

Each ONNX operator is translated by a rule, a function of its ``OnnxNode``, which emits one module
or more. Shapes are learnt by running the emitted modules on fake tensors, so what depends on
constants and shapes alone (``Shape`` to ``Gather`` to ``Concat``) is a constant at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from edgekit.pytorch.from_onnx_names import ModulePaths

_CONSTANTS = "constants"


class UnsupportedError(Exception):
    """A rule's word that this use of its operator cannot be translated; says why."""


@dataclass(frozen=True)
class Operand:
    """A tensor of the graph: its key, its shape and type as a fake, its value where it is known."""

    key: str
    fake: torch.Tensor
    constant: torch.Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.fake.shape)

    @property
    def rank(self) -> int:
        return self.fake.ndim

    @property
    def dtype(self) -> torch.dtype:
        return self.fake.dtype


@dataclass(frozen=True)
class Step:
    """A call of the module at ``path``; operands and results by their keys."""

    path: str
    operands: tuple[str, ...]
    results: tuple[str, ...]


class Operator(torch.nn.Module):
    """A function without weights, as a module: what it does then has a name."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


class Graph(torch.nn.Module):
    """Runs its steps in order; takes the inputs' tensors, returns a tuple of the outputs'."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.inputs: tuple[str, ...] = ()
        self.outputs: tuple[str, ...] = ()
        self.buffer_names: dict[str, str] = {}
        self.add_module(_CONSTANTS, torch.nn.Module())

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values = dict(zip(self.inputs, tensors, strict=True))
        held = self.get_submodule(_CONSTANTS)
        for key, name in self.buffer_names.items():
            values[key] = getattr(held, name)
        for step in self.steps:
            answer = self.get_submodule(step.path)(*(values[key] for key in step.operands))
            answers = answer if isinstance(answer, tuple | list) else (answer,)
            values.update(zip(step.results, answers, strict=True))
        return tuple(values[key] for key in self.outputs)


class GraphBuilder:
    """Fills a ``Graph``, one emitted module after the other."""

    def __init__(self) -> None:
        self.graph = Graph()
        self._fakes = FakeTensorMode(allow_non_fake_inputs=True)
        self._paths = ModulePaths(reserved=(_CONSTANTS,))
        self._keys = 0

    def input(self, shape: Sequence[int], dtype: torch.dtype) -> Operand:
        """A further input of the graph."""
        with self._fakes:
            operand = Operand(self._key(), torch.empty(tuple(shape), dtype=dtype))
        self.graph.inputs += (operand.key,)
        return operand

    def constant(self, value: torch.Tensor) -> Operand:
        """A tensor whose value is known; it becomes a buffer where a module reads it."""
        return Operand(self._key(), self._fakes.from_tensor(value), value)

    def emit(
        self, layer: Callable[..., Any], operands: Sequence[Operand], path: str
    ) -> tuple[Operand, ...]:
        """Call ``layer``, a module or a function, on ``operands``; at once where all are known."""
        known = [operand.constant for operand in operands if operand.constant is not None]
        with torch.no_grad():
            if len(known) == len(operands):
                answer = layer(*known)
                return tuple(self.constant(one) for one in _listed(answer))
            with self._fakes:
                answer = layer(*(operand.fake for operand in operands))
        results = tuple(Operand(self._key(), fake) for fake in _listed(answer))
        module = layer if isinstance(layer, torch.nn.Module) else Operator(layer)
        path = self._paths.take(path)
        self._add(path, module)
        for operand in operands:
            self._hold(operand)
        self.graph.steps.append(
            Step(path, tuple(each.key for each in operands), tuple(each.key for each in results))
        )
        return results

    def finish(self, outputs: Iterable[Operand]) -> Graph:
        """The graph, in eval mode, with these outputs."""
        outputs = tuple(outputs)
        for operand in outputs:
            self._hold(operand)
        self.graph.outputs = tuple(operand.key for operand in outputs)
        _drop_unread(self.graph)
        return self.graph.eval().requires_grad_(False)

    def _hold(self, operand: Operand) -> None:
        if operand.constant is None or operand.key in self.graph.buffer_names:
            return
        name = f"constant_{len(self.graph.buffer_names)}"
        self.graph.get_submodule(_CONSTANTS).register_buffer(name, operand.constant)
        self.graph.buffer_names[operand.key] = name

    def _add(self, path: str, module: torch.nn.Module) -> None:
        parent: torch.nn.Module = self.graph
        *containers, leaf = path.split(".")
        for name in containers:
            if name not in parent._modules:
                parent.add_module(name, torch.nn.Module())
            parent = parent.get_submodule(name)
        parent.add_module(leaf, module)

    def _key(self) -> str:
        self._keys += 1
        return f"t{self._keys}"


class OnnxNode:
    """One operator, as its rule sees it."""

    def __init__(
        self,
        builder: GraphBuilder,
        proto: Any,
        operands: tuple[Operand | None, ...],
        *,
        path: str,
    ) -> None:
        """``operands`` are ``None`` where an optional input is left out."""
        from onnx import helper

        self.type: str = proto.op_type
        self.outputs: tuple[str, ...] = tuple(proto.output)
        self.operands = operands
        self._builder = builder
        self._path = path
        self._attributes: Mapping[str, Any] = {
            each.name: _readable(helper.get_attribute_value(each)) for each in proto.attribute
        }

    def attribute(self, name: str, default: Any = None) -> Any:
        """Texts as ``str``, lists as ``list``, tensors as ``TensorProto``."""
        return self._attributes.get(name, default)

    def operand(self, index: int) -> Operand:
        """The operand at ``index``, which the operator cannot do without."""
        found = self.optional(index)
        if found is None:
            raise UnsupportedError(f"its input {index} is missing")
        return found

    def optional(self, index: int) -> Operand | None:
        return self.operands[index] if index < len(self.operands) else None

    def constant(self, index: int, what: str) -> torch.Tensor:
        """The value of an operand that only works here as a constant."""
        value = self.operand(index).constant
        if value is None:
            raise UnsupportedError(f"its {what} is computed from the model's inputs")
        return value

    def integers(self, index: int, what: str) -> list[int] | None:
        """As ``constant``, as integers; ``None`` where the operand is left out."""
        if self.optional(index) is None:
            return None
        return [int(value) for value in self.constant(index, what).flatten().tolist()]

    def known(self, value: torch.Tensor) -> Operand:
        """A result that is the same whatever the model is fed."""
        return self._builder.constant(value)

    def emit(self, layer: Callable[..., Any], *operands: Operand, part: str = "") -> Operand:
        """The one result of ``layer``; ``part`` names what is not the operator proper."""
        (result,) = self.emit_all(layer, *operands, part=part)
        return result

    def emit_all(
        self, layer: Callable[..., Any], *operands: Operand, part: str = ""
    ) -> tuple[Operand, ...]:
        path = f"{self._path}_{part}" if part else self._path
        return self._builder.emit(layer, operands, path)

    def only_first_output(self) -> None:
        """Refuse a node whose further outputs are read."""
        if any(self.outputs[1:]):
            raise UnsupportedError("its second output is used")


Rule = Callable[[OnnxNode], Operand | Sequence[Operand]]


def _drop_unread(graph: Graph) -> None:
    """Take out the steps and constants that no output depends on."""
    read = set(graph.outputs)
    kept: list[Step] = []
    for step in reversed(graph.steps):
        if read.intersection(step.results):
            read.update(step.operands)
            kept.append(step)
        else:
            parent, _, leaf = step.path.rpartition(".")
            delattr(graph.get_submodule(parent), leaf)
    graph.steps = kept[::-1]
    held = graph.get_submodule(_CONSTANTS)
    for key in [key for key in graph.buffer_names if key not in read]:
        delattr(held, graph.buffer_names.pop(key))


def _listed(answer: Any) -> tuple[torch.Tensor, ...]:
    return tuple(answer) if isinstance(answer, tuple | list) else (answer,)


def _readable(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value
