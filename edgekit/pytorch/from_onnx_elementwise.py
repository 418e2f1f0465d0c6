"""ONNX operators that work element by element: activations, arithmetic, comparisons, casts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from edgekit.pytorch.from_onnx_graph import OnnxNode, Operand, Rule, UnsupportedError

_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _unary(layer: Callable[..., Any]) -> Rule:
    return lambda node: node.emit(layer, node.operand(0))


def _module(make: Callable[[OnnxNode], nn.Module]) -> Rule:
    return lambda node: node.emit(make(node), node.operand(0))


def _binary(function: Callable[..., torch.Tensor]) -> Rule:
    return lambda node: node.emit(function, node.operand(0), node.operand(1))


def _variadic(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Rule:
    def rule(node: OnnxNode) -> Operand:
        operands = [node.operand(index) for index in range(len(node.operands))]
        return node.emit(lambda *tensors: reduce(function, tensors), *operands)

    return rule


def _mean(node: OnnxNode) -> Operand:
    operands = [node.operand(index) for index in range(len(node.operands))]
    return node.emit(lambda *tensors: reduce(torch.add, tensors) / len(tensors), *operands)


def _divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


def _power(base: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    return torch.pow(base, exponent).to(base.dtype)


def _modulo(node: OnnxNode) -> Operand:
    function = torch.fmod if node.attribute("fmod", 0) else torch.remainder
    return node.emit(function, node.operand(0), node.operand(1))


def _clip(node: OnnxNode) -> Operand:
    x, low, high = node.operand(0), node.optional(1), node.optional(2)
    if all(bound is None or bound.constant is not None for bound in (low, high)):
        ends = [
            None if bound is None or bound.constant is None else bound.constant.item()
            for bound in (low, high)
        ]
        return node.emit(_clip_layer(ends[0], ends[1], x.dtype.is_floating_point), x)
    bounds = {"min": low, "max": high}
    given = {name: bound for name, bound in bounds.items() if bound is not None}

    def clamp(tensor: torch.Tensor, *limits: torch.Tensor) -> torch.Tensor:
        return torch.clamp(tensor, **dict(zip(given, limits, strict=True)))

    return node.emit(clamp, x, *given.values())


def _clip_layer(
    low: float | None, high: float | None, floating: bool
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The activation that has a name, where the limits are those of one."""
    unbounded = high is None or high >= torch.finfo(torch.float32).max
    if floating and low == 0 and unbounded:
        return nn.ReLU()
    if floating and (low, high) == (0, 6):
        return nn.ReLU6()
    if floating and low is not None and high is not None and low < high and not math.isinf(high):
        return nn.Hardtanh(low, high)
    if low is None and high is None:
        return nn.Identity()
    return partial(torch.clamp, min=low, max=high)


