"""What a delegate's rules ask about an operator."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.tflite.graph import Graph, Op, Tensor


@dataclass(frozen=True)
class Operator:
    """An operator in its graph. A rule asks, and answers why not, or ``None``."""

    graph: Graph
    op: Op

    @property
    def name(self) -> str:
        return self.op.name

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Those that are there: an optional one may be left out."""
        return tuple(self.graph.tensors[i] for i in self.op.inputs if i >= 0)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[i] for i in self.op.outputs)

    @property
    def runtime_inputs(self) -> tuple[Tensor, ...]:
        """Inputs that are no constants."""
        return tuple(tensor for tensor in self.inputs if not tensor.constant)

    def input(self, position: int) -> Tensor | None:
        """By its place in the schema; ``None`` where it is left out."""
        indices = self.op.inputs
        if position >= len(indices) or indices[position] < 0:
            return None
        return self.graph.tensors[indices[position]]

    def is_constant(self, position: int) -> bool:
        tensor = self.input(position)
        return tensor is not None and tensor.constant

    def option(self, name: str, default: float = 0) -> float:
        return self.op.options.get(name, default)

    @property
    def dtype(self) -> str:
        """Of the values it works on: its first activation, else its first output."""
        tensors = (*self.runtime_inputs, *self.outputs, *self.inputs)
        return tensors[0].dtype if tensors else ""
