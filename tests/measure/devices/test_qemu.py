"""Arm's kernels: answers compared bit for bit. The emulator itself only where its tree is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.cache import Cache
from edgekit.environments import Environment
from edgekit.errors import FetchError, SessionError, UsageError
from edgekit.measure.devices.answers import compare_arrays, random_inputs
from edgekit.measure.devices.arm_tree import arm_python
from edgekit.measure.devices.device import AnswersOnly, BenchSettings, Delegate, Models
from edgekit.measure.devices.qemu import QemuDevice, QemuEnvironment
from edgekit.progress import SilentProgress
from edgekit.runtimes import open_session
from tests import tflite_models
from tests.stand_in_runtime import stand_in_runtime

SETTINGS = BenchSettings(answers=3)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    (tmp_path / "q.tflite").write_bytes(tflite_models.int8_model())
    with open_session(tmp_path / "q.tflite") as session:
        return Models(tmp_path / "q.tflite", inputs=random_inputs(session.info, 3))


def bench(models: Models, environment: Environment) -> AnswersOnly:
    return QemuDevice(lambda: environment).bench(models, SETTINGS, models.quantized.parent)


def test_the_same_kernels_answer_bit_for_bit(models: Models, tmp_path: Path) -> None:
    found = bench(models, stand_in_runtime(tmp_path))

    assert (found.answers.n, found.answers.max_abs, found.answers.agreement) == (3, 0, 1)
    assert found.answers.integer
    assert "no latency" in found.why


def test_a_crash_over_there_is_the_models(models: Models, tmp_path: Path) -> None:
    crashing = "        import os; os.abort()"

    with pytest.raises(SessionError, match=r"does not run q.tflite: .*SIGABRT"):
        bench(models, stand_in_runtime(tmp_path, crashing))


def test_another_delegate_is_refused(models: Models, tmp_path: Path) -> None:
    settings = replace(SETTINGS, delegate=Delegate.GPU)

    with pytest.raises(UsageError, match="has no gpu"):
        QemuDevice(lambda: stand_in_runtime(tmp_path)).bench(models, settings, tmp_path)


@pytest.mark.parametrize(
    ("there", "max_abs", "agreement"),
    [
        ([[1.0, 2.0]], 0, 1.0),
        ([[3.0, 2.0]], 2.0, 0.0),
        ([[1.0, np.nan]], None, 1.0),
        ([[1.0, np.inf]], None, 1.0),
    ],
)
def test_a_difference_is_the_largest_and_no_number_is_none(
    there: Sequence[Sequence[float]], max_abs: float | None, agreement: float
) -> None:
    here = [[np.array([1.0, 2.0], np.float32)]]

    found = compare_arrays(here, [[np.array(there[0], np.float32)]])

    assert (found.max_abs, found.agreement) == (max_abs, agreement)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(900)
def test_arms_dot_product_kernels_are_this_hosts_bit_for_bit(
    models: Models, tmp_path: Path
) -> None:
    try:
        python = arm_python(Cache(tmp_path / "cache"), SilentProgress())
    except FetchError as error:
        pytest.skip(str(error))

    found = bench(models, QemuEnvironment(python))

    assert (found.answers.n, found.answers.max_abs) == (3, 0)
    assert found.engine.endswith("for aarch64 on cortex-a76")