def _hard_sigmoid(node: OnnxNode) -> nn.Module | Callable[..., torch.Tensor]:
    alpha, beta = node.attribute("alpha", 0.2), node.attribute("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        return nn.Hardsigmoid()
    return lambda x: torch.clamp(alpha * x + beta, 0, 1)


def _selu(node: OnnxNode) -> Operand:
    alpha = node.attribute("alpha", _SELU_ALPHA)
    gamma = node.attribute("gamma", _SELU_GAMMA)
    return node.emit(
        lambda x: gamma * torch.where(x > 0, x, alpha * torch.expm1(x)), node.operand(0)
    )


def _prelu(node: OnnxNode) -> Operand:
    x, slope = node.operand(0), node.operand(1)
    value = slope.constant
    channels = x.rank > 1 and slope.shape == (x.shape[1], *[1] * (x.rank - 2))
    if value is not None and (value.numel() == 1 or channels):
        layer = nn.PReLU(value.numel())
        layer.weight = nn.Parameter(value.flatten().clone())
        return node.emit(layer, x)
    return node.emit(lambda x, slope: torch.where(x >= 0, x, x * slope), x, slope)


def _thresholded_relu(node: OnnxNode) -> Operand:
    alpha = node.attribute("alpha", 1.0)
    return node.emit(lambda x: torch.where(x > alpha, x, 0), node.operand(0))


def _cast(node: OnnxNode) -> Operand:
    return node.emit(partial(_to, dtype=torch_dtype(node.attribute("to"))), node.operand(0))


def _cast_like(node: OnnxNode) -> Operand:
    return node.emit(partial(_to, dtype=node.operand(1).dtype), node.operand(0))


def _to(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype)


def torch_dtype(number: int) -> torch.dtype:
    """The torch type of ONNX's ``TensorProto.DataType``."""
    from onnx import TensorProto

    name = TensorProto.DataType.Name(number)
    found = getattr(torch, {"FLOAT": "float32", "DOUBLE": "float64"}.get(name, name.lower()), None)
    if not isinstance(found, torch.dtype):
        raise UnsupportedError(f"PyTorch has no type {name}")
    return found


def _dropout(node: OnnxNode) -> Operand:
    node.only_first_output()
    training = node.optional(2)
    if training is not None and (training.constant is None or bool(training.constant)):
        raise UnsupportedError("it is in training mode")
    return node.operand(0)


def _is_infinite(node: OnnxNode) -> Operand:
    positive, negative = node.attribute("detect_positive", 1), node.attribute("detect_negative", 1)
    if not (positive and negative):
        raise UnsupportedError("it looks for one sign of infinity only")
    return node.emit(torch.isinf, node.operand(0))


def _where(node: OnnxNode) -> Operand:
    return node.emit(torch.where, node.operand(0), node.operand(1), node.operand(2))


RULES: Mapping[str, Rule] = {
    "Abs": _unary(torch.abs),
    "Acos": _unary(torch.acos),
    "Acosh": _unary(torch.acosh),
    "Asin": _unary(torch.asin),
    "Asinh": _unary(torch.asinh),
    "Atan": _unary(torch.atan),
    "Atanh": _unary(torch.atanh),
    "Ceil": _unary(torch.ceil),
    "Cos": _unary(torch.cos),
    "Cosh": _unary(torch.cosh),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor),
    "Log": _unary(torch.log),
    "Neg": _unary(torch.neg),
    "Reciprocal": _unary(torch.reciprocal),
    "Round": _unary(torch.round),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Sinh": _unary(torch.sinh),
    "Sqrt": _unary(torch.sqrt),
    "Tan": _unary(torch.tan),
    "Not": _unary(torch.logical_not),
    "IsNaN": _unary(torch.isnan),
    "IsInf": _is_infinite,
    "Softsign": _unary(functional.softsign),
    "Relu": _module(lambda node: nn.ReLU()),
    "Sigmoid": _module(lambda node: nn.Sigmoid()),
    "Tanh": _module(lambda node: nn.Tanh()),
    "Softplus": _module(lambda node: nn.Softplus()),
    "HardSwish": _module(lambda node: nn.Hardswish()),
    "Mish": _module(lambda node: nn.Mish()),
    "LeakyRelu": _module(lambda node: nn.LeakyReLU(node.attribute("alpha", 0.01))),
    "Elu": _module(lambda node: nn.ELU(node.attribute("alpha", 1.0))),
    "Celu": _module(lambda node: nn.CELU(node.attribute("alpha", 1.0))),
    "Gelu": _module(lambda node: nn.GELU(node.attribute("approximate", "none"))),
    "Selu": _selu,
    "PRelu": _prelu,
    "ThresholdedRelu": _thresholded_relu,
    "HardSigmoid": lambda node: node.emit(_hard_sigmoid(node), node.operand(0)),
    "Clip": _clip,
    "Add": _binary(torch.add),
    "Sub": _binary(torch.sub),
    "Mul": _binary(torch.mul),
    "Div": _binary(_divide),
    "Pow": _binary(_power),
    "Mod": _modulo,
    "Max": _variadic(torch.maximum),
    "Min": _variadic(torch.minimum),
    "Sum": _variadic(torch.add),
    "Mean": _mean,
    "And": _binary(torch.logical_and),
    "Or": _binary(torch.logical_or),
    "Xor": _binary(torch.logical_xor),
    "Equal": _binary(torch.eq),
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "Where": _where,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Identity": lambda node: node.operand(0),
    "Dropout": _dropout,
}
