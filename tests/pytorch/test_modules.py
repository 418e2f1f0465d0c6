"""Which modules the rules of a recipe mean."""

from __future__ import annotations

import pytest
import torch

from edgekit.errors import RecipeError
from edgekit.pytorch.modules import ModuleName, kept_float, leaf_modules, treatments
from edgekit.recipe.schema import ModuleRule


@pytest.fixture(scope="module")
def modules() -> tuple[ModuleName, ...]:
    nn = torch.nn
    block = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU6())
    return leaf_modules(
        nn.ModuleDict(
            {
                "stem": nn.Conv2d(3, 8, 3),
                "blocks": nn.Sequential(block, nn.Conv2d(8, 16, 1)),
                "head": nn.Linear(16, 10),
            }
        )
    )


def test_leaves_in_order_and_which_have_weights(modules: tuple[ModuleName, ...]) -> None:
    assert [(module.name, module.type, module.weighted) for module in modules] == [
        ("stem", "Conv2d", True),
        ("blocks.0.0", "Conv2d", True),
        ("blocks.0.1", "BatchNorm2d", False),
        ("blocks.0.2", "ReLU6", False),
        ("blocks.1", "Conv2d", True),
        ("head", "Linear", True),
    ]


def test_a_shared_module_is_one() -> None:
    shared = torch.nn.Linear(4, 4)
    assert [leaf.name for leaf in leaf_modules(torch.nn.Sequential(shared, shared))] == ["0"]


@pytest.mark.parametrize(
    ("rule", "matched"),
    [
        (ModuleRule(name="blocks.0.*", method="float"), {"blocks.0.0", "blocks.0.1", "blocks.0.2"}),
        (ModuleRule(name="blocks.0", method="float"), {"blocks.0.0", "blocks.0.1", "blocks.0.2"}),
        (ModuleRule(type="Conv*", method="float"), {"stem", "blocks.0.0", "blocks.1"}),
        (ModuleRule(name="blocks.*", type="Conv2d", method="float"), {"blocks.0.0", "blocks.1"}),
        (ModuleRule(place="first", method="float"), {"stem"}),
        (ModuleRule(place="last", method="float"), {"head"}),
    ],
)
def test_what_a_rule_matches(
    modules: tuple[ModuleName, ...], rule: ModuleRule, matched: set[str]
) -> None:
    assert set(treatments(modules, [rule])) == matched


def test_later_rules_win_key_by_key(modules: tuple[ModuleName, ...]) -> None:
    found = treatments(
        modules,
        [
            ModuleRule(type="Conv2d", weight_bits=4),
            ModuleRule(type="Conv2d", method="dynamic"),
            ModuleRule(place="first", method="float"),
        ],
    )
    assert (found["blocks.1"].method, found["blocks.1"].weight_bits) == ("dynamic", 4)
    assert found["stem"].method == "float"
    assert found["stem"].rule == "quantize.modules[0], quantize.modules[1], quantize.modules[2]"
    assert kept_float(found) == {"stem": f"the recipe leaves it out ({found['stem'].rule})"}


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        (ModuleRule(name="block.1", method="float"), "'blocks.1'"),
        (ModuleRule(type="Conv2D", method="float"), "'Conv2d'"),
    ],
)
def test_a_rule_that_matches_nothing_is_an_error(
    modules: tuple[ModuleName, ...], rule: ModuleRule, hint: str
) -> None:
    with pytest.raises(RecipeError, match=r"quantize.modules\[1\] matches no module") as caught:
        treatments(modules, [ModuleRule(place="last", method="float"), rule])
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_a_place_among_modules_without_weights_matches_nothing() -> None:
    with pytest.raises(RecipeError, match="place 'first'"):
        treatments([ModuleName("act", "ReLU", False)], [ModuleRule(place="first", method="float")])


@pytest.mark.parametrize(
    "rule",
    [
        ModuleRule(type="Linear", method="float"),
        ModuleRule(place="first", method="float"),
        ModuleRule(place="last", method="float"),
        ModuleRule(name="*", method="float"),
    ],
)
def test_a_model_that_is_a_layer_itself_has_rules_too(rule: ModuleRule) -> None:
    leaves = leaf_modules(torch.nn.Linear(4, 4))
    assert leaves == (ModuleName("", "Linear", True),)
    assert set(treatments(leaves, [rule])) == {""}
    with pytest.raises(RecipeError, match="matches no module") as caught:
        treatments(leaves, [ModuleRule(name="fc", method="float")])
    assert "''" not in str(caught.value.hint)
