"""tflite-runtime as a session that keeps time, with LiteRT in its part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import SessionError, UsageError
from edgekit.measure.devices.answers import random_inputs
from edgekit.measure.devices.tflite_runtime import TFLiteRuntimeSession
from edgekit.runtimes.turns import times_in_turns
from tests import tflite_models
from tests.stand_in_runtime import stand_in_runtime


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "q.tflite").write_bytes(tflite_models.two_signature_model())
    return tmp_path / "q.tflite"


def test_each_turn_is_timed_in_a_process_of_its_own(file: Path, tmp_path: Path) -> None:
    session = TFLiteRuntimeSession(file, stand_in_runtime(tmp_path), threads=1)
    (feeds,) = random_inputs(session.info, 1)

    times = session.time_ms(feeds, 4)

    assert times.shape == (4,)
    assert (times > 0).all()
    assert (session.info.runtime, session.info.version) == ("tflite-runtime", "2.14.0")
    with pytest.raises(UsageError):
        session.run(feeds)


# Warm after eight invocations, from 20 ms each to 1 ms.
COLD = """
        self.invocations = 0

    def invoke(self):
        import time
        self.invocations += 1
        time.sleep(0.02 if self.invocations <= 8 else 0.001)
"""


def test_a_process_warms_up_until_its_times_fall_no_further(file: Path, tmp_path: Path) -> None:
    session = TFLiteRuntimeSession(file, stand_in_runtime(tmp_path, COLD), threads=1)

    times = session.time_ms(random_inputs(session.info, 1)[0], 3)

    assert times.max() < 15


def test_a_file_that_it_refuses_is_told_with_its_words(file: Path, tmp_path: Path) -> None:
    body = "        raise ValueError('no such kernel')"
    session = TFLiteRuntimeSession(file, stand_in_runtime(tmp_path, body), threads=1)

    with pytest.raises(SessionError, match=r"does not run on tflite-runtime: .*no such kernel"):
        times_in_turns([(session, random_inputs(session.info, 1)[0])], rounds=2, runs_per_round=1)


def test_inputs_are_all_over_their_type(file: Path, tmp_path: Path) -> None:
    (tmp_path / "i.tflite").write_bytes(tflite_models.int8_model())
    session = TFLiteRuntimeSession(tmp_path / "i.tflite", stand_in_runtime(tmp_path), threads=1)
    (one, other) = random_inputs(session.info, 2)

    (drawn,) = one.values()
    assert drawn.dtype == np.int8
    assert drawn.min() < -100
    assert drawn.max() > 100
    assert any(not np.array_equal(one[name], other[name]) for name in one)
