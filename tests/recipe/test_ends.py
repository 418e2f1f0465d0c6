"""INT16 ends go with INT16 activations and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.recipe.load import load_recipe
from edgekit.recipe.references import REFERENCES
from edgekit.recipe.schema import QuantizeSpec

DATA = Path(__file__).parent / "data"


def messages(method: str, **ends: str) -> list[str]:
    """What is said about the two ends."""
    recipe = load_recipe(str(DATA / "valid.yaml"))
    asked = replace(recipe, quantize=QuantizeSpec(method=method, **ends))  # type: ignore[arg-type]
    return [
        f"{finding.path[-1]}: {finding.message}; {finding.hint}"
        for rule in REFERENCES
        for finding in rule(asked)
        if str(finding.path[-1]).endswith("_dtype")
    ]


def test_int16_activations_have_no_int8_ends() -> None:
    assert messages("tflite_int16x8") == [
        "input_dtype: 'tflite_int16x8' makes no int8 inputs; write input_dtype: int16 or float32",
        "output_dtype: 'tflite_int16x8' makes no int8 outputs; "
        "write output_dtype: int16 or float32",
    ]
    assert messages("tflite_int16x8", input_dtype="int16", output_dtype="float32") == []


@pytest.mark.parametrize("method", ["tflite_int8", "litert_static", "pt2e_tflite"])
def test_int8_activations_have_no_int16_ends(method: str) -> None:
    assert messages(method) == []
    (said,) = messages(method, output_dtype="int16")
    assert "makes no int16 outputs; write output_dtype: int8 or uint8 or float32" in said


def test_a_method_that_has_no_choice_of_ends_is_not_asked() -> None:
    assert messages("tflite_dynamic") == []
