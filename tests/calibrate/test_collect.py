"""The calibration pass: exact extremes in the order of the samples, however many share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from edgekit.calibrate.histogram import histogram_of
from edgekit.errors import DataError, SessionError
from edgekit.methods import litert_build
from edgekit.progress import SilentProgress
from edgekit.runtimes import open_session
from edgekit.tflite.collect import collect_extremes
from edgekit.tflite.reductions import with_extremes
from edgekit.types import Sample
from tests import tflite_models as models

pytest.importorskip("ai_edge_litert")


class Pass:
    """One model with reductions."""

    def __init__(self, folder: Path, *, values: bool = False) -> None:
        self.graph = with_extremes(models.float_model(), values=values)
        self.file = folder / "instrumented.tflite"
        self.file.write_bytes(self.graph.data)

    def run(self, samples, threads: int = 1):
        """With ``threads`` sessions of one thread each."""
        with ExitStack() as opened, SilentProgress().task("calibrating") as task:
            sessions = [opened.enter_context(open_session(self.file)) for _ in range(threads)]
            return collect_extremes(sessions, self.graph, samples, task)


def _inputs(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    # Each at a scale of its own: a swapped pair of rows would show.
    return [
        rng.normal(0, 1 + number, models.INPUT_SHAPE).astype(np.float32) for number in range(count)
    ]


def _samples(inputs: list[np.ndarray]) -> Iterator[Sample]:
    return (Sample(str(i), str(i), {"x": x}) for i, x in enumerate(inputs))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_extremes_are_those_of_numpy(tmp_path, threads):
    inputs, weights = _inputs(9), models.weights()

    found = Pass(tmp_path).run(_samples(inputs), threads)

    assert list(found) == ["serving_x", "hidden", "serving_scores"]
    for number, x in enumerate(inputs):
        assert found["serving_x"].min[number] == x.min()
        assert found["serving_x"].max[number] == x.max()
        for name, expected in (
            ("hidden", models.hidden(x, weights)),
            ("serving_scores", models.reference(x, weights)),
        ):
            assert found[name].min[number] == pytest.approx(expected.min(), abs=1e-3)
            assert found[name].max[number] == pytest.approx(expected.max(), abs=1e-3)


def test_threads_change_nothing(tmp_path):
    alone = Pass(tmp_path).run(_samples(_inputs(12)), 1)
    shared = Pass(tmp_path).run(_samples(_inputs(12)), 4)
    for name, tensor in alone.items():
        np.testing.assert_array_equal(tensor.min, shared[name].min)
        np.testing.assert_array_equal(tensor.max, shared[name].max)


@pytest.mark.parametrize("threads", [1, 3])
def test_values_are_counted_in_the_same_pass(tmp_path, threads):
    inputs = _inputs(9)
    found = Pass(tmp_path, values=True).run(_samples(inputs), threads)
    expected = histogram_of(np.stack(inputs))  # so small that all its values are taken
    counted = found["serving_x"].counted
    assert counted.exponent == expected.exponent
    np.testing.assert_array_equal(counted.bins, expected.bins)
    np.testing.assert_array_equal(counted.counts, expected.counts)
    assert (
        found["hidden"].min.tolist() == Pass(tmp_path).run(_samples(inputs))["hidden"].min.tolist()
    )
    assert Pass(tmp_path).run(_samples(inputs))["hidden"].histogram is None


@pytest.mark.parametrize(("threads", "shared"), [(1, [1]), (3, [1, 1, 1]), (9, [2, 2, 2, 2])])
def test_sessions_are_few_and_share_the_threads(threads, shared):
    assert litert_build.session_threads(threads) == shared


def test_few_samples_are_in_memory_at_a_time(tmp_path):
    read, done = [], []

    class Counted:
        def advance(self, steps: int = 1) -> None:
            done.append(steps)

    def watched() -> Iterator[Sample]:
        for sample in _samples(_inputs(30)):
            read.append(sample.id)
            assert len(read) - len(done) <= 4
            yield sample

    one = Pass(tmp_path)
    with open_session(one.file) as first, open_session(one.file) as second:
        collect_extremes([first, second], one.graph, watched(), Counted())
    assert len(done) == 30


def test_a_failing_model_stops_the_pass(tmp_path):
    class Broken:
        def run(self, feeds):
            raise SessionError("the model failed while running")

    with (
        SilentProgress().task("calibrating") as task,
        pytest.raises(SessionError, match="failed while running"),
    ):
        collect_extremes([Broken(), Broken()], Pass(tmp_path).graph, _samples(_inputs(20)), task)


def test_no_sample_is_refused(tmp_path):
    with pytest.raises(DataError, match="no sample"):
        Pass(tmp_path).run([])
