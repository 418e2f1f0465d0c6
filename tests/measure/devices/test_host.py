"""This machine as a device: CPUs of its own, and what it will not run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import UsageError
from edgekit.measure.devices.belief import compare_pair, noise, times_of_runs
from edgekit.measure.devices.device import BenchSettings, Delegate, Delegation, Models
from edgekit.measure.devices.host import HostDevice, pinned
from tests import onnx_models, tflite_models
from tests.stand_in_runtime import stand_in_runtime


def test_a_thread_is_kept_on_as_many_cpus_and_let_go() -> None:
    allowed = os.sched_getaffinity(0)

    with pinned(1):
        assert len(os.sched_getaffinity(0)) == 1

    assert os.sched_getaffinity(0) == allowed
    with pinned(len(allowed) + 1):
        assert os.sched_getaffinity(0) == allowed


@pytest.mark.parametrize("delegate", [Delegate.GPU, Delegate.NNAPI])
def test_the_host_has_no_delegate_of_a_phone(delegate: Delegate, tmp_path: Path) -> None:
    (tmp_path / "q.tflite").write_bytes(tflite_models.int8_model())
    settings = BenchSettings(delegate=delegate)

    with pytest.raises(UsageError, match=f"no delegate {delegate}"):
        HostDevice().bench(Models(tmp_path / "q.tflite"), settings, tmp_path)


def test_figures_of_known_runs_are_those_of_arithmetic() -> None:
    fast = times_of_runs(np.array([[1.0, 2.0, 3.0]] * 4), 6, Delegation())
    slow = times_of_runs(np.array([[4.0, 4.0, 10.0]] * 4), 6, Delegation())

    assert (fast.median_ms, fast.min_ms, fast.max_ms, fast.runs) == (2.0, 1.0, 3.0, 12)
    assert fast.p90_ms == pytest.approx(np.percentile([1.0, 2.0, 3.0] * 4, 90))
    assert fast.spread == 0
    assert compare_pair(slow, fast).speedup == 2.0


def test_rounds_that_lie_apart_are_noise() -> None:
    calm = times_of_runs(np.full((4, 1), 5.0), 3, Delegation())
    wild = times_of_runs(np.array([[5.0], [5.0], [9.0], [9.0]]), 3, Delegation())

    assert noise({"quantized": calm, "float": calm}) is None
    assert noise({"quantized": calm, "float": wild}) == (
        "the float model's rounds lie 57% apart (at most 10% can be believed)"
    )


def test_onnx_runtime_stands_behind_the_same_seam(tmp_path: Path) -> None:
    for name in ("q.onnx", "f.onnx"):
        (tmp_path / name).write_bytes(onnx_models.float_model().SerializeToString())
    settings = BenchSettings(delegate=Delegate.CPU, threads=2, rounds=2, runs_per_round=2)

    found = HostDevice().bench(Models(tmp_path / "q.onnx", tmp_path / "f.onnx"), settings, tmp_path)

    assert found.engine.startswith("onnxruntime ")
    assert (found.threads, found.quantized.runs) == (2, 4)
    assert found.reference is not None
    assert found.speedup == pytest.approx(found.reference.median_ms / found.quantized.median_ms)


def test_tflite_runtime_stands_behind_the_same_seam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "q.tflite").write_bytes(tflite_models.int8_model())
    environment = stand_in_runtime(tmp_path)
    monkeypatch.setattr(
        "edgekit.measure.devices.host.open_environment", lambda name, progress: environment
    )
    settings = BenchSettings(
        delegate=Delegate.CPU, runtime="tflite-runtime", rounds=2, runs_per_round=2, repeats=0
    )

    found = HostDevice().bench(Models(tmp_path / "q.tflite"), settings, tmp_path)

    assert found.engine == "tflite-runtime 2.14.0"
    assert found.quantized.runs == 4


@pytest.mark.parametrize(
    ("file", "settings", "expected"),
    [
        ("q.tflite", BenchSettings(runtime="tflite-runtime"), "does not put INT8 on XNNPACK"),
        ("q.onnx", BenchSettings(delegate=Delegate.XNNPACK), "which has no xnnpack"),
        ("q.onnx", BenchSettings(delegate=Delegate.CPU, runtime="tflite-runtime"),
         "runs .tflite, not q.onnx"),
    ],
)  # fmt: skip
def test_what_a_runtime_of_the_host_has_not_is_said(
    file: str, settings: BenchSettings, expected: str, tmp_path: Path
) -> None:
    (tmp_path / file).write_bytes(b"")

    with pytest.raises(UsageError, match=expected):
        HostDevice().bench(Models(tmp_path / file), settings, tmp_path)
