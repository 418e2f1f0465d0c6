"""How much of the noise at the primary output each layer is to blame for, measured one at a time.

A layer's activation alone is stored in INT8 and everything else stays float, so the noises of
different layers come from the same float answers and can be ranked. Only what lies behind a layer
is computed again. That noises add up is an assumption, as in all such rankings (Lin et al. 2016,
arXiv:1511.06393); what a set of layers really gains is measured on the artefact.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit.optimize.fake_quant import Stored, fake_quantize
from edgekit.optimize.layer_rows import as_matrices, from_matrices
from edgekit.optimize.rounding import round_nearest
from edgekit.optimize.torch_graph import TorchGraph
from edgekit.tflite.graph import SAME_SCALE, Op
from edgekit.tflite.links import is_layer


@dataclass(frozen=True)
class Sensitivity:
    """``noise`` is ``sum (f - q)^2 / sum f^2`` of the primary output where only ``layer`` is
    quantized, ``share`` its part of the sum over all layers (0 where nothing makes any noise)."""

    layer: str
    noise: float
    share: float


@torch.no_grad()
def measure_sensitivity(
    graph: TorchGraph,
    stored_as: Mapping[int, Stored],
    feeds: Mapping[int, Tensor],
    output: int,
    *,
    weights: bool,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Sensitivity, ...]:
    """The layers whose output ``stored_as`` says is quantized, in the graph's order.

    ``feeds`` are samples along axis 0, all of whose activations are in memory at once; ``output``
    is the tensor index of the primary output. With ``weights`` those of the layer are rounded to
    the nearest as well. ``advance`` is called after each operator.
    """
    exact: dict[int, Tensor] = {}

    def keep(index: int, value: Tensor) -> Tensor:
        exact[index] = value
        return value

    graph.run(feeds, keep)
    power = float(exact[output].double().square().sum())
    noises: dict[str, float] = {}
    for position, op in enumerate(graph.graph.ops):
        (out,) = op.outputs
        if out in stored_as and op.name not in SAME_SCALE:
            value = exact[out]
            if weights and is_layer(graph.graph, op):
                rounded = {**graph.constants, op.inputs[1]: _rounded(graph, op, exact)}
                value = graph.compute(op, graph.options[position], exact, rounded)
            changed = {out: fake_quantize(value, stored_as[out])}
            answer = _behind(graph, position, changed, exact, output)
            error = float((answer - exact[output]).double().square().sum())
            noises[graph.graph.layer(op)] = error / power if power > 0 else 0.0
        advance()
    total = sum(noises.values())
    return tuple(
        Sensitivity(layer, noise, noise / total if total > 0 else 0.0)
        for layer, noise in noises.items()
    )


def _behind(
    graph: TorchGraph,
    position: int,
    changed: dict[int, Tensor],
    exact: Mapping[int, Tensor],
    output: int,
) -> Tensor:
    """The value of ``output`` where the tensors in ``changed`` are otherwise than ``exact``."""
    left = graph.readings()
    values = ChainMap(changed, dict(exact))
    ops = zip(graph.graph.ops[position + 1 :], graph.options[position + 1 :], strict=True)
    for op, options in ops:
        if any(index in changed for index in op.inputs):
            changed[op.outputs[0]] = graph.compute(op, options, values, graph.constants)
        for index in op.inputs:
            if index in changed:
                left[index] -= 1
                if left[index] == 0:
                    del changed[index]
    return values[output]


def _rounded(graph: TorchGraph, op: Op, exact: Mapping[int, Tensor]) -> Tensor:
    """The weights of ``op`` on the INT8 grid of each output channel."""
    weights = graph.constants[op.inputs[1]]
    groups = 1
    if op.name == "DEPTHWISE_CONV_2D":
        groups = exact[op.inputs[0]].shape[3]
    return from_matrices(op, round_nearest(as_matrices(op, weights, groups)), weights.shape)
