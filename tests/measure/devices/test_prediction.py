"""What a delegate was expected to take, and what it took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.measure.devices.device import Delegate, Delegation, DeviceLatency, Prediction
from edgekit.measure.devices.prediction import predict, surprise
from tests import tflite_models
from tests.gate.test_devices import FOUND, TIMES

GPU = Delegate.GPU
EXPECTED = "edgekit inspect expects gpu to take 58 of 60 nodes in 1 partition"


def latency(delegation: Delegation, predicted: Prediction | None) -> DeviceLatency:
    return replace(FOUND, predicted=predicted, quantized=replace(TIMES, delegation=delegation))


def test_the_prediction_is_that_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "q.tflite"
    file.write_bytes(tflite_models.int8_model())

    assert predict(file, Delegate.CPU) is None
    found = predict(file, Delegate.XNNPACK)
    assert found is not None
    assert (found.nodes, found.partitions) == (found.graph_nodes, 1)


@pytest.mark.parametrize(
    ("delegation", "expected"),
    [
        (Delegation(GPU, False, 58, 60, 1), None),
        (Delegation(GPU, False, None, None, 1), None),
        (Delegation(), None),
        (Delegation(GPU, False, 40, 60, 3), f"{EXPECTED}; it took 40 of 60"),
        (Delegation(GPU, True), f"{EXPECTED}; it took all of the graph"),
        (Delegation(GPU, False, None, None, 3), f"{EXPECTED}; it took it in 3"),
        (Delegation(Delegate.CPU), f"{EXPECTED}; it took none"),
    ],
)
def test_what_it_did_otherwise_is_said(delegation: Delegation, expected: str | None) -> None:
    assert surprise(latency(delegation, Prediction(58, 60, 1))) == expected


def test_nothing_was_expected_of_a_model_that_the_delegate_cannot_take() -> None:
    assert surprise(latency(Delegation(Delegate.CPU), Prediction(0, 60, 0))) is None
    assert surprise(latency(Delegation(Delegate.CPU), None)) is None
