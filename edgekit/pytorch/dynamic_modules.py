"""Dynamic INT8 modules of ``torch.ao`` made from float ones, as ``quantize_dynamic`` makes them.

Two things differ. A module that has several names is replaced under all of them, and what
``torch.ao`` would quantize wrongly stays float with the reason. And bits are dealt out otherwise:
without VNNI, x86 multiplies uint8 activations by int8 weights in pairs whose sum must fit int16,
which full eight bits on both sides overflow. ``torch.ao`` halves the range of the activations,
which have one scale for a whole tensor; here the weights, with a scale for each channel, give the
bit (see ``PAIR_BITS``).

Imports torch; the method imports it when it quantizes.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.ao.nn import quantized as nnq
from torch.ao.nn.quantized import dynamic as nnqd
from torch.ao.quantization import MinMaxObserver, PerChannelMinMaxObserver, QConfig
from torch.ao.quantization.observer import PlaceholderObserver

from edgekit.pytorch.dynamic_plan import DynamicPlan, Kernel, Library, replace_modules

_QConfig: Any = QConfig  # untyped
_CELLS: dict[type[nn.Module], Any] = {
    nn.LSTMCell: nnqd.LSTMCell,
    nn.GRUCell: nnqd.GRUCell,
    nn.RNNCell: nnqd.RNNCell,
}
_SEQUENCES: dict[type[nn.Module], Any] = {nn.LSTM: nnqd.LSTM, nn.GRU: nnqd.GRU}
_TABLES: dict[type[nn.Module], Any] = {
    nn.Embedding: nnq.Embedding,
    nn.EmbeddingBag: nnq.EmbeddingBag,
}
_MATMULS: dict[type[nn.Module], Any] = {nn.Linear: nnqd.Linear, **_SEQUENCES, **_CELLS}
# Versions of torch.ao's modules in which activations have all of their eight bits.
_FULL_LINEAR = 3
_FULL_SEQUENCE = 1

PAIR_BITS = {"x86": 15, "fbgemm": 15, "onednn": 15, "qnnpack": 16}
"""Bits that weights and activations have together, by engine. QNNPACK's kernels widen to int16
before they multiply, so nothing overflows there."""


def library(engine: str) -> Library:
    """What ``torch.ao`` can quantize dynamically on ``engine``."""
    return Library(
        name="torch.ao (dynamic)",
        types=tuple(kind.__name__ for kind in (*_MATMULS, *_TABLES)),
        find=_find,
        bits=tuple(range(2, 9)),
        default_bits=lambda module: default_bits(module, engine),
    )


def default_bits(module: nn.Module, engine: str) -> int:
    """Bits of a matmul's weights where no rule says otherwise."""
    # The operators of single cells halve the range of activations whatever the weights are.
    return 8 if type(module) in _CELLS else PAIR_BITS[engine] - 8


def halves_activations(weight_bits: int, engine: str) -> bool:
    """Whether activations must do with seven bits, because the weights use all eight."""
    return PAIR_BITS[engine] - weight_bits < 8


def quantize_modules(
    model: nn.Module, plan: DynamicPlan, *, per_channel: bool, engine: str
) -> nn.Module:
    """A copy of ``model`` with the modules of ``plan`` in INT8. ``engine`` must be torch's current
    one: weights are packed for it. Tables have a scale for each row in any case."""
    duplicate = copy.deepcopy(model)
    made = {
        name: _matmul(duplicate.get_submodule(name), bits, per_channel, engine)
        for name, bits in plan.matmuls.items()
    }
    made |= {
        name: _table(duplicate.get_submodule(name), bits) for name, bits in plan.tables.items()
    }
    return replace_modules(duplicate, made)


def weight_observer(bits: int, *, per_channel: bool) -> Any:
    """Makes observers of symmetric weights (one scale, or one a row), whose codes are as far from
    zero as ``bits`` allow: all but the smallest of them, so that both signs reach as far."""
    limit = 2 ** (bits - 1) - 1
    observer = PerChannelMinMaxObserver if per_channel else MinMaxObserver
    return observer.with_args(
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric if per_channel else torch.per_tensor_symmetric,
        quant_min=-limit,
        quant_max=limit,
    )


def _find(module: nn.Module) -> Kernel | str:
    kind = type(module)
    name = kind.__name__
    if kind in _TABLES:
        return _table_obstacle(module) or Kernel.TABLE
    if kind in _MATMULS:
        return _matmul_obstacle(module) or Kernel.MATMUL
    if isinstance(
        module, nn.MultiheadAttention | nn.modules.linear.NonDynamicallyQuantizableLinear
    ):
        return "nn.MultiheadAttention reads its weights itself, past any INT8 kernel"
    base = next((base for base in kind.__mro__[1:] if base in _MATMULS or base in _TABLES), None)
    if base is not None:
        return f"{name} is derived from {base.__name__}; torch.ao would lose what it changes"
    return f"torch.ao has no dynamic INT8 kernel for {name}"


def _matmul_obstacle(module: Any) -> str | None:
    if type(module) is nn.Linear:
        return None
    if not module.bias:
        return f"torch.ao's INT8 {type(module).__name__} needs biases"
    if getattr(module, "proj_size", 0):
        return "torch.ao's INT8 LSTM has no projection (proj_size)"
    return None


def _table_obstacle(module: nn.Module) -> str | None:
    if getattr(module, "max_norm", None) is not None:
        return "torch.ao's INT8 tables ignore max_norm"
    mode = getattr(module, "mode", "sum")
    if mode != "sum":  # its operator takes a mode and does not look at it
        return f"torch.ao's INT8 EmbeddingBag always sums; this one has mode '{mode}'"
    if getattr(module, "padding_idx", None) is not None and isinstance(module, nn.EmbeddingBag):
        return "torch.ao's INT8 EmbeddingBag ignores padding_idx"
    return None


def _matmul(module: Any, bits: int, per_channel: bool, engine: str) -> nn.Module:
    module.qconfig = _QConfig(
        activation=PlaceholderObserver, weight=weight_observer(bits, per_channel=per_channel)
    )
    made: Any = _MATMULS[type(module)].from_float(module)
    if halves_activations(bits, engine):
        return made  # type: ignore[no-any-return]
    if type(module) is nn.Linear:
        made.version = _FULL_LINEAR
    elif type(module) in _SEQUENCES:
        made.version = _FULL_SEQUENCE
        made.set_weight_bias({**made.get_weight(), **made.get_bias()})
    return made  # type: ignore[no-any-return]


def _table(module: Any, bits: int) -> nn.Module:
    rows = PerChannelMinMaxObserver.with_args(
        dtype=torch.quint8,
        qscheme=torch.per_channel_affine_float_qparams,
        ch_axis=0,
        quant_min=0,
        quant_max=2**bits - 1,
    )
    module.qconfig = _QConfig(activation=PlaceholderObserver, weight=rows)
    made: nn.Module = _TABLES[type(module)].from_float(module)
    return made
