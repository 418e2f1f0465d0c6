"""Inputs and outputs of a graph, and the sizes that are fixed in it."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgekit.onnx.dims import End, ends_fit, graph_inputs, graph_outputs, with_ends
from edgekit.recipe.schema import InputSpec
from tests import onnx_models
from tests.onnx_models import IMAGE, info, model


def test_an_end_says_what_it_is() -> None:
    assert str(End("x", "float32", (None, "T", 3))) == "x float32 [?, T, 3]"
    assert str(End("x", "sequence", None)) == "x sequence of any shape"


def test_a_rank_that_is_not_stated() -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    made = model([helper.make_node("Neg", ["x"], ["y"])], [value], [info("y", (1, 4))])
    assert graph_inputs(made) == (End("x", "float32", None),)
    fixed = with_ends(made, (InputSpec("x", (1, 4)),), ("y",))
    assert graph_inputs(fixed) == (End("x", "float32", (1, 4)),)


def test_the_model_given_is_left_alone() -> None:
    made = onnx_models.float_model(batch="N")
    before = made.SerializeToString()
    fixed = with_ends(made, (IMAGE,), ("scores",))
    assert made.SerializeToString() == before
    assert not ends_fit(made, (IMAGE,), ("scores",))
    assert ends_fit(fixed, (IMAGE,), ("scores",))


@given(batch=st.integers(1, 7), open_as=st.sampled_from(["N", None]))
def test_sizes_go_through_to_the_outputs(batch: int, open_as: str | None) -> None:
    made = onnx_models.float_model(batch=open_as)
    spec = InputSpec("x", (batch, 3, 4, 4), "float32", "NCHW")
    fixed = with_ends(made, (spec,), ("scores", "hidden"))
    onnx.checker.check_model(fixed, full_check=True)
    assert [end.shape for end in graph_outputs(fixed)] == [(batch, 5), (batch, 2, 4, 4)]


@pytest.mark.parametrize("dtype", ["FLOAT16", "DOUBLE", "INT64", "STRING"])
def test_element_types_have_numpys_names(dtype: str) -> None:
    made = onnx_models.unary("Identity", dtype=getattr(TensorProto, dtype))
    assert graph_inputs(made)[0].dtype == {"DOUBLE": "float64"}.get(dtype, dtype.lower())
