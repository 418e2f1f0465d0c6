"""The report by layer as values and texts."""

from __future__ import annotations

import json

import pytest

from edgekit.measure.layers import OwnError
from edgekit.report.layers import bias_text, cause_text, clipped_text, layers_to_list, own_text
from tests.report.layers_sample import LAYERS, REPORT, layer


def test_json_has_the_graphs_order_and_the_ranks() -> None:
    found = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
    assert found["schema"] == 1
    assert (found["role"], found["samples"], found["missing"]) == ("dev", 16, ["fused"])
    assert [each["layer"] for each in found["layers"]] == [each.layer for each in LAYERS]
    assert [each["rank"] for each in found["layers"]] == [1, 3, 2, 4, 5, 6]
    assert found["layers"][1]["own"] == {
        "sqnr_db": 41.3,
        "clipping": 0.09,
        "rounding": 0.22,
        "computing": 0.69,
    }
    assert found["hard_cases"][0]["layers"] == ["a", "b", "c", "d"]


def test_the_ranking_is_by_what_a_layer_adds_not_by_what_arrived() -> None:
    assert [each.layer for each in REPORT.ranked][:2] == ["image", "features.1.conv.0.2"]
    assert REPORT.ranked[-1].own is None
    assert len(layers_to_list(REPORT.errors)) == len(LAYERS)


@pytest.mark.parametrize(
    ("op", "own", "text"),
    [
        ("CONV_2D", OwnError(30, 0.1, 0.2, 0.7), "weights 70%"),
        ("ADD", OwnError(30, 0.1, 0.2, 0.7), "arithmetic 70%"),
        ("ADD", OwnError(30, 0.6, 0.2, 0.2), "clipping 60%"),
        ("PAD", OwnError(200, 0, 0, 0), "none"),
        ("ADD", None, "-"),
    ],
)
def test_the_cause_is_the_largest_share(op: str, own: OwnError | None, text: str) -> None:
    assert cause_text(layer("x", op, own=own)) == text


def test_figures_that_are_not_there_are_dashes_and_small_ones_no_zeros() -> None:
    by_name = {each.layer: each for each in LAYERS}
    assert clipped_text(by_name["kept"]) == "-"
    assert clipped_text(by_name["moved"]) == "0%"
    assert clipped_text(by_name["odd<&>"]) == "<0.01%"
    assert clipped_text(by_name["image"]) == "5.95%"
    assert own_text(by_name["odd<&>"]) == "-"
    assert bias_text(by_name["kept"]) == "+0.0001 rms"
    assert bias_text(by_name["image"]) == "+0.90"
