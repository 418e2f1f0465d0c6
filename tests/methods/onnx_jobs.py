"""Quantization jobs on tiny ONNX models."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.cache import Cache
from edgekit.data.arrays import open_arrays
from edgekit.methods.method import Goal, QuantizeJob
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe.schema import InputSpec, PreprocessSpec, QuantizeSpec
from edgekit.sources.onnx import onnx_model
from edgekit.types import Role
from tests.onnx_models import IMAGE, info, model

Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]
ROWS = 40


def _nothing(*_: Any) -> Any:
    raise AssertionError("this method chooses nothing and trains nothing")


def onnx_job(
    tmp_path: Path,
    proto: Any,
    method: str,
    *,
    inputs: tuple[InputSpec, ...] = (IMAGE,),
    rows: int = ROWS,
    draw: Draw | None = None,
    cache: Cache | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    **options: Any,
) -> QuantizeJob:
    """A job in a folder of its own below ``tmp_path``, its cache too unless there is ``cache``.
    Samples are normal, or made by ``draw(random, shape)``."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    file = folder / "float.onnx"
    onnx.save(proto, file)
    random = np.random.default_rng(0)
    arrays = {spec.name: (draw or _normal)(random, (2 * rows, *spec.shape[1:])) for spec in inputs}
    np.savez(folder / "inputs.npz", **arrays)
    preprocess = PreprocessSpec(kind="arrays")
    return QuantizeJob(
        model=onnx_model(file, inputs, tuple(end.name for end in proto.graph.output)),
        goal=Goal(proto.graph.output[0].name, classification=True),
        options=QuantizeSpec(method=method, **options),
        calibration=open_arrays(folder / "inputs.npz", Role.CALIBRATION, inputs, preprocess, rows),
        open_dev=_nothing,
        open_training=_nothing,
        folder=folder,
        cache=cache or Cache(folder / "cache"),
        progress=progress or SilentProgress(),
        threads=threads,
    )


def _normal(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return random.normal(size=shape).astype(np.float32)


def blocks(opset: int = 17) -> Any:
    """A convolution with batch normalization, a depthwise one, a residual Add, a mean over the
    image, a Gemm: ``x`` [1, 3, 4, 4] to ``y`` [1, 5]."""
    random = np.random.default_rng(1)
    arrays = {
        "w1": random.normal(size=(8, 3, 3, 3)),
        "b1": random.normal(size=8),
        "gamma": random.uniform(0.5, 1.5, size=8),
        "beta": random.normal(size=8),
        "mean": random.normal(size=8),
        "var": random.uniform(0.5, 1.5, size=8),
        "w2": random.normal(size=(8, 1, 3, 3)),
        "w3": random.normal(size=(8, 8, 1, 1)),
        "low": np.array(0.0),
        "high": np.array(6.0),
        "w4": random.normal(size=(5, 8)),
        "b4": random.normal(size=5),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "front", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "gamma", "beta", "mean", "var"], ["n1"], "b"),
        helper.make_node("Clip", ["n1", "low", "high"], ["r1"], "clip"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "block/deep", pads=[1, 1, 1, 1], group=8),
        helper.make_node("Conv", ["c2", "w3"], ["c3"], "block/point"),
        helper.make_node("Add", ["c3", "r1"], ["a"], "block/add"),
        helper.make_node("ReduceMean", ["a"], ["m"], "mean", axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["m", "w4", "b4"], ["y"], "head", transB=1),
    ]
    return model(
        nodes,
        [info("x", (1, 3, 4, 4))],
        [info("y", (1, 5))],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in arrays.items()],
        opset=opset,
    )


def branching() -> Any:
    """The residual network behind an If whose branches double or keep the answer."""
    made = blocks()
    made.graph.output[0].name = "z"
    made.graph.node.append(helper.make_node("ReduceSum", ["y"], ["s"], "sum", keepdims=0))
    made.graph.node.append(helper.make_node("Cast", ["s"], ["t"], "cast", to=TensorProto.BOOL))
    bodies = {
        name: helper.make_graph(
            [helper.make_node("Mul", ["y", factor], [f"{name}_out"], f"{name}_mul")],
            name,
            [],
            [info(f"{name}_out", (1, 5))],
        )
        for name, factor in (("then", "two"), ("else", "one"))
    }
    for name, value in (("two", 2.0), ("one", 1.0)):
        made.graph.initializer.append(numpy_helper.from_array(np.float32([value]), name))
    choose = helper.make_node("If", ["t"], ["z"], "choose")
    choose.attribute.extend(
        helper.make_attribute(f"{name}_branch", body) for name, body in bodies.items()
    )
    made.graph.node.append(choose)
    return made
