"""The remedies of this room on files: bytes of a float graph in, bytes of a float graph out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ConversionError
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.constants import with_constants
from edgekit.tflite.graph import Graph, parse_graph
from edgekit.types import Sample

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.optimize.fake_quant import Stored
    from edgekit.optimize.torch_graph import TorchGraph

MEMORY_MAX = 2 << 30
"""Bytes that the activations of one operator may take; fewer samples are looked at beyond."""
_COPIES = 4  # float and stored, each with what an operator makes on its way
_BATCH = 8
AGREES_DB = 60.0
_CHECKED = 2


@dataclass(frozen=True)
class Solved:
    """A float graph with new weights and biases, and how many samples they come from. ``nearest``:
    layers whose weights were left for rounding to the nearest, with the reason."""

    data: bytes
    samples: int
    nearest: Mapping[str, str]


def equalized(data: bytes, samples: Sequence[Sample]) -> bytes | None:
    """The graph with the channels before its depthwise convolutions equalized, or ``None`` where
    there are none to equalize.

    Raises:
        ConversionError: the graph cannot be computed in torch.
    """
    graph = load(data)
    from edgekit.optimize.equalize import equalize

    feeds = _feeds(graph, samples)
    total = next(iter(feeds.values())).shape[0]
    batches = (
        {index: x[start : start + _BATCH] for index, x in feeds.items()}
        for start in range(0, total, _BATCH)
    )
    found = equalize(graph, batches)
    return with_constants(data, {i: x.numpy() for i, x in found.items()}) if found else None


def solved(
    data: bytes,
    quantized: bytes,
    samples: Sequence[Sample],
    *,
    feedback: bool,
    seed: int,
    advance: Callable[[], None],
) -> Solved:
    """The graph with weights and biases that make up for what rounding costs; ``quantized`` is what
    the engine made of it, whose activations are stored as they will be. See ``round_weights``.

    Raises:
        ConversionError: the graph cannot be computed in torch, or its weights became no numbers.
    """
    graph = load(data)
    from edgekit.optimize.rounding import round_weights

    check(graph, data, samples[:_CHECKED])
    chosen = spread(samples, samples_that_fit(graph.graph))
    rounded = round_weights(
        graph,
        stored_as(graph.graph, parse_graph(quantized)),
        _feeds(graph, chosen),
        feedback=feedback,
        seed=seed,
        advance=advance,
    )
    values = {index: x.numpy() for index, x in rounded.constants.items()}
    for index, value in values.items():
        if not np.isfinite(value).all():
            raise ConversionError(f"{graph.graph.tensors[index].name} became NaN or infinite")
    return Solved(with_constants(data, values), len(chosen), rounded.nearest)


def load(data: bytes) -> TorchGraph:
    """See ``load_torch_graph``.

    Raises:
        ConversionError: torch is not installed, or has no rule for an operator.
    """
    # Threads that spin while they wait are ten times slower on a machine with other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from edgekit.optimize.torch_graph import load_torch_graph
    except ImportError as error:
        raise ConversionError(
            "this remedy is computed in torch, which is not installed",
            hint="pip install 'edgekit[torch]'",
        ) from error
    return load_torch_graph(data)


def check(graph: TorchGraph, data: bytes, samples: Sequence[Sample]) -> None:
    """Refuse a graph that torch computes otherwise than the runtime, on several samples at once.

    Raises:
        ConversionError: an output is off, by name.
    """
    answers = graph.run(_feeds(graph, samples))
    with LiteRTSession(data) as session:
        expected = [session.run(sample.feeds) for sample in samples]
    for index, name in zip(graph.graph.outputs, graph.graph.output_names, strict=True):
        wanted = np.concatenate([each[name] for each in expected]).astype(np.float64)
        error = float(((answers[index].numpy() - wanted) ** 2).sum())
        if error > 0 and 10 * log10(float((wanted**2).sum()) / error + 1e-30) < AGREES_DB:
            raise ConversionError(f"torch computes {name} otherwise than LiteRT does")


def stored_as(graph: Graph, quantized: Graph) -> dict[int, Stored]:
    """How each activation of the float ``graph`` is stored in ``quantized``, by tensor index; those
    that stay float are not there. Ends that were given other types are looked for behind them."""
    from edgekit.optimize.fake_quant import Stored

    bits = {"int8": 8, "int16": 16}
    by_name = {tensor.name: tensor for tensor in quantized.tensors}
    found = {}
    for tensor in graph.tensors:
        if tensor.constant:
            continue
        same = by_name.get(f"{tensor.name}/int8") or by_name.get(tensor.name)
        if same is not None and same.dtype in bits and len(same.scales) == 1:
            found[tensor.index] = Stored(
                same.scales[0], same.zero_points[0] if same.zero_points else 0, bits[same.dtype]
            )
    return found


def samples_that_fit(graph: Graph) -> int:
    """How many samples' activations fit into ``MEMORY_MAX``, where the graph is widest."""
    last = {index: max(op.index for op in ops) for index, ops in graph.readers.items()}
    size = {t.index: int(np.prod(t.shape or (1,))) * 4 for t in graph.tensors if not t.constant}
    live, peak = sum(size.get(index, 0) for index in graph.inputs), 0
    for op in graph.ops:
        live += sum(size.get(index, 0) for index in op.outputs)
        peak = max(peak, live)
        live -= sum(size.get(i, 0) for i in set(op.inputs) if last.get(i) == op.index)
    return max(1, MEMORY_MAX // max(_COPIES * peak, 1))


def spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many of ``samples``, evenly from all of them."""
    count = min(len(samples), most)
    return [samples[i * len(samples) // count] for i in range(count)]


def _feeds(graph: TorchGraph, samples: Sequence[Sample]) -> dict[int, Tensor]:
    """All ``samples`` along axis 0, by tensor index."""
    import torch

    named = zip(graph.graph.inputs, graph.graph.input_names, strict=True)
    return {
        index: torch.from_numpy(np.concatenate([sample.feeds[name] for sample in samples]))
        for index, name in named
    }
