"""What observers remember of a sample, and the scale and zero point they give afterwards."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.calibrate.histogram import histogram_of
from edgekit.calibrate.statistics import Range
from edgekit.calibrate.subset import stride
from edgekit.errors import ConversionError
from edgekit.progress import SilentProgress
from edgekit.pytorch.extremes import ExtremesObserver, collect_extremes, qparams, set_ranges
from edgekit.types import Sample

REAL = st.floats(-1e6, 1e6, width=32)
INT8 = {"dtype": torch.qint8, "quant_min": -128, "quant_max": 127}


def _observer(**options: object) -> ExtremesObserver:
    return ExtremesObserver(**{**INT8, **options})


def _samples(count: int) -> list[Sample]:
    return [Sample(str(index), str(index), {}) for index in range(count)]


@given(st.tuples(REAL, REAL).map(sorted), st.sampled_from([(-128, 127), (0, 255), (-7, 7)]))
def test_zero_is_exact_and_nothing_in_the_range_is_clipped(
    limits: list[float], steps: tuple[int, int]
) -> None:
    low, high = limits
    scale, zero_point = qparams(Range(low, high), *steps, symmetric=False)
    assert scale > 0
    assert steps[0] <= zero_point <= steps[1]
    # Half a step at the ends is the rounding of the zero point.
    for value in (low, high):
        stored = min(max(round(value / scale) + zero_point, steps[0]), steps[1])
        assert abs((stored - zero_point) * scale - value) <= scale * 1.01


@given(REAL, REAL)
def test_a_symmetric_range_has_its_zero_in_the_middle(low: float, high: float) -> None:
    scale, zero_point = qparams(Range(min(low, high), max(low, high)), -127, 127, symmetric=True)
    assert zero_point == 0
    assert math.isclose(scale * 127, max(abs(low), abs(high)), rel_tol=1e-6) or scale < 1e-30


def test_a_tensor_of_zeros_still_has_a_scale() -> None:
    scale, zero_point = qparams(Range(0.0, 0.0), -128, 127, symmetric=False)
    assert 0 < scale < 1e-30
    assert 1 / np.float32(scale) < np.inf
    assert zero_point == -128


def test_what_is_seen_twice_in_a_sample_counts_once() -> None:
    observer = _observer()
    for first, second in ((1.0, -3.0), (2.0, 5.0)):
        observer(torch.tensor([first, 0.0]))
        observer(torch.tensor([second]))
        observer.end_sample()
    statistics = observer.statistics()
    assert statistics is not None
    assert statistics.min.tolist() == [-3.0, 0.0]
    assert statistics.max.tolist() == [1.0, 5.0]


def test_it_passes_its_input_on_and_forgets_none_of_the_layout() -> None:
    observer = _observer()
    image = torch.arange(24.0).reshape(1, 2, 3, 4).permute(0, 3, 1, 2)
    assert observer(image) is image
    observer.end_sample()
    statistics = observer.statistics()
    assert statistics is not None
    assert (statistics.min.item(), statistics.max.item()) == (0.0, 23.0)


def test_a_nan_is_not_lost() -> None:
    observer = _observer()
    observer(torch.tensor([1.0]))
    observer(torch.tensor([math.nan, 2.0]))
    observer.end_sample()
    statistics = observer.statistics()
    assert statistics is not None
    assert np.isnan(statistics.max).all()


def test_every_sample_is_run_and_kept_apart() -> None:
    seen, blind = _observer(), _observer()
    values = iter([1.0, 2.0, 3.0])

    def run(_: Sample) -> None:
        seen(torch.tensor([next(values)]))

    with SilentProgress().task("") as task:
        found = collect_extremes({"conv": seen}, run, _samples(3), task)
        assert found["conv"].max.tolist() == [1.0, 2.0, 3.0]
        with pytest.raises(ConversionError, match=r"no sample reached 'branch\.conv'") as caught:
            collect_extremes({"branch.conv": blind}, lambda _: None, _samples(2), task)
    assert "quantize.modules" in str(caught.value.hint)


def test_a_range_that_was_set_is_what_scale_and_zero_point_come_from() -> None:
    observer = _observer()
    with pytest.raises(ConversionError, match="before it had a range"):
        observer.calculate_qparams()
    set_ranges({"x": observer}, {"x": Range(-1.0, 1.55)})
    observer(torch.tensor([100.0]))  # no longer looks
    scale, zero_point = observer.calculate_qparams()
    assert scale.tolist() == pytest.approx([0.01])
    assert zero_point.tolist() == [-28]
    assert observer.statistics() is None


def test_values_are_counted_where_they_are_asked_for() -> None:
    observer = _observer()
    image = torch.randn(1, 3, 50, 40)

    def run(sample: Sample) -> None:
        observer(image * (int(sample.id) + 1))

    with SilentProgress().task("") as task:
        found = collect_extremes({"net": observer}, run, _samples(2), task, values=True)["net"]
    flat = image.numpy().reshape(-1)[:: stride(image.numel())]
    expected = histogram_of(np.stack([flat, flat * 2]))
    assert found.counted.exponent == expected.exponent
    assert found.counted.counts.tolist() == expected.counts.tolist()
    assert found.max.tolist() == [image.max().item(), (image * 2).max().item()]
