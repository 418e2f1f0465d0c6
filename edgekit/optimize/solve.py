"""This room on files: bytes of a float graph in; bytes of a better one out, or what was found."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ConversionError
from edgekit.optimize.sample_axis import batch_of
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.predict import predict
from edgekit.tflite.constants import with_constants
from edgekit.tflite.graph import Graph, parse_graph
from edgekit.tflite.graph import Tensor as TensorView
from edgekit.types import Array, Sample

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.optimize.fake_quant import Stored
    from edgekit.optimize.sensitivity import Sensitivity
    from edgekit.optimize.torch_graph import TorchGraph

MEMORY_MAX = 2 << 30
"""Bytes that the activations of one operator may take; fewer samples are looked at beyond."""
_COPIES = 4  # float and stored, each with what an operator makes on its way
AGREES_DB = 60.0
_CHECKED = 2


@dataclass(frozen=True)
class Solved:
    """A float graph with new weights and biases, and how many samples they come from. ``nearest``:
    layers whose weights were left for rounding to the nearest, with the reason."""

    data: bytes
    samples: int
    nearest: Mapping[str, str]


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
    chosen = [samples[i] for i in evenly(len(samples), samples_that_fit(graph.graph))]
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


def sensitivities(
    data: bytes,
    quantized: bytes,
    samples: Sequence[Sample],
    *,
    output: str,
    weights: bool,
    advance: Callable[[], None],
) -> tuple[Sensitivity, ...]:
    """How much noise each layer alone makes in the primary output, called ``output``; activations
    are stored as in ``quantized``, what the engine made of the graph. See ``measure_sensitivity``.

    Raises:
        ConversionError: the graph cannot be computed in torch.
    """
    graph = load(data)
    from edgekit.optimize.sensitivity import measure_sensitivity

    check(graph, data, samples[:_CHECKED])
    plain = graph.graph
    held = sum(int(np.prod(t.shape or (1,))) * 4 for t in plain.tensors if not t.constant)
    most = max(1, MEMORY_MAX // max(_COPIES * held, 1))
    return measure_sensitivity(
        graph,
        stored_as(plain, parse_graph(quantized)),
        _feeds(graph, [samples[i] for i in evenly(len(samples), most)]),
        dict(zip(plain.output_names, plain.outputs, strict=True))[output],
        weights=weights,
        advance=advance,
    )


def warm_up() -> None:
    """Import torch ahead of need, in a thread of its own. Whatever keeps it from being imported
    meets whoever needs it again, and is told then."""
    with suppress(Exception):
        _loader()


def load(data: bytes) -> TorchGraph:
    """See ``load_torch_graph``.

    Raises:
        ConversionError: torch is not installed, or has no rule for an operator.
    """
    return _loader()(data)


def _loader() -> Callable[[bytes], TorchGraph]:
    # Threads that spin while they wait are ten times slower on a machine with other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from edgekit.optimize.torch_graph import load_torch_graph
    except ImportError as error:
        raise ConversionError(
            "this remedy is computed in torch, which is not installed",
            hint="pip install 'edgekit[torch]'",
        ) from error
    return load_torch_graph


def torch_version() -> str | None:
    """What solves, for cache keys; ``None`` where it is not installed."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return None


def check(graph: TorchGraph, data: bytes, samples: Sequence[Sample]) -> None:
    """Refuse a graph that torch computes otherwise than the runtime, on several samples at once.

    Raises:
        ConversionError: an output is off, by name.
    """
    answers = graph.run(_feeds(graph, samples))
    with LiteRTSession(data) as session:
        expected = predict(session, samples).outputs
    for index, name in zip(graph.graph.outputs, graph.graph.output_names, strict=True):
        if not _agrees(answers[index].numpy(), expected[name]):
            raise ConversionError(f"torch computes {name} otherwise than LiteRT does")


def _agrees(found: Array, wanted: Array) -> bool:
    """Within ``AGREES_DB``, and not where either is no number."""
    if found.shape != wanted.shape:
        return False
    exact = wanted.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        error = float(((found - exact) ** 2).sum())
        most = float((exact**2).sum()) * 10 ** (-AGREES_DB / 10)
    return bool(np.isfinite(error)) and error <= most


def stored_as(graph: Graph, quantized: Graph) -> dict[int, Stored]:
    """How each activation of the float ``graph`` is stored in ``quantized``, by tensor index; those
    that stay float are not there.

    An end that was given another type, and what a float operator gives, is stored as the INT8 form
    of it that others read or write.
    """
    from edgekit.optimize.fake_quant import Stored

    bits = {"int8": 8, "int16": 16}
    by_name = {tensor.name: tensor for tensor in quantized.tensors}
    found = {}
    for tensor in graph.tensors:
        if tensor.constant or tensor.name not in by_name:
            continue
        for same in _forms(quantized, by_name[tensor.name]):
            if same.dtype in bits and len(same.scales) == 1:
                zero_point = same.zero_points[0] if same.zero_points else 0
                found[tensor.index] = Stored(same.scales[0], zero_point, bits[same.dtype])
                break
    return found


def _forms(graph: Graph, tensor: TensorView) -> list[TensorView]:
    """``tensor``, what it is converted to, and what it is converted from."""
    after = [op.outputs[0] for op in graph.readers.get(tensor.index, ()) if op.name == "QUANTIZE"]
    maker = graph.producer.get(tensor.index)
    converted = maker is not None and maker.name in ("QUANTIZE", "DEQUANTIZE")
    before = [maker.inputs[0]] if maker is not None and converted else []
    return [tensor, *(graph.tensors[index] for index in (*after, *before))]


def samples_that_fit(graph: Graph) -> int:
    """How many samples' activations fit into ``MEMORY_MAX``, where the graph is widest."""
    last = {index: max(op.index for op in ops) for index, ops in graph.readers.items()}
    size = {t.index: int(np.prod(t.shape or (1,))) * 4 for t in graph.tensors if not t.constant}
    live, peak = sum(size.get(index, 0) for index in graph.inputs), 0
    for op in graph.ops:
        live += sum(size.get(index, 0) for index in op.outputs)
        peak = max(peak, live)
        live -= sum(size.get(i, 0) for i in set(op.inputs) if last.get(i) == op.index)
    return max(1, MEMORY_MAX * batch_of(graph) // max(_COPIES * peak, 1))


def evenly(total: int, most: int) -> list[int]:
    """At most so many of ``total`` places, evenly from all of them."""
    count = min(total, most)
    return [place * total // count for place in range(count)]


def _feeds(graph: TorchGraph, samples: Sequence[Sample]) -> dict[int, Tensor]:
    """All ``samples`` along axis 0, by tensor index.

    Raises:
        ConversionError: they differ in shape.
    """
    import torch

    feeds = {}
    for index, name in zip(graph.graph.inputs, graph.graph.input_names, strict=True):
        parts = [sample.feeds[name] for sample in samples]
        if len({part.shape[1:] for part in parts}) > 1:
            raise ConversionError(f"samples of {name} differ in shape, so they make no batch")
        feeds[index] = torch.from_numpy(np.concatenate(parts))
    return feeds
