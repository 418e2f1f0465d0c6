"""What is to be tried, for a kind of model and what the recipe leaves open."""

from __future__ import annotations

import pytest

from edgekit.plan import make_plans
from edgekit.recipe.schema import QuantizeSpec
from edgekit.types import ModelKind


def spec(method: str = "litert_static", bridge: str = "first") -> QuantizeSpec:
    return QuantizeSpec(method=method, bridge=bridge)


def test_first_is_one_plan_of_all_ways() -> None:
    found = make_plans(ModelKind.TORCH_MODULE, spec())
    (plan,) = found.plans
    assert (plan.name, plan.method) == ("litert_static", "litert_static")
    assert plan.ways[0] == ("litert_torch",)
    assert len(plan.ways) > 1


def test_auto_is_a_plan_for_each_way() -> None:
    found = make_plans(ModelKind.TORCH_MODULE, spec(bridge="auto"))
    assert (found.of, found.key) == ("bridge", "bridge")
    assert [(plan.name, plan.ways, plan.slug) for plan in found.plans] == [
        ("litert_torch", (("litert_torch",),), "litert_torch"),
        ("torch_onnx, onnx2tf", (("torch_onnx", "onnx2tf"),), "torch_onnx-onnx2tf"),
        ("torch_onnx, onnx_tf", (("torch_onnx", "onnx_tf"),), "torch_onnx-onnx_tf"),
    ]


def test_a_model_of_an_accepted_kind_needs_no_bridge() -> None:
    (plan,) = make_plans(ModelKind.FLOAT_TFLITE, spec(bridge="auto")).plans
    assert (plan.name, plan.ways, plan.slug) == ("no bridge", ((),), "litert_static")


def test_a_name_is_the_last_bridge() -> None:
    (plan,) = make_plans(ModelKind.ONNX, spec(bridge="litert_torch")).plans
    assert plan.ways == (("onnx_torch", "litert_torch"),)


@pytest.mark.parametrize("kind", [ModelKind.KERAS, ModelKind.SAVED_MODEL])
def test_methods_are_chosen_among_as_before(kind: ModelKind) -> None:
    found = make_plans(kind, spec("auto"))
    assert (found.of, found.key) == ("method", "method")
    assert [plan.name for plan in found.plans] == ["tflite_int8", "litert_static"]
    assert [plan.ways[0] for plan in found.plans] == [(), ("tflite_converter",)]


def test_both_left_open_are_plans_of_either() -> None:
    found = make_plans(ModelKind.KERAS, spec("auto", "auto"))
    assert (found.of, found.key) == ("way", "bridge")
    names = [plan.name for plan in found.plans]
    assert names[:2] == ["tflite_int8", "litert_static by tflite_converter"]
    assert "litert_static by tf2onnx, onnx2tf" in names
    assert len({plan.slug for plan in found.plans}) == len(names)


def test_a_method_that_nothing_leads_to_has_no_way() -> None:
    (plan,) = make_plans(ModelKind.ONNX, spec("fx", "auto")).plans
    assert (plan.method, plan.ways) == ("fx", ())
