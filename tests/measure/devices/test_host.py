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
from tests import tflite_models


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
