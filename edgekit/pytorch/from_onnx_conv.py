"""ONNX operators that slide a window: convolutions and pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from edgekit.pytorch.from_onnx_graph import OnnxNode, Operand, Rule, UnsupportedError

_CONV: tuple[type[Any], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_CONV_TRANSPOSE: tuple[type[Any], ...] = (
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
_MAX_POOL: tuple[type[Any], ...] = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_AVG_POOL: tuple[type[Any], ...] = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_FUNCTION: Mapping[str, tuple[Callable[..., torch.Tensor], ...]] = {
    "Conv": (functional.conv1d, functional.conv2d, functional.conv3d),
    "ConvTranspose": (
        functional.conv_transpose1d,
        functional.conv_transpose2d,
        functional.conv_transpose3d,
    ),
}


@dataclass(frozen=True)
class _Window:
    """By spatial axis: size, step, dilation, elements added before and behind."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    behind: tuple[int, ...]

    @property
    def symmetric(self) -> bool:
        return self.before == self.behind

    @property
    def reach(self) -> tuple[int, ...]:
        """Elements from the first to the last that a window sees."""
        return tuple(
            (size - 1) * step + 1 for size, step in zip(self.kernel, self.dilations, strict=True)
        )

    def counts(self, sizes: tuple[int, ...], ceil: bool) -> tuple[int, ...]:
        """Windows along each axis. With ``ceil`` the last may stick out, but starts inside."""
        found = []
        for size, reach, step, before, behind in zip(
            sizes, self.reach, self.strides, self.before, self.behind, strict=True
        ):
            room = size + before + behind - reach
            count = (-(-room // step) if ceil else room // step) + 1
            if ceil and (count - 1) * step >= size + before:
                count -= 1
            found.append(count)
        return tuple(found)


def _window(node: OnnxNode, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> _Window:
    axes = len(sizes)
    if not 1 <= axes <= 3:
        raise UnsupportedError(f"it slides along {axes} axes; PyTorch does along 1 to 3")
    strides = tuple(node.attribute("strides") or [1] * axes)
    dilations = tuple(node.attribute("dilations") or [1] * axes)
    pads = tuple(node.attribute("pads") or [0] * 2 * axes)
    window = _Window(kernel, strides, dilations, pads[:axes], pads[axes:])
    mode = node.attribute("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return window
    none = (0,) * axes
    if mode == "VALID":
        return _Window(kernel, strides, dilations, none, none)
    totals = [
        max((-(-size // step) - 1) * step + reach - size, 0)
        for size, step, reach in zip(sizes, strides, window.reach, strict=True)
    ]
    less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    before, behind = (less, more) if mode == "SAME_UPPER" else (more, less)
    return _Window(kernel, strides, dilations, before, behind)


def _padding(before: tuple[int, ...], behind: tuple[int, ...]) -> list[int]:
    """As ``torch.nn.functional.pad`` wants it: the last axis first."""
    pairs = reversed(list(zip(before, behind, strict=True)))
    return [amount for pair in pairs for amount in pair]


def _padded(node: OnnxNode, x: Operand, window: _Window, value: float = 0.0) -> Operand:
    amounts = _padding(window.before, window.behind)
    return node.emit(partial(functional.pad, pad=amounts, value=value), x, part="pad")


def _conv(node: OnnxNode) -> Operand:
    x, weight, bias = node.operand(0), node.operand(1), node.optional(2)
    window = _window(node, x.shape[2:], weight.shape[2:])
    groups, axes = node.attribute("group", 1), x.rank - 2
    padding: tuple[int, ...] = window.before
    if not window.symmetric:
        x, padding = _padded(node, x, window), (0,) * axes
    options = {
        "stride": window.strides,
        "padding": padding,
        "dilation": window.dilations,
        "groups": groups,
    }
    if weight.constant is None or (bias is not None and bias.constant is None):
        function = partial(_FUNCTION["Conv"][axes - 1], **options)
        return node.emit(function, x, weight, *([] if bias is None else [bias]))
    layer = _CONV[axes - 1](
        weight.shape[1] * groups,
        weight.shape[0],
        window.kernel,
        bias=bias is not None,
        **options,
    )
    return node.emit(_with_weights(layer, weight, bias), x)


def _conv_transpose(node: OnnxNode) -> Operand:
    x, weight, bias = node.operand(0), node.operand(1), node.optional(2)
    axes, sizes = x.rank - 2, x.shape[2:]
    window = _window(node, sizes, weight.shape[2:])
    extra = tuple(node.attribute("output_padding") or [0] * axes)
    before, behind = _transposed_padding(node, window, sizes, extra)
    groups = node.attribute("group", 1)
    options: dict[str, Any] = {
        "stride": window.strides,
        "dilation": window.dilations,
        "groups": groups,
    }
    crop: list[int] = []
    if before == behind:
        options |= {"padding": before, "output_padding": extra}
    else:  # the whole of it, then what was asked for
        more = tuple(max(e - b, 0) for e, b in zip(extra, behind, strict=True))
        less = tuple(max(b - e, 0) for e, b in zip(extra, behind, strict=True))
        options |= {"padding": (0,) * axes, "output_padding": more}
        crop = _padding(tuple(-b for b in before), tuple(-b for b in less))
    if weight.constant is None or (bias is not None and bias.constant is None):
        function = partial(_FUNCTION["ConvTranspose"][axes - 1], **options)
        result = node.emit(function, x, weight, *([] if bias is None else [bias]))
    else:
        layer = _CONV_TRANSPOSE[axes - 1](
            weight.shape[0],
            weight.shape[1] * groups,
            window.kernel,
            bias=bias is not None,
            **options,
        )
        result = node.emit(_with_weights(layer, weight, bias), x)
    return node.emit(partial(functional.pad, pad=crop), result, part="crop") if crop else result


def _transposed_padding(
    node: OnnxNode, window: _Window, sizes: tuple[int, ...], extra: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is cut off before and behind, from ``pads``, ``auto_pad`` or ``output_shape``."""
    mode, shape = node.attribute("auto_pad", "NOTSET"), node.attribute("output_shape")
    if shape is None and mode in ("NOTSET", "VALID"):
        return window.before, window.behind
    if shape is None:
        wanted = [size * step for size, step in zip(sizes, window.strides, strict=True)]
    else:
        wanted = list(shape)[-len(sizes) :]
    totals = [
        step * (size - 1) + more + reach - want
        for step, size, more, reach, want in zip(
            window.strides, sizes, extra, window.reach, wanted, strict=True
        )
    ]
    if min(totals) < 0:
        raise UnsupportedError("its output is larger than its windows reach")
    less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return (less, more) if mode == "SAME_UPPER" else (more, less)


def _with_weights(layer: Any, weight: Operand, bias: Operand | None) -> Any:
    if weight.constant is not None:
        layer.weight = nn.Parameter(weight.constant)
    if bias is not None and bias.constant is not None:
        layer.bias = nn.Parameter(bias.constant)
    return layer


def _max_pool(node: OnnxNode) -> Operand:
    node.only_first_output()
    x = node.operand(0)
    window = _window(node, x.shape[2:], tuple(node.attribute("kernel_shape")))
    ceil = bool(node.attribute("ceil_mode", 0))
    module = _MAX_POOL[x.rank - 3]
    options = {"stride": window.strides, "dilation": window.dilations}
    own = _own_mode(window, x.shape[2:], ceil)
    if own is not None:
        return node.emit(module(window.kernel, padding=window.before, **own, **options), x)
    # Nothing that is added may win.
    lowest = torch.finfo(x.dtype).min
    x = _padded(node, x, window, lowest)
    return node.emit(module(window.kernel, ceil_mode=ceil, **options), x)


def _own_mode(
    window: _Window, sizes: tuple[int, ...], ceil: bool
) -> dict[Literal["ceil_mode"], bool] | None:
    """How PyTorch's pooling, which adds as much behind as before, has the very windows wanted.

    What is added does not count, so windows are the same where they start at the same places.
    """
    if any(2 * before > size for before, size in zip(window.before, window.kernel, strict=True)):
        return None
    wanted = window.counts(sizes, ceil)
    symmetric = _Window(
        window.kernel, window.strides, window.dilations, window.before, window.before
    )
    for mode in (False, True):
        if symmetric.counts(sizes, mode) == wanted:
            return {"ceil_mode": mode}
    return None


def _average_pool(node: OnnxNode) -> Operand:
    x = node.operand(0)
    window = _window(node, x.shape[2:], tuple(node.attribute("kernel_shape")))
    if set(window.dilations) != {1}:
        raise UnsupportedError("PyTorch has no average over dilated windows")
    ceil = bool(node.attribute("ceil_mode", 0))
    counted = bool(node.attribute("count_include_pad", 0))
    make: Callable[..., nn.Module] = _AVG_POOL[x.rank - 3]
    module = partial(make, window.kernel, window.strides)
    unpadded = not any((*window.before, *window.behind))
    own = None if counted and not unpadded else _own_mode(window, x.shape[2:], ceil)
    if own is not None:
        return node.emit(module(padding=window.before, count_include_pad=False, **own), x)
    pool = module(ceil_mode=ceil)
    inside = node.known(torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype))
    result = node.emit(pool, _padded(node, x, window))
    if counted:
        return result
    share = node.emit(pool, _padded(node, inside, window))
    return node.emit(torch.div, result, share, part="share")


def _global_average(node: OnnxNode) -> Operand:
    axes = tuple(range(2, node.operand(0).rank))
    return node.emit(partial(torch.mean, dim=axes, keepdim=True), node.operand(0))


def _global_max(node: OnnxNode) -> Operand:
    axes = tuple(range(2, node.operand(0).rank))
    return node.emit(partial(torch.amax, dim=axes, keepdim=True), node.operand(0))


RULES: Mapping[str, Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average,
    "GlobalMaxPool": _global_max,
}
