"""Whether the answers of a quantized engine of torch can be trusted.

An engine is held to its own reference: the same codes of weights and activations, multiplied in
float. An integer kernel that is right differs from that by float rounding; one that overflows, or
that this build or machine has broken, differs by far more.

Imports torch; the method imports it when it quantizes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from edgekit.errors import ConversionError
from edgekit.pytorch.dynamic_modules import halves_activations, weight_observer
from edgekit.pytorch.script import Example
from edgekit.runtimes.torchscript import on_engine

TRUSTED_DB = 40.0
"""An engine's product must be this close to its reference, as signal to noise."""
ROWS_MAX = 256
"""Activation vectors that a weight matrix is tried on."""
_MATRIX = re.compile(r"weight|weight_[ih]h(_l\d+(_reverse)?)?")
_UPPER = re.compile(r"_l[1-9]")


@dataclass(frozen=True)
class Product:
    """A matrix of weights ``[rows, columns]`` and activations ``[vectors, columns]`` it met."""

    module: str
    weight: torch.Tensor
    activations: torch.Tensor


def observed_products(
    model: nn.Module, names: Sequence[str], examples: Sequence[Example]
) -> tuple[Product, ...]:
    """Run ``examples`` through the float model and keep what the modules ``names`` multiply.

    A module that no example reaches gives none.
    """
    seen: dict[str, list[tuple[Any, Any]]] = {name: [] for name in names}
    with ExitStack() as hooks, torch.inference_mode():
        for name in names:
            handle = model.get_submodule(name).register_forward_hook(partial(_note, seen[name]))
            hooks.callback(handle.remove)
        for tensors in examples:
            model(*tensors)
    return tuple(
        product
        for name in names
        for product in _products(name, model.get_submodule(name), seen[name])
    )


def trusted_engine(
    engines: Sequence[str],
    products: Sequence[Product],
    bits: Mapping[str, Mapping[str, int]],
    *,
    per_channel: bool,
) -> str:
    """The first of ``engines`` that agrees with its reference on every one of ``products``, of
    which there must be one to learn anything; ``bits`` are those of the weights, by engine and
    module.

    Raises:
        ConversionError: none does; each is named with the module it fails on.
    """
    refused = []
    for engine in engines:
        worst = min(
            (
                (
                    agreement_db(p, bits[engine][p.module], engine, per_channel=per_channel),
                    p.module,
                )
                for p in products
            ),
            default=(float("inf"), ""),
        )
        if worst[0] >= TRUSTED_DB:
            return engine
        refused.append(f"{engine} ({worst[0]:.0f} dB at {worst[1] or 'the model'})")
    raise ConversionError(
        f"no quantized engine of torch {torch.__version__} agrees with its own reference on this "
        f"machine: {', '.join(refused)}; at least {TRUSTED_DB:.0f} dB is asked for",
        hint="Quantize on another machine, or with quantize.method: dynamic_torchao.",
    )


def agreement_db(product: Product, weight_bits: int, engine: str, *, per_channel: bool) -> float:
    """How close ``engine`` comes to the same codes multiplied in float, as SQNR in dB."""
    weight = _quantized(product.weight, weight_bits, per_channel)
    halved = halves_activations(weight_bits, engine)
    with on_engine(engine, "the model"):
        prepacked = torch.ops.quantized.linear_prepack(weight, None)
        found = torch.ops.quantized.linear_dynamic(product.activations, prepacked, halved)
    wanted = _fake_quantized(product.activations, 127 if halved else 255) @ weight.dequantize().T
    noise = (wanted - found).double().square().sum()
    return (
        float(10 * torch.log10(wanted.double().square().sum() / noise)) if noise else float("inf")
    )


def _quantized(weight: torch.Tensor, bits: int, per_channel: bool) -> torch.Tensor:
    observer = weight_observer(bits, per_channel=per_channel)()
    observer(weight)
    scales, zero_points = observer.calculate_qparams()
    if per_channel:
        return torch.quantize_per_channel(weight, scales, zero_points.long(), 0, torch.qint8)
    return torch.quantize_per_tensor(weight, float(scales), int(zero_points), torch.qint8)


def _fake_quantized(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Rounded to ``levels`` steps between its extremes, as the engines do it at run time."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    scale = (high - low) / levels or 1.0
    zero_point = min(max(round(-low / scale), 0), levels)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, levels)


def _note(seen: list[tuple[Any, Any]], module: nn.Module, inputs: Any, output: Any) -> None:
    seen.append((inputs[0] if inputs else None, output))


def _products(name: str, module: Any, seen: Sequence[tuple[Any, Any]]) -> Iterator[Product]:
    """What each matrix of a module meets: its input, or the states of a recurrent one. Of a stack
    only the last layer's are seen, both directions side by side; they stand in for the others."""
    given = _rows([before for before, _ in seen])
    states = _rows([after[0] if isinstance(after, tuple) else after for _, after in seen])
    own = [key for key, _ in module.named_parameters(recurse=False) if _MATRIX.fullmatch(key)]
    for key in own or ["weight"]:  # a weight that is computed is no parameter
        weight = getattr(module, key).detach().float()
        width = weight.shape[1]
        inside = key.startswith("weight_hh") or _UPPER.search(key) is not None
        met = states if inside else given
        if met is not None and met.shape[1] >= width:
            columns = slice(-width, None) if key.endswith("_reverse") else slice(width)
            yield Product(name, weight, met[:, columns].contiguous())


def _rows(values: Sequence[Any]) -> torch.Tensor | None:
    tensors = [
        value.detach().reshape(-1, value.shape[-1]).float()
        for value in values
        if isinstance(value, torch.Tensor) and value.ndim and value.numel()
    ]
    return torch.cat(tensors)[:ROWS_MAX].clone() if tensors else None
