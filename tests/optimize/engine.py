"""The real engine on a float graph, with ranges from samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgekit.methods.litert_engine import run_engine, weight_granularity
from edgekit.optimize.fake_quant import Stored
from edgekit.optimize.solve import stored_as
from edgekit.optimize.torch_graph import TorchGraph, load_torch_graph
from edgekit.tflite.flatbuffer import unpack
from edgekit.tflite.graph import parse_graph


def extremes(graph: TorchGraph, feeds: dict[int, torch.Tensor]) -> dict[str, Any]:
    """Smallest and largest value of each activation, as the engine takes them."""
    found: dict[str, Any] = {}

    def keep(index: int, x: torch.Tensor) -> torch.Tensor:
        low, high = min(float(x.min()), 0.0), max(float(x.max()), 1e-6)
        found[graph.graph.tensors[index].name] = {
            "min": np.array([low], np.float32),
            "max": np.array([high], np.float32),
        }
        return x

    graph.run(feeds, keep)
    return found


def quantized(data: bytes, ranges: dict[str, Any]) -> bytes:
    """``data`` in INT8, weights by channel."""

    def configure(engine: Any) -> None:
        from ai_edge_quantizer import qtyping

        engine.add_static_config(
            ".*",
            qtyping.TFLOperationName.ALL_SUPPORTED,
            activation_num_bits=8,
            weight_num_bits=8,
            weight_granularity=weight_granularity(per_channel=True),
        )

    return run_engine(data, configure, ranges)


def stored(data: bytes, ranges: dict[str, Any]) -> dict[int, Stored]:
    """How the engine stores each activation of ``data``."""
    return stored_as(parse_graph(data), parse_graph(quantized(data, ranges)))


def int8_weights(data: bytes) -> dict[str, tuple[Any, Any]]:
    """Integers and scales of each INT8 constant, by name."""
    model, graph = unpack(data), parse_graph(data)
    return {
        tensor.name: (
            np.frombuffer(
                bytes(model.buffers[model.subgraphs[0].tensors[tensor.index].buffer].data), np.int8
            ).reshape(tensor.shape),
            tensor,
        )
        for tensor in graph.tensors
        if tensor.constant and tensor.dtype == "int8"
    }


def loaded(data: bytes, count: int = 40, seed: int = 0) -> tuple[TorchGraph, dict[int, Any]]:
    """A graph, and normal samples of its inputs."""
    graph = load_torch_graph(data)
    generator = torch.Generator().manual_seed(seed)
    return graph, {
        index: torch.randn((count, *graph.graph.tensors[index].shape[1:]), generator=generator)
        for index in graph.graph.inputs
    }
