"""Which operators a recipe's rules leave float, or give other ranges, and which are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.errors import RecipeError
from edgekit.recipe.schema import ModuleRule
from edgekit.tflite.float_rules import estimators_apart, kept_float
from edgekit.tflite.graph import Graph, parse_graph
from tests import tflite_models as models


@pytest.fixture
def graph() -> Graph:
    return parse_graph(models.two_output_model())


def named(graph: Graph, *names: str) -> Graph:
    """``graph`` with the layers of its operators called ``names``."""
    tensors = list(graph.tensors)
    for op, name in zip(graph.ops, names, strict=False):
        index = op.outputs[0]
        tensors[index] = replace(tensors[index], name=name)
    return replace(graph, tensors=tuple(tensors))


@pytest.mark.parametrize(
    ("layer", "glob"),
    [
        ("front/conv", "front/conv"),
        ("front/conv", "front"),
        ("front/conv:2", "front/conv"),
        ("front:3", "front"),
        ("a/b;front/conv;c", "front/*"),
        ("a/b;front/conv;c", "*/conv"),
    ],
)
def test_a_glob_means_a_layer_by_any_of_its_names(graph: Graph, layer: str, glob: str) -> None:
    model = named(graph, layer)
    assert list(kept_float(model, [ModuleRule(name=glob, method="float")])) == [layer]


def test_a_name_that_only_begins_alike_is_another(graph: Graph) -> None:
    with pytest.raises(RecipeError, match="matches no operator"):
        kept_float(named(graph, "front_2/conv", "x"), [ModuleRule(name="front", method="float")])


def test_by_type_and_place_and_the_last_rule_counts(graph: Graph) -> None:
    model = named(graph, "one", "two", "three")
    kinds = [op.name for op in model.ops]
    first = ModuleRule(place="first", method="float")
    assert kept_float(model, [first]) == {"one": "the recipe leaves it out (quantize.modules[0])"}
    by_type = ModuleRule(type=kinds[0], method="float")
    count = kinds.count(kinds[0])
    assert len(kept_float(model, [by_type])) == count
    back = ModuleRule(name="one", method="static")
    assert "one" not in kept_float(model, [by_type, back])


def test_rules_that_match_nothing_or_ask_for_more(graph: Graph) -> None:
    model = named(graph, "front/conv", "head")
    with pytest.raises(RecipeError, match=r"modules\[0\] matches no operator .*name 'fron'") as e:
        kept_float(model, [ModuleRule(name="fron", method="float")])
    assert "front" in (e.value.hint or "")
    with pytest.raises(RecipeError, match="type 'CONV'"):
        kept_float(model, [ModuleRule(type="CONV", method="float")])
    for rule in (ModuleRule(name="head", weight_bits=4), ModuleRule(name="head", method="dynamic")):
        with pytest.raises(RecipeError, match="left float or made static, no more"):
            kept_float(model, [rule])


def test_an_estimator_is_for_what_the_layers_give_out(graph: Graph) -> None:
    model = named(graph, "front/conv", "head")
    rules = [
        ModuleRule(name="*", estimator="mse"),
        ModuleRule(name="front", estimator="minmax"),
        ModuleRule(name="front", method="static"),
    ]
    assert estimators_apart(model, rules) == {
        **{model.layer(op): "mse" for op in model.ops},
        "front/conv": "minmax",
    }
    assert estimators_apart(model, []) == {}
    with pytest.raises(RecipeError, match=r"modules\[0\] matches no operator .*name 'bakc'"):
        estimators_apart(model, [ModuleRule(name="bakc", estimator="mse")])


def test_a_rule_with_only_an_estimator_leaves_the_method_as_it_is(graph: Graph) -> None:
    model = named(graph, "front/conv", "head")
    rules = [ModuleRule(name="front", method="float"), ModuleRule(name="front", estimator="mse")]
    assert list(kept_float(model, rules)) == ["front/conv"]
