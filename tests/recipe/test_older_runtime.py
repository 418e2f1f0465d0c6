"""tflite-runtime is asked about .tflite files only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.recipe.gate_spec import GateSpec
from edgekit.recipe.load import load_recipe
from edgekit.recipe.references import REFERENCES
from edgekit.recipe.schema import QuantizeSpec

DATA = Path(__file__).parent / "data"


def messages(method: str, asked: bool | None) -> list[str]:
    recipe = load_recipe(str(DATA / "valid.yaml"))
    gate = GateSpec(tflite_runtime_2_14=asked)
    recipe = replace(recipe, quantize=QuantizeSpec(method=method), gate=gate)
    return [
        f"{finding.message}; {finding.hint}"
        for rule in REFERENCES
        for finding in rule(recipe)
        if finding.path == ("gate", "tflite_runtime_2_14")
    ]


@pytest.mark.parametrize("asked", [True, False])
def test_another_format_is_refused(asked: bool) -> None:
    said = "tflite-runtime reads .tflite, and 'fx' makes .ts; remove it"
    assert messages("fx", asked) == [said]
    assert "'ort_static' makes .onnx" in messages("ort_static", asked)[0]


def test_a_tflite_is_taken_and_so_is_a_recipe_that_does_not_ask() -> None:
    assert messages("litert_static", True) == []
    assert messages("fx", None) == []
