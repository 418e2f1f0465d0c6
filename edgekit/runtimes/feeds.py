"""Check named arrays against what a model wants, before the runtime sees them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.errors import UsageError
from edgekit.types import Array, Feeds, TensorInfo

FreeAxes = Mapping[str, frozenset[int]]
"""Axes of an input that may have any size, by input name."""


def check_feeds(
    feeds: Feeds, inputs: tuple[TensorInfo, ...], *, model: str, free_axes: FreeAxes | None = None
) -> dict[str, Array]:
    """The feeds as C-contiguous arrays in the model's input order.

    Raises:
        UsageError: a name, dtype or shape that is not the model's; says what was given and wanted.
    """
    wanted = ", ".join(f"'{info.name}' {describe(info)}" for info in inputs)
    names = [info.name for info in inputs]
    missing = [name for name in names if name not in feeds]
    unknown = [name for name in feeds if name not in names]
    if missing or unknown:
        given = ", ".join(f"'{name}'" for name in feeds) or "nothing"
        raise UsageError(
            f"{model} was given {given}, but wants {wanted}",
            hint="Name the arrays exactly as the model names its inputs.",
        )
    return {
        info.name: _check(
            np.asarray(feeds[info.name]), info, model, (free_axes or {}).get(info.name, frozenset())
        )
        for info in inputs
    }


def describe(info: TensorInfo) -> str:
    """``float32 [1, 224, 224, 3]``."""
    return f"{info.dtype} {list(info.shape)}"


def _check(array: Array, info: TensorInfo, model: str, free: frozenset[int]) -> Array:
    same_shape = array.ndim == len(info.shape) and all(
        given == wanted or (axis in free and given > 0)
        for axis, (given, wanted) in enumerate(zip(array.shape, info.shape, strict=True))
    )
    if not same_shape or array.dtype != np.dtype(info.dtype):
        message = (
            f"{model} wants input '{info.name}' as {describe(info)}, "
            f"but was given {array.dtype} {list(array.shape)}"
        )
        raise UsageError(message, hint=_hint(array, info, same_shape))
    return np.ascontiguousarray(array).reshape(array.shape)


def _hint(array: Array, info: TensorInfo, same_shape: bool) -> str | None:
    if not same_shape:
        if (
            array.ndim == 4 == len(info.shape)
            and tuple(array.transpose(0, 2, 3, 1).shape) == info.shape
        ):
            return "The array looks channels-first; sessions take channels-last."
        if array.shape == info.shape[1:]:
            return "The batch axis is missing: add one in front."
        return None
    if info.quant is not None and array.dtype.kind == "f":
        return "Quantize it with the input's scale and zero point, or let predict() do so."
    return f"Convert it with .astype('{info.dtype}')."
