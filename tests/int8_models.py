"""Small float graphs quantized by the engine, with ranges that a test may damage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.methods.litert_engine import run_engine
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.ends import with_end_types
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.visible import with_all_activations
from edgekit.types import Sample


def random_samples(data: bytes, count: int = 8, seed: int = 0) -> list[Sample]:
    """Uniform in [-1, 1], of the shapes of the inputs of ``data``."""
    rng = np.random.default_rng(seed)
    graph = parse_graph(data)
    shapes = {
        name: graph.tensors[index].shape
        for name, index in zip(graph.input_names, graph.inputs, strict=True)
    }
    return [
        Sample(
            f"sample {number}",
            f"image {number}",
            {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()},
        )
        for number in range(count)
    ]


def quantized(
    data: bytes, factors: Mapping[str, float] | None = None, *, ends: str = "int8"
) -> bytes:
    """Full-integer INT8 of the float graph in ``data``, with the ranges its values have on 32
    random samples, times the tensor's factor where it has one."""
    from ai_edge_quantizer import qtyping

    visible = with_all_activations(data)
    seen: dict[int, list[float]] = {}
    with LiteRTSession(visible.data) as session:
        for sample in random_samples(data, 32, seed=1):
            outputs = session.run(sample.feeds)
            values = {i: outputs[name] for i, name in visible.outputs.items()}
            values |= {i: sample.feeds[name] for i, name in visible.inputs.items()}
            for index, array in values.items():
                seen.setdefault(index, []).extend((float(array.min()), float(array.max())))
    names = {index: visible.graph.tensors[index].name for index in seen}
    ranges = {
        names[index]: {
            end: np.array([extreme(found) * (factors or {}).get(names[index], 1.0)], np.float32)
            for end, extreme in (("min", min), ("max", max))
        }
        for index, found in seen.items()
    }
    made = run_engine(
        data,
        lambda engine: engine.add_static_config(
            ".*",
            qtyping.TFLOperationName.ALL_SUPPORTED,
            activation_num_bits=8,
            weight_num_bits=8,
            weight_granularity=qtyping.QuantGranularity.CHANNELWISE,
        ),
        ranges,
    )
    return with_end_types(made, input_dtype=ends, output_dtype=ends)
