"""Constants in the form that the quantizers expect: one use, one meaning, no factor beside them.

A ``ModelProto`` is changed in place here: whoever calls has just made it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any

import numpy as np

from edgekit.onnx.model_file import require_onnx
from edgekit.onnx.ops import nodes

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM"})
_FACTORS = ("alpha", "beta")


def fold_gemm_factors(model: Any) -> None:
    """Multiply ``alpha`` and ``beta`` of every Gemm into its weights and its bias, where these are
    constants: ONNX Runtime's quantizers drop the factors, or do not take a Gemm that has them."""
    onnx = require_onnx()
    constants = _floats(model)
    taken = _names(model)
    for node in model.graph.node:
        if node.op_type != "Gemm":
            continue
        for name, position in zip(_FACTORS, (1, 2), strict=True):
            factor = gemm_factor(node, name)
            if factor == 1.0:
                continue
            given = len(node.input) > position and node.input[position]
            if given and given not in constants:
                continue
            if given:
                scaled = np.float32(factor) * onnx.numpy_helper.to_array(constants[given])
                own = _unique(f"{given}_by_{name}", taken)
                model.graph.initializer.append(onnx.numpy_helper.from_array(scaled, own))
                node.input[position] = own
            kept = [each for each in node.attribute if each.name != name]
            del node.attribute[:]
            node.attribute.extend(kept)
    _drop_unread(model)


def gemm_factor(node: Any, name: str) -> float:
    """``alpha`` or ``beta`` of a Gemm."""
    return float(next((each.f for each in node.attribute if each.name == name), 1.0))


def part_shared_weights(model: Any, *, copied: Collection[str] = ()) -> None:
    """Give a weight that operators read in different ways a copy for each way: its scale and its
    type follow from the axis of the output channels. ``copied`` are operators that get one each
    in any case."""
    constants = {name: each for name, each in _floats(model).items() if len(each.dims) > 1}
    taken = _names(model)
    weights = {
        name
        for node in model.graph.node
        if node.op_type in _WEIGHTED
        for name in node.input[1:]
        if name in constants
    }
    known: dict[str, dict[Hashable, str]] = {}
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name not in weights:
                continue
            way: Hashable = _way(node, position)
            if node.op_type in copied:
                way = (way, node.name)
            ways = known.setdefault(name, {})
            if way not in ways:
                ways[way] = name if not ways else _unique(f"{name}_copy", taken)
                if ways[way] != name:
                    copy = model.graph.initializer.add()
                    copy.CopyFrom(constants[name])
                    copy.name = ways[way]
            node.input[position] = ways[way]


def _way(node: Any, position: int) -> Hashable:
    if node.op_type not in _WEIGHTED:
        return "Gather" if node.op_type == "Gather" else ""
    integers = {each.name: each.i for each in node.attribute}
    # A convolution's group tells a depthwise one, whose sums are 32 bits wide.
    return node.op_type, position, integers.get("transB", 0), integers.get("group", 1)


def _floats(model: Any) -> dict[str, Any]:
    return {each.name: each for each in model.graph.initializer if each.data_type == each.FLOAT}


def _drop_unread(model: Any) -> None:
    read = {name for node in nodes(model.graph.node) for name in node.input}
    read |= {value.name for value in model.graph.output}
    kept = [each for each in model.graph.initializer if each.name in read]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)


def _names(model: Any) -> set[str]:
    found = {each.name for each in (*model.graph.input, *model.graph.initializer)}
    return found | {
        name for node in nodes(model.graph.node) for name in (*node.input, *node.output)
    }


def _unique(base: str, taken: set[str]) -> str:
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name
