"""Every Gemm in one form, and the model answers as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from edgekit.onnx.gemm import plain_gemms
from tests.onnx_models import info, model

ROWS, WIDTH = 3, 4


def _gemm(bias: tuple[int, ...] | str | None, *, runtime_weights: bool, **options: Any) -> Any:
    """``y`` of ``x`` [3, 4] and weights [4, 4]; ``bias`` is a constant's shape, or an input."""
    random = np.random.default_rng(0)
    arrays = {"w": random.normal(size=(WIDTH, WIDTH))}
    inputs = ["x", "v" if runtime_weights else "w"]
    if isinstance(bias, str):
        inputs.append(bias)
    elif bias is not None:
        arrays["b"] = random.normal(size=bias)
        inputs.append("b")
    made = model(
        [helper.make_node("Gemm", inputs, ["y"], "fc", **options)],
        [info("x", (ROWS, WIDTH)), info("c", (ROWS, WIDTH)), info("v", (WIDTH, WIDTH))],
        [info("y", (ROWS, WIDTH))],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in arrays.items()],
    )
    return made


def _answer(made: Any) -> Any:
    random = np.random.default_rng(1)
    feeds = {
        end.name: random.normal(
            size=[dim.dim_value for dim in end.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for end in made.graph.input
    }
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)[0]


@settings(max_examples=60, deadline=None)
@given(
    bias=st.sampled_from([None, (), (1,), (WIDTH,), (1, WIDTH), (ROWS, 1), (ROWS, WIDTH), "c"]),
    runtime_weights=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5]),
    beta=st.sampled_from([1.0, 0.0, -3.0]),
    trans_b=st.booleans(),
)
def test_what_is_left_is_a_product_and_a_constant_vector(
    bias: tuple[int, ...] | str | None,
    runtime_weights: bool,
    alpha: float,
    beta: float,
    trans_b: bool,
) -> None:
    made = _gemm(bias, runtime_weights=runtime_weights, alpha=alpha, beta=beta, transB=int(trans_b))
    before = _answer(made)
    plain_gemms(made)
    onnx.checker.check_model(made, full_check=True)
    np.testing.assert_allclose(_answer(made), before, rtol=1e-5, atol=1e-5)
    (gemm,) = (node for node in made.graph.node if node.op_type == "Gemm")
    assert {each.name for each in gemm.attribute} <= {"transA", "transB"}
    shapes = {each.name: tuple(each.dims) for each in made.graph.initializer}
    assert [shapes.get(name) for name in gemm.input[2:]] in ([], [(WIDTH,)])
    read = {name for node in made.graph.node for name in node.input}
    assert set(shapes) <= read


@pytest.mark.parametrize(
    ("bias", "found"),
    [((1, WIDTH), ["Gemm"]), ((ROWS, WIDTH), ["Gemm", "Add"]), ("c", ["Mul", "Gemm", "Add"])],
)
def test_constants_take_the_factors_where_there_are_any(
    bias: tuple[int, ...] | str, found: list[str]
) -> None:
    made = _gemm(bias, runtime_weights=False, alpha=0.5, beta=2.0)
    plain_gemms(made)
    assert [node.op_type for node in made.graph.node] == found
    assert [node.name for node in made.graph.node if node.op_type == "Gemm"] == ["fc"]


def test_a_gemm_of_another_type_is_left_alone() -> None:
    made = _gemm((WIDTH,), runtime_weights=True, alpha=0.5)
    made.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    before = made.graph.node[0].SerializeToString()
    plain_gemms(made)
    assert made.graph.node[0].SerializeToString() == before
