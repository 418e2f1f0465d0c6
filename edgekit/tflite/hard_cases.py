"""What in a float graph is known to be hard on INT8: told before any work starts, by patterns.

The patterns are of operators, not of names. Exporters write one function in several ways: a view
(RESHAPE, TRANSPOSE) or a constant factor in between is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.tflite import flatbuffer
from edgekit.tflite.constants import constant_array
from edgekit.tflite.graph import Graph, Op, parse_graph
from edgekit.types import Array

FEW_STEPS = 8
"""A channel that gets fewer of the 255 steps of its tensor has less than three bits: every bit is
6 dB, so 30 dB are lost to it against a range of its own."""
CHANNEL_SHARE = 0.1
"""Of the channels that get so few: single ones are found in every network, and cost little."""
_LEVELS = 255
_SHOWN = 3

_VIEWS = frozenset({"RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "DEQUANTIZE", "QUANTIZE"})
_POOLS = frozenset({"MEAN", "SUM", "AVERAGE_POOL_2D", "REDUCE_MAX"})
_CLAMPS = frozenset({"RELU", "RELU6", "MINIMUM", "MAXIMUM", "RELU_0_TO_1"})
_LAYERS = frozenset({"CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"})
_GATE_STEPS = 16
"""Operators between a pool and the product it gates: two layers, two activations, views."""


@dataclass(frozen=True)
class HardCase:
    """One kind: the ``layers`` it was found at (as reports name them), ``why`` it is hard, and what
    helps."""

    kind: str
    layers: tuple[str, ...]
    why: str
    advice: str

    def __str__(self) -> str:
        count = len(self.layers)
        named = ", ".join(self.layers[:_SHOWN]) + (", ..." if count > _SHOWN else "")
        layers = "layer" if count == 1 else "layers"
        return f"{self.kind} in {count} {layers} ({named}): {self.why}; {self.advice}"


def hard_cases(data: bytes) -> tuple[HardCase, ...]:
    """The hard cases in the main graph of a float ``.tflite``, a kind once; none is an error."""
    graph = parse_graph(data)
    found: dict[_Kind, list[str]] = {kind: [] for kind in _KINDS}
    for op in graph.ops:
        kind = next((each for each in _KINDS if each.matches(graph, op)), None)
        if kind is not None:
            found[kind].append(graph.layer(op))
    found[_WIDE_DEPTHWISE] = list(_wide_depthwise(data, graph))
    return tuple(
        HardCase(kind.name, tuple(layers), kind.why, kind.advice)
        for kind, layers in found.items()
        if layers
    )


def _is_hard_swish(graph: Graph, op: Op) -> bool:
    """``x * clamp(x + 3) / 6``, by its own operator or spelled out."""
    return op.name == "HARD_SWISH" or any(
        _clamped_sum_of(graph, gate, gated) for gated, gate in _products(graph, op)
    )


def _is_swish(graph: Graph, op: Op) -> bool:
    """``x * sigmoid(x)``."""
    for gated, gate in _products(graph, op):
        maker = graph.producer.get(_root(graph, gate))
        if maker is None or maker.name != "LOGISTIC":
            continue
        if _root(graph, maker.inputs[0]) == _root(graph, gated):
            return True
    return False


def _is_squeeze_excite(graph: Graph, op: Op) -> bool:
    """``x * gate(pool(x))``, where the gate has weights; a norm has none."""
    for gated, gate in _products(graph, op):
        root, weighted = _root(graph, gated), False
        for maker in _ancestors(graph, gate, _GATE_STEPS):
            weighted = weighted or maker.name in _LAYERS
            if maker.name in _POOLS and _root(graph, maker.inputs[0]) == root:
                return weighted
    return False


def _is_inner_softmax(graph: Graph, op: Op) -> bool:
    """Read by more than the end of the graph."""
    if op.name != "SOFTMAX":
        return False
    (output,) = op.outputs
    while output not in graph.outputs:
        readers = graph.readers.get(output, ())
        if len(readers) != 1 or readers[0].name not in _VIEWS:
            return True
        output = readers[0].outputs[0]
    return bool(graph.readers.get(output))


def _is_layer_norm(graph: Graph, op: Op) -> bool:
    """A root of a mean of squares."""
    if op.name not in {"RSQRT", "SQRT"}:
        return False
    mean = next(
        (each for each in _ancestors(graph, op.inputs[0], 3) if each.name in {"MEAN", "SUM"}), None
    )
    return mean is not None and any(
        _squares(graph, each) for each in _ancestors(graph, mean.inputs[0], 2)
    )


def _squares(graph: Graph, op: Op) -> bool:
    if op.name == "MUL":
        return _root(graph, op.inputs[0]) == _root(graph, op.inputs[1])
    return op.name in {"SQUARED_DIFFERENCE", "SQUARE", "POW"}


def _products(graph: Graph, op: Op) -> Iterator[tuple[int, int]]:
    """Both ways of reading a product of two activations: what is gated, and the gate."""
    if op.name != "MUL":
        return
    first, second = op.inputs
    if not _constant(graph, first) and not _constant(graph, second):
        yield first, second
        yield second, first


def _clamped_sum_of(graph: Graph, gate: int, gated: int) -> bool:
    """Whether ``gate`` is ``clamp(gated + constant)``, factors aside."""
    root, clamped, index = _root(graph, gated), False, gate
    for _ in range(_GATE_STEPS):
        maker = graph.producer.get(_root(graph, index))
        if maker is None:
            return False
        if maker.name == "ADD":
            sides = [i for i in maker.inputs if not _constant(graph, i)]
            clamped = clamped or maker.activation in {"RELU6", "RELU"}
            return clamped and len(sides) == 1 and _root(graph, sides[0]) == root
        if maker.name not in _CLAMPS:
            return False
        clamped = True
        index = maker.inputs[0]
    return False


def _root(graph: Graph, index: int) -> int:
    """Back through views and constant factors."""
    while (maker := graph.producer.get(index)) is not None:
        factor = maker.name == "MUL" or (maker.name == "DIV" and _constant(graph, maker.inputs[1]))
        if factor and maker.activation == "NONE":
            sides = [i for i in maker.inputs if not _constant(graph, i)]
            if len(sides) != 1:
                break
            index = sides[0]
        elif maker.name in _VIEWS:
            index = maker.inputs[0]
        else:
            break
    return index


def _constant(graph: Graph, index: int) -> bool:
    return graph.tensors[index].constant


def _ancestors(graph: Graph, index: int, steps: int) -> Iterator[Op]:
    """The operators that a tensor depends on, nearest first, at most so many away."""
    level, seen = [index], set()
    for _ in range(steps):
        makers = [graph.producer[i] for i in level if i in graph.producer]
        makers = [op for op in dict.fromkeys(makers) if op.index not in seen]
        seen |= {op.index for op in makers}
        yield from makers
        level = [i for op in makers for i in op.inputs if i >= 0]


def _wide_depthwise(data: bytes, graph: Graph) -> Iterator[str]:
    model = flatbuffer.unpack(data)
    for op in graph.ops:
        if op.name != "DEPTHWISE_CONV_2D" or not graph.tensors[op.inputs[1]].constant:
            continue
        weights = constant_array(model, model.subgraphs[0].tensors[op.inputs[1]])
        if weights.dtype == np.float32 and few_step_share(weights) > CHANNEL_SHARE:
            yield graph.layer(op)


def few_step_share(weights: Array) -> float:
    """The share of channels, the dead ones aside, that would get fewer than ``FEW_STEPS`` steps
    on a scale shared by all: depthwise ``weights`` are float32 [1, h, w, channels]."""
    widths = np.abs(weights).max(axis=(0, 1, 2))
    alive = widths[widths > 0]
    if not alive.size:
        return 0.0
    return float((alive * _LEVELS < FEW_STEPS * alive.max()).mean())


@dataclass(frozen=True)
class _Kind:
    name: str
    matches: Callable[[Graph, Op], bool]
    why: str
    advice: str


# The first that matches an operator names it.
_KINDS = (
    _Kind(
        "squeeze-excite",
        _is_squeeze_excite,
        "a gate of few values scales whole channels, and so does its error",
        "check these layers in the report by layer",
    ),
    _Kind(
        "hard-swish",
        _is_hard_swish,
        "its small negative values share one range with large positive ones",
        "effort: best tries every kind of range, and corrects biases",
    ),
    _Kind(
        "swish",
        _is_swish,
        "its small negative values share one range with large positive ones",
        "effort: best tries every kind of range, and corrects biases",
    ),
    _Kind(
        "softmax inside the graph",
        _is_inner_softmax,
        "its results lie on a fixed scale of 1/256, most of them below a step",
        "compare the answers, and keep the layer float (quantize.modules) where they suffer",
    ),
    _Kind(
        "layer norm or another root of squares",
        _is_layer_norm,
        "squares need twice the bits of what they are made of",
        "keep it float (quantize.modules), or quantize weights only",
    ),
)
_WIDE_DEPTHWISE = _Kind(
    "wide depthwise ranges",
    lambda graph, op: False,  # the graph does not tell: the weights do
    "channels of very different size share one range behind them",
    "equalize them, which effort: balanced does",
)
