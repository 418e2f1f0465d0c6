"""From extremes a sample to ranges, and what stands between: keeping, loading, refusing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.calibrate import estimate, needs_histogram
from edgekit.calibrate.histogram import EMPTY, histogram_of
from edgekit.calibrate.statistics import (
    ChannelExtremes,
    Range,
    TensorStatistics,
    check_finite,
    load_statistics,
    save_statistics,
)
from edgekit.errors import ConversionError, DataError
from edgekit.progress import SilentProgress, Task
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.collect import collect_extremes
from edgekit.tflite.reductions import with_extremes
from edgekit.types import Sample
from tests import tflite_models as models

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def _statistics(low: list[float], high: list[float]) -> TensorStatistics:
    return TensorStatistics(np.array(low, np.float32), np.array(high, np.float32))


@given(hnp.arrays(np.float32, st.integers(1, 20), elements=finite))
def test_minmax_clips_nothing_that_was_seen(values: models.Array) -> None:
    found = estimate({"t": TensorStatistics(values, values)}, "minmax")["t"]
    assert found == Range(min(float(values.min()), 0.0), max(float(values.max()), 0.0))
    assert all(found.min <= value <= found.max for value in values)


def test_the_mean_of_extremes_and_the_outputs_it_leaves_alone() -> None:
    statistics = {name: _statistics([-1.0, -3.0], [2.0, 10.0]) for name in ("hidden", "logits")}
    found = estimate(statistics, "mean_minmax", exact={"logits"})
    assert (found["hidden"].min, found["hidden"].max) == (-2.0, 6.0)
    assert (found["logits"].min, found["logits"].max) == (-3.0, 10.0)


def test_a_tensor_set_apart_has_its_own_estimator_unless_it_is_an_end_of_the_model() -> None:
    statistics = {name: _statistics([-1, -3], [2, 10]) for name in ("one", "other", "logits")}
    apart = {"other": "minmax", "logits": "mean_minmax"}
    found = estimate(statistics, "mean_minmax", exact={"logits"}, apart=apart)
    assert found == {"one": Range(-2, 6), "other": Range(-3, 10), "logits": Range(-3, 10)}


def test_only_some_estimators_need_more_than_extremes() -> None:
    assert not needs_histogram(["minmax", "mean_minmax", "moving_average"])
    assert all(needs_histogram(["minmax", name]) for name in ("percentile", "mse", "entropy"))


def test_one_pass_over_the_samples() -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=models.INPUT_SHAPE).astype(np.float32) for _ in range(5)]
    graph = with_extremes(models.two_output_model())
    given_samples = [Sample(str(i), str(i), {"x": x}) for i, x in enumerate(inputs)]
    steps: list[int] = []

    class Counting(Task):
        def advance(self, steps_done: int = 1) -> None:
            steps.append(steps_done)

    with LiteRTSession(graph.data) as session:
        found = collect_extremes([session], graph, given_samples, Counting())
    assert steps == [1] * 5
    assert list(found) == list(graph.tensors)
    w = models.weights()
    for name, function in (
        ("serving_x", lambda x: x),
        ("hidden", lambda x: models.hidden(x, w)),
        ("serving_scores", lambda x: models.reference(x, w)),
    ):
        answers = [function(x) for x in inputs]
        np.testing.assert_allclose(found[name].min, [a.min() for a in answers], rtol=1e-4)
        np.testing.assert_allclose(found[name].max, [a.max() for a in answers], rtol=1e-4)
        assert found[name].min.dtype == np.float32


def test_no_sample_at_all_is_refused() -> None:
    graph = with_extremes(models.float_model())
    with (
        LiteRTSession(graph.data) as session,
        SilentProgress().task("") as task,
        pytest.raises(DataError, match="gave no sample"),
    ):
        collect_extremes([session], graph, [], task)


@given(
    st.integers(1, 5).flatmap(
        lambda samples: st.dictionaries(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
            st.tuples(*[hnp.arrays(np.float32, samples, elements=finite)] * 2),
            min_size=1,
            max_size=6,
        )
    )
)
def test_statistics_are_read_back_as_they_were_kept(
    tmp_path_factory: pytest.TempPathFactory,
    rows: dict[str, tuple[models.Array, models.Array]],
) -> None:
    statistics = {name: TensorStatistics(low, high) for name, (low, high) in rows.items()}
    file = tmp_path_factory.mktemp("statistics") / "statistics.npz"
    save_statistics(statistics, file)
    found = load_statistics(file)
    assert list(found) == list(statistics)  # graph order, which messages rely on
    for name, kept in statistics.items():
        assert np.array_equal(found[name].min, kept.min)
        assert np.array_equal(found[name].max, kept.max)


@given(st.lists(hnp.arrays(np.float32, st.integers(0, 9), elements=finite), min_size=1, max_size=5))
def test_histograms_are_read_back_too(
    tmp_path_factory: pytest.TempPathFactory, values: list[models.Array]
) -> None:
    low, high = np.float32([-1]), np.float32([1])
    statistics = {
        str(number): TensorStatistics(low, high, histogram_of(each))
        for number, each in enumerate(values)
    }
    file = tmp_path_factory.mktemp("statistics") / "statistics.npz"
    save_statistics(statistics, file)
    for name, tensor in load_statistics(file).items():
        kept = statistics[name].counted
        assert tensor.counted.exponent == kept.exponent
        assert np.array_equal(tensor.counted.bins, kept.bins)
        assert np.array_equal(tensor.counted.counts, kept.counts)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(1, 4))
def test_channels_are_read_back_too(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], samples: int
) -> None:
    """0 are tensors that were not asked for by channel."""
    random = np.random.default_rng(0)
    statistics = {}
    for number, count in enumerate(counts):
        low, high = random.normal(size=(2, samples, max(count, 1))).astype(np.float32)
        channels = ChannelExtremes(low, high) if count else None
        statistics[str(number)] = TensorStatistics(low[:, 0], high[:, 0], channels=channels)
    file = tmp_path_factory.mktemp("statistics") / "statistics.npz"
    save_statistics(statistics, file)
    for name, tensor in load_statistics(file).items():
        kept = statistics[name].channels
        assert (tensor.channels is None) == (kept is None)
        if kept is not None:
            assert np.array_equal(tensor.by_channel.min, kept.min)
            assert np.array_equal(tensor.by_channel.max, kept.max)


def test_a_histogram_that_was_not_collected_is_no_empty_one() -> None:
    with pytest.raises(ValueError, match="extremes alone"):
        estimate({"t": _statistics([0], [1])}, "mse")
    assert TensorStatistics(np.zeros(1), np.ones(1), EMPTY).counted is EMPTY


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_statistics_that_are_not_finite_are_refused_by_name(bad: float) -> None:
    statistics = {
        "good": _statistics([0, 0, 0], [1, 1, 1]),
        "first/bad": _statistics([0, bad, 0], [1, 1, bad]),
        "second/bad": _statistics([bad] * 3, [bad] * 3),
    }
    with pytest.raises(ConversionError, match="2 of 3 samples make NaN or infinity at 'first/bad'"):
        check_finite(statistics)
    check_finite({"good": statistics["good"]})


def test_the_file_is_a_plain_archive_of_arrays(tmp_path: Path) -> None:
    file = tmp_path / "statistics.npz"
    save_statistics({"t": _statistics([1], [2])}, file)
    with np.load(file, allow_pickle=False) as arrays:
        assert sorted(arrays) == ["max", "min", "names"]
