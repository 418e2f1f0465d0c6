"""ONNX operators with weights that are no convolutions: matrix products, norms, LSTM and GRU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from edgekit.pytorch.from_onnx_graph import OnnxNode, Operand, Rule, UnsupportedError

_BATCH_NORM: Mapping[int, type[Any]] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}
_INSTANCE_NORM: Mapping[int, type[Any]] = {
    3: nn.InstanceNorm1d,
    4: nn.InstanceNorm2d,
    5: nn.InstanceNorm3d,
}


def _matmul(node: OnnxNode) -> Operand:
    a, b = node.operand(0), node.operand(1)
    if a.constant is None and b.constant is not None and b.rank == 2 and _floating(b):
        return node.emit(_linear(b.constant.t(), None), a)
    return node.emit(torch.matmul, a, b)


def _gemm(node: OnnxNode) -> Operand:
    a, b, c = node.operand(0), node.operand(1), node.optional(2)
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    turned = bool(node.attribute("transA", 0)), bool(node.attribute("transB", 0))
    if turned[0]:
        a = node.emit(torch.t, a, part="transposed")
    if a.constant is None and b.constant is not None and _floating(b):
        weight = b.constant if turned[1] else b.constant.t()
        outputs = weight.shape[0]
        if c is None:
            return node.emit(_linear(alpha * weight, None), a)
        # A bias is one number each output; what has rows of its own is added behind.
        if c.constant is not None and c.shape in ((), (1,), (1, 1), (outputs,), (1, outputs)):
            bias = (beta * c.constant).reshape(-1).expand(outputs)
            return node.emit(_linear(alpha * weight, bias), a)

    def product(a: torch.Tensor, b: torch.Tensor, *added: torch.Tensor) -> torch.Tensor:
        found = torch.matmul(a, b.t() if turned[1] else b)
        if alpha != 1.0:
            found = found * alpha
        # litert-torch has no add with a factor.
        return found + (added[0] if beta == 1.0 else beta * added[0]) if added else found

    return node.emit(product, a, b, *([] if c is None else [c]))


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.contiguous())
    if bias is not None:
        layer.bias = nn.Parameter(bias.contiguous())
    return layer


def _floating(operand: Operand) -> bool:
    return operand.dtype.is_floating_point


def _einsum(node: OnnxNode) -> Operand:
    equation = node.attribute("equation")
    operands = [node.operand(index) for index in range(len(node.operands))]
    return node.emit(lambda *tensors: torch.einsum(equation, *tensors), *operands)


def _batch_norm(node: OnnxNode) -> Operand:
    if node.attribute("training_mode", 0):
        raise UnsupportedError("it is in training mode")
    x, epsilon = node.operand(0), node.attribute("epsilon", 1e-5)
    scale, shift, mean, variance = (
        node.constant(index, what)
        for index, what in enumerate(("scale", "bias", "mean", "variance"), start=1)
    )
    if x.rank not in _BATCH_NORM:
        raise UnsupportedError(f"PyTorch has no batch norm of {x.rank} axes")
    layer = _BATCH_NORM[x.rank](x.shape[1], eps=epsilon)
    layer.weight, layer.bias = nn.Parameter(scale), nn.Parameter(shift)
    layer.running_mean, layer.running_var = mean, variance
    return node.emit(layer.eval(), x)


def _instance_norm(node: OnnxNode) -> Operand:
    x, epsilon = node.operand(0), node.attribute("epsilon", 1e-5)
    if x.rank not in _INSTANCE_NORM:
        raise UnsupportedError(f"PyTorch has no instance norm of {x.rank} axes")
    layer = _INSTANCE_NORM[x.rank](x.shape[1], eps=epsilon, affine=True)
    layer.weight = nn.Parameter(node.constant(1, "scale"))
    layer.bias = nn.Parameter(node.constant(2, "bias"))
    return node.emit(layer, x)


def _layer_norm(node: OnnxNode) -> Operand:
    node.only_first_output()
    x, scale, shift = node.operand(0), node.operand(1), node.optional(2)
    shape = x.shape[node.attribute("axis", -1) % x.rank :]
    epsilon = node.attribute("epsilon", 1e-5)
    if scale.constant is None or (shift is not None and shift.constant is None):
        raise UnsupportedError("its scale or bias is computed from the model's inputs")
    layer = nn.LayerNorm(shape, eps=epsilon, bias=shift is not None)
    layer.weight = nn.Parameter(scale.constant.expand(shape).clone())
    if shift is not None and shift.constant is not None:
        layer.bias = nn.Parameter(shift.constant.expand(shape).clone())
    return node.emit(layer, x)


def _group_norm(node: OnnxNode) -> Operand:
    x, groups = node.operand(0), node.attribute("num_groups")
    scale, shift = node.constant(1, "scale"), node.constant(2, "bias")
    layer = nn.GroupNorm(groups, x.shape[1], eps=node.attribute("epsilon", 1e-5))
    # One number a group before opset 21, one a channel since.
    each = x.shape[1] // scale.numel()
    layer.weight = nn.Parameter(scale.repeat_interleave(each))
    layer.bias = nn.Parameter(shift.repeat_interleave(each))
    return node.emit(layer, x)


def _lp_normalization(node: OnnxNode) -> Operand:
    axis, order = node.attribute("axis", -1), node.attribute("p", 2)

    def normalise(x: torch.Tensor) -> torch.Tensor:
        length = torch.abs(x).sum(axis, True) if order == 1 else (x * x).sum(axis, True).sqrt()
        return x / length

    return node.emit(normalise, node.operand(0))


def _local_response(node: OnnxNode) -> Operand:
    size = node.attribute("size")
    if size % 2 == 0:
        raise UnsupportedError("an even number of neighbours lies differently in PyTorch")
    function = partial(
        functional.local_response_norm,
        size=size,
        alpha=node.attribute("alpha", 1e-4),
        beta=node.attribute("beta", 0.75),
        k=node.attribute("bias", 1.0),
    )
    return node.emit(function, node.operand(0))


def _lstm(node: OnnxNode) -> tuple[Operand, ...]:
    if node.optional(7) is not None or node.attribute("input_forget", 0):
        raise UnsupportedError("PyTorch's LSTM has neither peepholes nor coupled gates")
    return _recurrent(node, nn.LSTM, (0, 2, 3, 1), ["Sigmoid", "Tanh", "Tanh"])


def _gru(node: OnnxNode) -> tuple[Operand, ...]:
    if not node.attribute("linear_before_reset", 0):
        raise UnsupportedError("PyTorch's GRU resets behind the product (linear_before_reset)")
    return _recurrent(node, nn.GRU, (1, 0, 2), ["Sigmoid", "Tanh"])


def _recurrent(
    node: OnnxNode, module: type[Any], order: tuple[int, ...], activations: list[str]
) -> tuple[Operand, ...]:
    """``order`` has PyTorch's gates by their places among ONNX's."""
    x, weight = node.operand(0), node.constant(1, "weight")
    recurrence, hidden = node.constant(2, "recurrence weight"), node.attribute("hidden_size")
    directions = weight.shape[0]
    asked = node.attribute("activations", activations * directions)
    asked = [one.decode() if isinstance(one, bytes) else one for one in asked]
    if asked != activations * directions or node.attribute("clip") is not None:
        raise UnsupportedError("it has activations or a limit that PyTorch's has not")
    if node.attribute("layout", 0) or node.attribute("direction", "forward") == "reverse":
        raise UnsupportedError("its layout or direction is one that PyTorch's has not")
    lengths = node.integers(4, "sequence lengths")
    if lengths is not None and set(lengths) != {x.shape[0]}:
        raise UnsupportedError("its sequences differ in length")
    layer = module(x.shape[2], hidden, bidirectional=directions == 2)
    given = node.optional(3)
    bias = torch.zeros(directions, 2 * len(order) * hidden)
    if given is not None:
        bias = node.constant(3, "bias")
    for direction in range(directions):
        tail = "_reverse" if direction else ""
        halves = bias[direction].chunk(2)
        for name, value in (
            ("weight_ih", weight[direction]),
            ("weight_hh", recurrence[direction]),
            ("bias_ih", halves[0]),
            ("bias_hh", halves[1]),
        ):
            gates = value.chunk(len(order))
            ordered = torch.cat([gates[place] for place in order])
            setattr(layer, f"{name}_l0{tail}", nn.Parameter(ordered))
    starts = [node.optional(index) for index in ((5, 6) if module is nn.LSTM else (5,))]
    none = node.known(torch.zeros(directions, x.shape[1], hidden))
    states = [none if start is None else start for start in starts]
    answer = node.emit_all(_Recurrent(layer, directions), x, *states)
    return answer[: len(node.outputs)]


class _Recurrent(nn.Module):
    """ONNX's order of axes around PyTorch's layer: Y is [steps, directions, batch, hidden]."""

    def __init__(self, layer: Any, directions: int) -> None:
        super().__init__()
        self.layer = layer
        self.directions = directions

    def forward(self, x: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found, last = self.layer(x, states if len(states) == 2 else states[0])
        steps, batch, width = found.shape
        split = found.reshape(steps, batch, self.directions, width // self.directions)
        return (split.permute(0, 2, 1, 3), *(last if isinstance(last, tuple) else (last,)))


RULES: Mapping[str, Rule] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "LpNormalization": _lp_normalization,
    "LRN": _local_response,
    "LSTM": _lstm,
    "GRU": _gru,
}
