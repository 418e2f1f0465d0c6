"""ONNX's Resize and Pad, whose many modes PyTorch has only some of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from edgekit.pytorch.from_onnx_graph import OnnxNode, Operand, Rule, UnsupportedError
from edgekit.types import Array

_ROUNDING: Mapping[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
_ALIGN_CORNERS = {"align_corners": True, "half_pixel": False, "pytorch_half_pixel": False}


def _resize(node: OnnxNode) -> Operand:
    x, mode = node.operand(0), node.attribute("mode", "nearest")
    coordinates = node.attribute("coordinate_transformation_mode", "half_pixel")
    if coordinates == "tf_crop_and_resize" or node.attribute("antialias", 0):
        raise UnsupportedError("it crops (tf_crop_and_resize) or has antialias")
    sizes, scales = _targets(node, x)
    changed = [axis for axis in range(x.rank) if sizes[axis] != x.shape[axis] or scales[axis] != 1]
    if not changed:
        return x
    places = {
        axis: _places(coordinates, x.shape[axis], sizes[axis], scales[axis]) for axis in changed
    }
    if mode == "nearest":
        return _nearest(node, x, sizes, places)
    exact = all(abs(scales[a] * x.shape[a] - sizes[a]) < 1e-5 for a in changed)
    single = coordinates == "half_pixel" or 1 not in (sizes[a] for a in changed)
    images = x.rank == 4 and changed[0] >= 2
    if mode == "linear" and images and exact and single and coordinates in _ALIGN_CORNERS:
        aligned = _ALIGN_CORNERS[coordinates]
        return node.emit(_interpolation("bilinear", sizes, align_corners=aligned), x)
    for axis, at in places.items():
        weights = _weights(node, mode, at, x.shape[axis])
        matrix = node.known(torch.from_numpy(weights).to(x.dtype))
        x = node.emit(partial(_along, axis=axis), x, matrix)
    return x


def _targets(node: OnnxNode, x: Operand) -> tuple[list[int], list[float]]:
    """Size and scale of every axis."""
    sizes, scales = list(x.shape), [1.0] * x.rank
    axes = node.attribute("axes") or list(range(x.rank))
    wanted = node.integers(3, "sizes")
    if wanted:
        policy = node.attribute("keep_aspect_ratio_policy", "stretch")
        ratios = [size / x.shape[axis] for axis, size in zip(axes, wanted, strict=True)]
        if policy != "stretch":
            ratio = min(ratios) if policy == "not_larger" else max(ratios)
            ratios = [ratio] * len(axes)
            wanted = [math.floor(ratio * x.shape[axis] + 0.5) for axis in axes]
        for axis, size, ratio in zip(axes, wanted, ratios, strict=True):
            sizes[axis], scales[axis] = size, ratio
        return sizes, scales
    given = [float(scale) for scale in node.constant(2, "scales").flatten().tolist()]
    for axis, scale in zip(axes, given, strict=True):
        sizes[axis], scales[axis] = math.floor(x.shape[axis] * scale), scale
    return sizes, scales


def _places(mode: str, size: int, resized: int, ratio: float) -> Array:
    """Where each element of the result lies in the source, by the operator's own formulas.

    In float32, as ONNX Runtime has them: a place half-way between two elements hangs on the last
    bit.
    """
    at = np.arange(resized, dtype=np.float32)
    scale = np.float32(ratio)
    if mode == "asymmetric":
        return at / scale
    if mode == "align_corners":
        return at * (size - 1) / (resized - 1) if resized > 1 else at * 0
    if mode == "pytorch_half_pixel" and resized == 1:
        return at * 0
    if mode == "half_pixel_symmetric":
        # A size that was rounded keeps its middle.
        adjustment = resized / (scale * size)
        return size / 2 * (1 - adjustment) + (at + 0.5) / scale - 0.5
    return (at + 0.5) / scale - 0.5


def _nearest(node: OnnxNode, x: Operand, sizes: list[int], places: Mapping[int, Array]) -> Operand:
    rounded = _ROUNDING[node.attribute("nearest_mode", "round_prefer_floor")]
    picks = {
        axis: np.clip(rounded(at), 0, x.shape[axis] - 1).astype(np.int64)
        for axis, at in places.items()
    }
    if x.rank == 4 and min(picks) >= 2:
        own = (np.arange(sizes[axis]) * x.shape[axis] // sizes[axis] for axis in picks)
        if all(np.array_equal(a, b) for a, b in zip(own, picks.values(), strict=True)):
            return node.emit(_interpolation("nearest", sizes), x)
    for axis, pick in picks.items():
        x = node.emit(
            partial(_picked, axis=axis), x, node.known(torch.from_numpy(pick)), part=f"axis{axis}"
        )
    return x


def _interpolation(mode: str, sizes: list[int], **options: Any) -> partial[torch.Tensor]:
    return partial(functional.interpolate, size=tuple(sizes[2:]), mode=mode, **options)


def _picked(x: torch.Tensor, places: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.index_select(x, axis, places)


def _along(x: torch.Tensor, matrix: torch.Tensor, axis: int) -> torch.Tensor:
    """``matrix`` times ``x`` along one axis."""
    return torch.matmul(x.movedim(axis, -1), matrix.t()).movedim(-1, axis)


def _weights(node: OnnxNode, mode: str, places: Array, size: int) -> Array:
    """Interpolation along one axis as a matrix [resized, size]; beyond the ends, the ends count."""
    taps = 2 if mode == "linear" else 4
    first = np.floor(places).astype(np.int64) - (taps // 2 - 1)
    matrix = np.zeros((len(places), size))
    rows = np.arange(len(places))
    steepness = node.attribute("cubic_coeff_a", -0.75)
    for tap in range(taps):
        index = first + tap
        distance = np.abs(places - index)
        share = 1 - distance if mode == "linear" else _cubic(distance, steepness)
        if mode == "cubic" and node.attribute("exclude_outside", 0):
            share = np.where((index < 0) | (index >= size), 0, share)
        np.add.at(matrix, (rows, np.clip(index, 0, size - 1)), share)
    shares: Array = matrix / matrix.sum(axis=1, keepdims=True)
    return shares


def _cubic(distance: Array, a: float) -> Array:
    """Keys' kernel (1981), as the operator's specification has it."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)


