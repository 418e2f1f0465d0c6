"""A float ``.tflite`` graph as torch computes it, so that it can be simulated, solved and trained.

Constants are torch tensors that may be replaced; activations pass through a hook on their way from
one operator to the next, which is where fake quantization, statistics and reconstruction come in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgekit.errors import ConversionError
from edgekit.optimize.sample_axis import mixing
from edgekit.optimize.torch_ops import RULES
from edgekit.tflite import flatbuffer
from edgekit.tflite.constants import constant_array
from edgekit.tflite.graph import Graph, Op, parse_graph

Hook = Callable[[int, Tensor], Tensor]
"""From the index of an activation and its value to the value that is read on."""


@dataclass(frozen=True)
class TorchGraph:
    """``constants`` by tensor index: weights and biases float32, the rest as the file has them.

    ``options`` are the schema's option tables, an operator each.
    """

    graph: Graph
    constants: Mapping[int, Tensor]
    options: tuple[Any, ...]

    def run(
        self,
        feeds: Mapping[int, Tensor],
        hook: Hook | None = None,
        constants: Mapping[int, Tensor] | None = None,
    ) -> dict[int, Tensor]:
        """Outputs by tensor index, for ``feeds`` by tensor index with the samples along axis 0.

        Raises:
            ConversionError: an operator does something that has no rule with several samples.
        """
        weights = self.constants if constants is None else constants
        values = {i: hook(i, x) if hook is not None else x for i, x in feeds.items()}
        left = self.readings()
        for op, options in zip(self.graph.ops, self.options, strict=True):
            value = self.compute(op, options, values, weights)
            (out,) = op.outputs
            values[out] = hook(out, value) if hook is not None else value
            for index in op.inputs:
                left[index] -= 1
                if left[index] == 0 and index in values:
                    del values[index]
        return {index: values[index] for index in self.graph.outputs}

    def compute(
        self, op: Op, options: Any, values: Mapping[int, Tensor], weights: Mapping[int, Tensor]
    ) -> Tensor:
        """The output of one operator."""
        inputs = [None if i < 0 else weights[i] if i in weights else values[i] for i in op.inputs]
        try:
            return RULES[op.name](options, inputs)
        except (ValueError, RuntimeError, AssertionError, IndexError) as error:
            raise _refused(self.graph, op, error) from error

    def readings(self) -> dict[int, int]:
        """How often each tensor is read; outputs of the graph once more, so that they stay."""
        left = {index: len(ops) for index, ops in self.graph.readers.items()}
        # An operator that reads a tensor twice is in its readers twice.
        for index in self.graph.outputs:
            left[index] = left.get(index, 0) + 1
        return left


def load_torch_graph(data: bytes) -> TorchGraph:
    """The main subgraph of a float model.

    Raises:
        ConversionError: it has operators without a rule, or such that several samples at once come
            out otherwise than one by one; they are named.
    """
    graph = parse_graph(data)
    lacking = sorted({op.name for op in graph.ops if op.name not in RULES})
    several = [op for op in graph.ops if len(op.outputs) != 1]
    if lacking or several:
        names = ", ".join(lacking or sorted({op.name for op in several}))
        raise ConversionError(f"these operators cannot be computed in torch: {names}")
    for op in graph.ops:
        if (why := mixing(graph, op)) is not None:
            raise _refused(graph, op, why)
    model = flatbuffer.unpack(data)
    main = model.subgraphs[0]
    constants = {
        tensor.index: _constant(model, main.tensors[tensor.index], tensor.name)
        for tensor in graph.tensors
        if tensor.constant and tensor.index in graph.readers
    }
    _check_origins(graph)
    return TorchGraph(graph, constants, tuple(op.builtinOptions for op in main.operators))


def _constant(model: Any, tensor: Any, name: str) -> Tensor:
    try:
        return torch.from_numpy(constant_array(model, tensor).copy())
    except (TypeError, ValueError) as error:  # strings, four bits, sparse ones
        raise ConversionError(f"the constant {name} cannot be read in torch: {error}") from error


def _check_origins(graph: Graph) -> None:
    """Refuse a graph that reads, or gives, something that is not computed from its inputs."""
    for op in graph.ops:
        for index in op.inputs:
            known = index < 0 or graph.tensors[index].constant or index in graph.inputs
            if not known and index not in graph.producer:
                raise _refused(graph, op, f"nothing writes {graph.tensors[index].name}")
    for index in graph.outputs:
        if index not in graph.inputs and index not in graph.producer:
            raise ConversionError(
                f"the output {graph.tensors[index].name} cannot be computed in torch: no operator "
                "writes it"
            )


def _refused(graph: Graph, op: Op, why: object) -> ConversionError:
    return ConversionError(f"{op.name} at {graph.layer(op)} cannot be computed in torch: {why}")
