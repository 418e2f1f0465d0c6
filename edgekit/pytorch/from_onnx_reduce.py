"""ONNX operators that reduce axes, and those that normalise over one: softmax, running sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from edgekit.pytorch.from_onnx_graph import OnnxNode, Operand, Rule, UnsupportedError

_Reduction = Callable[[torch.Tensor, list[int], bool], torch.Tensor]


def _reduction(reduce: _Reduction) -> Rule:
    """Axes are an attribute of older operators and an input of newer ones."""

    def rule(node: OnnxNode) -> Operand:
        x = node.operand(0)
        axes = node.attribute("axes") or node.integers(1, "axes")
        keep = bool(node.attribute("keepdims", 1))
        if not axes and node.attribute("noop_with_empty_axes", 0):
            return x
        axes = [axis % x.rank for axis in axes] if axes else list(range(x.rank))
        if not axes:  # a scalar
            axes, keep = [], keep
            return node.emit(lambda tensor: reduce(tensor.reshape(1), [0], False), x)
        return node.emit(lambda tensor: reduce(tensor, axes, keep), x)

    return rule


def _mean(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    if not x.is_floating_point():
        raise UnsupportedError("it averages integers")
    return torch.mean(x, axes, keep)


def _sum(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    return torch.sum(x, axes, keep, dtype=x.dtype)


def _product(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keep, dtype=x.dtype)
    return x


def _l2(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    return torch.sqrt(_sum(x * x, axes, keep))


def _softmax(make: Callable[[int], nn.Module]) -> Rule:
    return lambda node: node.emit(make(node.attribute("axis", -1)), node.operand(0))


def _arg(function: Callable[..., torch.Tensor]) -> Rule:
    def rule(node: OnnxNode) -> Operand:
        if node.attribute("select_last_index", 0):
            raise UnsupportedError("it wants the last of equal elements (select_last_index)")
        axis, keep = node.attribute("axis", 0), bool(node.attribute("keepdims", 1))
        return node.emit(lambda x: function(x, axis, keepdim=keep), node.operand(0))

    return rule


def _running_sum(node: OnnxNode) -> Operand:
    (axis,) = node.constant(1, "axis").flatten().tolist()
    exclusive, backwards = node.attribute("exclusive", 0), node.attribute("reverse", 0)

    def sums(x: torch.Tensor) -> torch.Tensor:
        x = torch.flip(x, [axis]) if backwards else x
        total = torch.cumsum(x, axis, dtype=x.dtype)
        total = total - x if exclusive else total
        return torch.flip(total, [axis]) if backwards else total

    return node.emit(sums, node.operand(0))


def _top_k(node: OnnxNode) -> tuple[Operand, ...]:
    (count,) = node.constant(1, "k").flatten().tolist()
    return node.emit_all(
        partial(
            _top,
            count=int(count),
            axis=node.attribute("axis", -1),
            largest=bool(node.attribute("largest", 1)),
        ),
        node.operand(0),
    )


def _top(x: torch.Tensor, count: int, axis: int, largest: bool) -> tuple[torch.Tensor, ...]:
    return tuple(torch.topk(x, count, axis, largest, sorted=True))


RULES: Mapping[str, Rule] = {
    "ReduceMean": _reduction(_mean),
    "ReduceSum": _reduction(_sum),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMin": _reduction(torch.amin),
    "ReduceProd": _reduction(_product),
    "ReduceL1": _reduction(lambda x, axes, keep: _sum(torch.abs(x), axes, keep)),
    "ReduceL2": _reduction(_l2),
    "ReduceLogSum": _reduction(lambda x, axes, keep: torch.log(_sum(x, axes, keep))),
    "ReduceLogSumExp": _reduction(torch.logsumexp),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: _sum(x * x, axes, keep)),
    "Softmax": _softmax(nn.Softmax),
    "LogSoftmax": _softmax(nn.LogSoftmax),
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "CumSum": _running_sum,
    "TopK": _top_k,
}