def _pad(node: OnnxNode) -> Operand:
    x, mode = node.operand(0), node.attribute("mode", "constant")
    amounts = node.integers(1, "pads") or []
    axes = [axis % x.rank for axis in node.integers(3, "axes") or range(x.rank)]
    pairs = {axis: (amounts[i], amounts[i + len(axes)]) for i, axis in enumerate(axes)}
    pairs = {axis: pair for axis, pair in sorted(pairs.items()) if pair != (0, 0)}
    if not pairs:
        return x
    if mode == "constant":
        value = 0 if node.optional(2) is None else node.constant(2, "value").item()
        amounts = [each for axis in range(x.rank)[::-1] for each in pairs.get(axis, (0, 0))]
        return node.emit(partial(functional.pad, pad=amounts, value=value), x)
    for axis, (before, behind) in pairs.items():
        part = f"axis{axis}"
        if min(before, behind) >= 0 and max(before, behind) < x.shape[axis]:
            grow = partial(_grown, axis=axis, before=before, behind=behind, mode=mode)
            x = node.emit(grow, x, part=part)
            continue
        # More than there is, or less than nothing: by indices.
        indices = np.pad(np.arange(x.shape[axis]), (max(before, 0), max(behind, 0)), mode)
        indices = indices[max(-before, 0) : len(indices) - max(-behind, 0)]
        pick = node.known(torch.from_numpy(indices))
        x = node.emit(partial(_picked, axis=axis), x, pick, part=part)
    return x


def _grown(x: torch.Tensor, axis: int, before: int, behind: int, mode: str) -> torch.Tensor:
    """What torch's own padding would give, in slices: litert-torch lowers that one to arithmetic on
    every index and a gather."""
    size = x.shape[axis]
    if mode == "wrap":
        front, back = x.narrow(axis, size - before, before), x.narrow(axis, 0, behind)
    elif mode == "reflect":
        front = torch.flip(x.narrow(axis, 1, before), [axis])
        back = torch.flip(x.narrow(axis, size - 1 - behind, behind), [axis])
    else:
        front = x.narrow(axis, 0, 1).expand(_resized(x, axis, before))
        back = x.narrow(axis, size - 1, 1).expand(_resized(x, axis, behind))
    parts = [part for part in (front, x, back) if part.shape[axis]]
    return torch.cat(parts, axis)


def _resized(x: torch.Tensor, axis: int, size: int) -> list[int]:
    return [size if each == axis else own for each, own in enumerate(x.shape)]


RULES: Mapping[str, Rule] = {"Resize": _resize, "Pad": _pad}
