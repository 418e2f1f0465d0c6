"""Equalized graphs compute what they computed, and their ranges follow without another run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.calibrate.statistics import TensorStatistics
from edgekit.optimize.equalize import FACTOR_MAX, equalize, factors, linked_tensors
from edgekit.progress import SilentProgress
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.collect import collect_extremes
from edgekit.tflite.constants import constant_array
from edgekit.tflite.flatbuffer import unpack
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.reductions import with_extremes
from edgekit.types import Array, Sample
from tests import tflite_models as models
from tests.optimize.cases import normal
from tests.tflite.linked import linked

SAMPLES = [Sample(str(i), str(i), {"x": normal(1, 6, 6, 4, seed=i)}) for i in range(20)]


def statistics_of(data: bytes, samples: list[Sample] = SAMPLES) -> Mapping[str, TensorStatistics]:
    instrumented = with_extremes(data, by_channel=linked_tensors(data))
    with (
        LiteRTSession(instrumented.data) as session,
        SilentProgress().task("calibrating") as task,
    ):
        return collect_extremes([session], instrumented, samples, task)


def answers(data: bytes) -> dict[str, Array]:
    with LiteRTSession(data) as session:
        ran = [session.run(sample.feeds) for sample in SAMPLES]
    return {name: np.concatenate([each[name] for each in ran]) for name in ran[0]}


def check_free(data: bytes) -> None:
    """Alike in float, more alike in range, and the new statistics are those of another pass."""
    before = statistics_of(data)
    found = equalize(data, before)
    assert found is not None
    wanted = answers(data)
    for name, values in answers(found.data).items():
        np.testing.assert_allclose(
            values, wanted[name], rtol=0, atol=1e-5 * np.abs(wanted[name]).max()
        )
    measured = statistics_of(found.data)
    assert found.statistics.keys() == measured.keys()
    for name, tensor in measured.items():
        most = max(abs(tensor.exact.min), abs(tensor.exact.max))
        for side in ("min", "max"):
            np.testing.assert_allclose(
                getattr(found.statistics[name], side), getattr(tensor, side), atol=1e-5 * most
            )
    widest, after = (each["h"].by_channel.widest for each in (before, measured))
    assert after.max() == pytest.approx(widest.max())  # the range itself stays
    alive = widest > 0
    assert (after[alive] >= widest[alive] * (1 - 1e-5)).all()
    ratio = [float(each[alive].max() / each[alive].min()) for each in (widest, after)]
    assert ratio[1] < ratio[0] ** 0.6


@pytest.mark.parametrize("between", [None, "PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("activation", [0, 1, 3])
def test_the_float_function_is_unchanged(activation: int, between: str | None) -> None:
    check_free(linked(activation=activation, between=between))


@pytest.mark.parametrize("writer", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize("multiplier", [1, 3])
def test_with_any_writer_and_depth_multiplier(writer: str, multiplier: int) -> None:
    check_free(linked(writer=writer, multiplier=multiplier))


def test_two_depthwise_readers_are_both_divided() -> None:
    check_free(linked(also="depthwise"))


def test_a_dead_channel_stays_as_it_is() -> None:
    data = linked(spread=(1.0, 0.0, 20.0, 0.3))
    check_free(data)
    found = equalize(data, statistics_of(data))
    assert found is not None
    model = unpack(found.data)
    (kernel,) = (t.index for t in parse_graph(found.data).tensors if t.name == "kernel")
    assert not constant_array(model, model.subgraphs[0].tensors[kernel])[1].any()


def test_relu6_is_reached_by_no_channel_that_did_not_reach_it() -> None:
    data = linked(activation=3, spread=(1.0, 0.2, 20.0, 0.3))
    before = statistics_of(data)
    found = equalize(data, before)
    assert found is not None
    widest, after = (each["h"].by_channel.widest for each in (before, statistics_of(found.data)))
    assert widest.max() == 6.0
    np.testing.assert_array_equal(after >= 6.0, widest >= 6.0)


@pytest.mark.parametrize("told", [{"also": "conv"}, {"spread": (1.0, 0.0, 0.0, 0.0)}])
def test_where_there_is_nothing_to_equalize_there_is_nothing(told: dict[str, Any]) -> None:
    data = linked(**told)
    assert equalize(data, statistics_of(data)) is None


def test_a_graph_without_depthwise_layers_has_no_links() -> None:
    assert linked_tensors(models.float_model()) == frozenset()
    assert equalize(models.float_model(), {}) is None


def test_histograms_of_other_values_are_gone() -> None:
    data = linked()
    tensor = statistics_of(data)["h"]
    scaled = tensor.with_channels_times(np.ones(4, np.float32))
    assert scaled.histogram is None
    np.testing.assert_array_equal(scaled.max, tensor.max)


def test_extremes_that_were_not_collected_by_channel_are_missed() -> None:
    with pytest.raises(ValueError, match="by channel"):
        _ = TensorStatistics(np.zeros(1), np.ones(1)).by_channel


@given(st.lists(st.floats(0, 2.0**60, width=32), min_size=1, max_size=9))
def test_factors_enlarge_to_no_more_than_the_widest(drawn: list[float]) -> None:
    widest = np.array(drawn, np.float32)
    found = factors(widest)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found >= 1).all()
    assert (found <= FACTOR_MAX).all()
    assert (widest * found <= widest.max() * (1 + 1e-6)).all()


def test_extremes_that_are_no_numbers_change_nothing() -> None:
    for bad in (np.nan, np.inf):
        assert factors(np.array([1.0, bad, 2.0], np.float32)).tolist() == [1.0, 1.0, 1.0]
