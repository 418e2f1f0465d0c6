"""ONNX operators that move elements about: reshape, slice, join, pick, repeat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from edgekit.pytorch.from_onnx_graph import OnnxNode, Operand, Rule, UnsupportedError


def _reshape(node: OnnxNode) -> Operand:
    x = node.operand(0)
    sizes = node.integers(1, "shape") or []
    if not node.attribute("allowzero", 0):
        sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return node.emit(partial(torch.reshape, shape=tuple(sizes)), x)


def _flatten(node: OnnxNode) -> Operand:
    x, axis = node.operand(0), node.attribute("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    sizes = (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    return node.emit(partial(torch.reshape, shape=sizes), x)


def _transpose(node: OnnxNode) -> Operand:
    x = node.operand(0)
    order = tuple(node.attribute("perm") or range(x.rank)[::-1])
    return x if order == tuple(range(x.rank)) else node.emit(partial(torch.permute, dims=order), x)


def _squeeze(node: OnnxNode) -> Operand:
    x = node.operand(0)
    axes = node.integers(1, "axes")
    if axes is None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1]
    gone = {axis % x.rank for axis in axes} if axes else set()
    sizes = tuple(size for axis, size in enumerate(x.shape) if axis not in gone)
    return node.emit(partial(torch.reshape, shape=sizes), x)


def _unsqueeze(node: OnnxNode) -> Operand:
    x, axes = node.operand(0), node.integers(1, "axes") or []
    rank = x.rank + len(axes)
    new = {axis % rank for axis in axes}
    own = iter(x.shape)
    sizes = tuple(1 if axis in new else next(own) for axis in range(rank))
    return node.emit(partial(torch.reshape, shape=sizes), x)


def _concat(node: OnnxNode) -> Operand:
    axis = node.attribute("axis")
    operands = [node.operand(index) for index in range(len(node.operands))]
    return node.emit(lambda *tensors: torch.cat(tensors, axis), *operands)


def _split(node: OnnxNode) -> Sequence[Operand]:
    x, axis, count = node.operand(0), node.attribute("axis", 0), len(node.outputs)
    sizes = node.integers(1, "sizes")
    if sizes is None:
        total = x.shape[axis]
        size = -(-total // count)
        sizes = [min(size, total - size * index) for index in range(count)]
    return node.emit_all(lambda tensor: torch.split(tensor, sizes, axis), x)


def _slice(node: OnnxNode) -> Operand:
    x = node.operand(0)
    starts, ends = node.integers(1, "starts") or [], node.integers(2, "ends") or []
    axes = node.integers(3, "axes") or list(range(len(starts)))
    steps = node.integers(4, "steps") or [1] * len(starts)
    picks: list[slice] = [slice(None)] * x.rank
    turned = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis, size = axis % x.rank, x.shape[axis]
        first, last = (place + size if place < 0 else place for place in (start, end))
        if step > 0:
            first, last = min(max(first, 0), size), min(max(last, 0), size)
        else:  # torch has no negative steps
            first, last = min(max(first, 0), size - 1), min(max(last, -1), size - 1)
            turned.append(axis)
            first, last, step = size - 1 - first, size - 1 - last, -step
        picks[axis] = slice(first, max(first, last), step)

    def pick(tensor: torch.Tensor) -> torch.Tensor:
        return (torch.flip(tensor, turned) if turned else tensor)[tuple(picks)]

    return node.emit(pick, x)


def _gather(node: OnnxNode) -> Operand:
    data, indices = node.operand(0), node.operand(1)
    axis = node.attribute("axis", 0) % data.rank
    size = data.shape[axis]
    table = data.constant
    rows = axis == 0 and data.rank == 2 and indices.constant is None
    if table is not None and rows and table.is_floating_point():
        layer = nn.Embedding(table.shape[0], table.shape[1], _weight=table)
        return node.emit(layer, indices)
    if indices.constant is not None and indices.rank == 0:
        position = int(indices.constant) % size
        return node.emit(lambda tensor: torch.select(tensor, axis, position), data)
    shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])

    def take(tensor: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return torch.index_select(tensor, axis, wanted.flatten()).reshape(shape)

    return node.emit(take, data, _positive(node, indices, size))


def _positive(node: OnnxNode, indices: Operand, size: int) -> Operand:
    """Indices counted from the start, as int64."""

    def count(wanted: torch.Tensor) -> torch.Tensor:
        wanted = wanted.to(torch.int64)
        return torch.where(wanted < 0, wanted + size, wanted)

    return node.emit(count, indices, part="index")


def _gather_elements(node: OnnxNode) -> Operand:
    data, axis = node.operand(0), node.attribute("axis", 0)
    indices = _positive(node, node.operand(1), data.shape[axis])
    return node.emit(lambda tensor, wanted: torch.gather(tensor, axis, wanted), data, indices)


def _gather_nd(node: OnnxNode) -> Operand:
    if node.attribute("batch_dims", 0):
        raise UnsupportedError("it has batch_dims")

    def take(tensor: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return tensor[tuple(wanted.unbind(-1))]

    return node.emit(take, node.operand(0), node.operand(1))


def _scatter_nd(node: OnnxNode) -> Operand:
    if node.attribute("reduction", "none") != "none":
        raise UnsupportedError(f"it has reduction {node.attribute('reduction')}")

    def put(data: torch.Tensor, places: torch.Tensor, updates: torch.Tensor) -> torch.Tensor:
        return data.index_put(tuple(places.unbind(-1)), updates)

    return node.emit(put, node.operand(0), node.operand(1), node.operand(2))


def _expand(node: OnnxNode) -> Operand:
    x = node.operand(0)
    shape = np.broadcast_shapes(x.shape, tuple(node.integers(1, "shape") or ()))
    return node.emit(lambda tensor: tensor.expand(shape), x)


def _tile(node: OnnxNode) -> Operand:
    repeats = node.integers(1, "repeats") or []
    return node.emit(lambda tensor: tensor.repeat(repeats), node.operand(0))


def _shape(node: OnnxNode) -> Operand:
    shape = node.operand(0).shape[slice(node.attribute("start", 0), node.attribute("end"))]
    return node.known(torch.tensor(shape, dtype=torch.int64))


def _size(node: OnnxNode) -> Operand:
    return node.known(torch.tensor(math.prod(node.operand(0).shape), dtype=torch.int64))


def _constant(node: OnnxNode) -> Operand:
    from onnx import numpy_helper

    if (value := node.attribute("value")) is not None:
        return node.known(torch.from_numpy(numpy_helper.to_array(value).copy()))
    for name, dtype in (("float", torch.float32), ("int", torch.int64)):
        for found in (node.attribute(f"value_{name}"), node.attribute(f"value_{name}s")):
            if found is not None:
                return node.known(torch.tensor(found, dtype=dtype))
    raise UnsupportedError("its value is neither a number nor an array of numbers")


def _constant_of_shape(node: OnnxNode) -> Operand:
    from onnx import numpy_helper

    value = node.attribute("value")
    shape = tuple(node.integers(0, "shape") or ())
    if value is None:
        return node.known(torch.zeros(shape))
    one = torch.from_numpy(numpy_helper.to_array(value).copy())
    return node.known(one.reshape(()).expand(shape).clone())


def _range(node: OnnxNode) -> Operand:
    ends = [node.constant(index, what) for index, what in enumerate(("start", "limit", "delta"))]
    return node.known(torch.arange(*(end.item() for end in ends), dtype=ends[0].dtype))


def _depth_to_space(node: OnnxNode) -> Operand:
    x, block = node.operand(0), node.attribute("blocksize")
    if node.attribute("mode", "DCR") == "CRD":
        return node.emit(nn.PixelShuffle(block), x)
    n, c, h, w = x.shape

    def unfold(tensor: torch.Tensor) -> torch.Tensor:
        parted = tensor.reshape(n, block, block, c // block**2, h, w)
        return parted.permute(0, 3, 4, 1, 5, 2).reshape(n, c // block**2, h * block, w * block)

    return node.emit(unfold, x)


def _space_to_depth(node: OnnxNode) -> Operand:
    x, block = node.operand(0), node.attribute("blocksize")
    n, c, h, w = x.shape

    def fold(tensor: torch.Tensor) -> torch.Tensor:
        parted = tensor.reshape(n, c, h // block, block, w // block, block)
        return parted.permute(0, 3, 5, 1, 2, 4).reshape(n, c * block**2, h // block, w // block)

    return node.emit(fold, x)


def _triangle(node: OnnxNode) -> Operand:
    function = torch.triu if node.attribute("upper", 1) else torch.tril
    diagonal = (node.integers(1, "diagonal") or [0])[0]
    return node.emit(partial(function, diagonal=diagonal), node.operand(0))


def _one_hot(node: OnnxNode) -> Operand:
    indices = node.operand(0)
    depth = int(node.constant(1, "depth").item())
    values = node.constant(2, "values")
    off, on = values.tolist()
    axis = node.attribute("axis", -1)
    axis = axis + indices.rank + 1 if axis < 0 else axis
    classes = torch.arange(depth).reshape(depth, *[1] * (indices.rank - axis))

    def mark(wanted: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        wanted = wanted.to(torch.int64).unsqueeze(axis)
        wanted = torch.where(wanted < 0, wanted + depth, wanted)
        return torch.where(wanted == classes, on, off).to(values.dtype)

    return node.emit(mark, indices, node.known(classes))


RULES: Mapping[str, Rule] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
    "Expand": _expand,
    "Tile": _tile,
    "Shape": _shape,
    "Size": _size,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Trilu": _triangle,
    "OneHot": _one_hot,
}
