"""Scales of INT8 weights that no processor saturates on.

Without dot-product instructions (VNNI), x86 multiplies unsigned activations with signed weights two
at a time and adds each pair in 16 bits, saturating (``vpmaddubsw``): ``255 * (w0 + w1)`` leaves
them as soon as two neighbours of one sign add up to more than 128. ONNX Runtime's way out is
``reduce_range``, 7 bits for every weight. Here a channel's scale grows only as far as its worst
pair of neighbours asks for, which for most channels is not at all: nothing saturates, and nearly
all of the 8 bits stay in use.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from edgekit.onnx.constants import float_constants
from edgekit.onnx.model_file import require_onnx
from edgekit.types import Array

Overrides = dict[str, list[dict[str, Any]]]
"""ONNX Runtime's ``TensorQuantOverrides``, by tensor name."""

_PRODUCTS = frozenset({"Gemm", "MatMul"})
_LARGEST = 127
# Rounding may lift both neighbours by a half, to 128: 255 * 128 still fits into 16 bits.
_LARGEST_PAIR = 127


def weight_overrides(model: Any, *, nodes: Collection[str], per_channel: bool) -> Overrides:
    """The scales of the constant weights of every Conv, Gemm and MatMul called in ``nodes``, and of
    a grouped ConvTranspose with a bias; those of an LSTM, whose quantizer takes no scales, get 7
    bits. A constant that is multiplied from the left becomes uint8, as the activation on its right
    is: there is no kernel for the other mix."""
    onnx = require_onnx()
    found: dict[str, tuple[int | None, Array]] = {}
    given: Overrides = {}
    constants = float_constants(model)
    for node in model.graph.node:
        if node.name not in nodes:
            continue
        if node.op_type == "LSTM":
            given |= {name: [{"axis": 0, "reduce_range": True}] for name in node.input[1:3]}
        if node.op_type in _PRODUCTS and node.input[0] in constants:
            given[node.input[0]] = [_left_entry()]
        tensor = constants.get(node.input[1]) if len(node.input) > 1 else None
        if tensor is None:
            continue
        weights = onnx.numpy_helper.to_array(tensor)
        by_row = _rows(node, weights)
        if by_row is None:
            continue
        axis, rows = by_row
        scales = pair_safe_scales(rows, adjacent=not _is_depthwise(node, weights))
        known = found.get(tensor.name)
        if known is not None and known[0] == axis:  # shared: the coarser is safe for both
            scales = np.maximum(scales, known[1])
        found[tensor.name] = (axis, scales)
    for name, (axis, scales) in found.items():
        if per_channel and axis is not None:
            given[name] = _by_channel(axis, scales)
        else:
            given[name] = [_entry(scales.max())]
    return given


def pair_safe_scales(rows: Array, *, adjacent: bool = True) -> Array:
    """The smallest symmetric INT8 scale of each of ``rows``, a float32 array of shape
    ``(channels,)``. A row of zeros, which any scale fits, has the largest of the others, for the
    scale of its bias follows from it; 1 where all are zeros.

    ``rows`` is ``(channels, products)``, in the order that products are added in. ``adjacent``:
    neighbours are added in 16 bits.
    """
    scales = np.abs(rows).max(axis=1, initial=0) / _LARGEST
    if adjacent and rows.shape[1] > 1:
        for side in (np.maximum(rows, 0), np.maximum(-rows, 0)):
            pairs = (side[:, 1:] + side[:, :-1]).max(axis=1)
            scales = np.maximum(scales, pairs / _LARGEST_PAIR)
    return np.where(scales > 0, scales, scales.max(initial=0) or 1).astype(np.float32)


def _rows(node: Any, weights: Array) -> tuple[int | None, Array] | None:
    """The axis of the output channels, ``None`` where there is one scale for all, and the weights
    of each; ``None`` for other operators."""
    if node.op_type == "Conv" and weights.ndim > 2:
        # ONNX Runtime computes channels-last: input channels are neighbours.
        return 0, np.moveaxis(weights, 1, -1).reshape(len(weights), -1)
    if node.op_type == "ConvTranspose" and _groups(node) > 1 and any(node.input[2:]):
        # Its weights have the channels of one group alone, and its bias those of all.
        return None, weights.reshape(len(weights), -1)
    if node.op_type == "Gemm":
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return (0, weights) if transposed else (1, weights.T)
    if node.op_type == "MatMul" and weights.ndim == 2:
        return 1, weights.T
    if node.op_type == "MatMul":  # a vector, or a stack of matrices
        columns = np.moveaxis(weights, -2, -1) if weights.ndim > 1 else weights
        return None, columns.reshape(-1, columns.shape[-1])
    return None


def _is_depthwise(node: Any, weights: Array) -> bool:
    """Those have kernels of their own, which add in 32 bits."""
    return node.op_type == "Conv" and _groups(node) == len(weights) > 1 and weights.shape[1] == 1


def _groups(node: Any) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def _by_channel(axis: int, scales: Array) -> list[dict[str, Any]]:
    return [{"axis": axis, **_entry(scale)} for scale in scales]


def _left_entry() -> dict[str, Any]:
    from onnxruntime.quantization import QuantType

    return {"quant_type": QuantType.QUInt8, "symmetric": False}


def _entry(scale: Any) -> dict[str, Any]:
    return {"scale": np.array(scale, np.float32), "zero_point": np.array(0, np.int8)}
