"""Where the loss arises, layer by layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import DataError, MismatchError, SessionError
from edgekit.measure.layers import INPUT, LayerError, LayerErrors, layer_errors, ranked
from edgekit.numerics.fidelity import SQNR_LIMIT_DB
from edgekit.progress import SilentProgress
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.predict import predict
from tests.int8_models import quantized, random_samples
from tests.tflite import graphs


def compared(reference: bytes, candidate: bytes) -> LayerErrors:
    samples = random_samples(reference)
    return layer_errors(reference, candidate, samples, SilentProgress(), threads=1)


def by_name(found: LayerErrors) -> dict[str, LayerError]:
    return {layer.layer: layer for layer in found.layers}


def test_every_activation_is_there_in_the_order_of_the_graph() -> None:
    data = graphs.chain()
    found = compared(data, quantized(data))
    assert [layer.layer for layer in found.layers] == ["x", *graphs.CHAIN]
    assert found.layers[0].op == INPUT
    assert found.layers[-1].op == "FULLY_CONNECTED"
    assert {layer.dtype for layer in found.layers} == {"int8"}
    assert found.missing == ()
    assert found.samples == 8


def test_a_model_against_itself_loses_nothing() -> None:
    data = graphs.chain()
    for layer in compared(data, data).layers:
        assert layer.sqnr_db == SQNR_LIMIT_DB
        assert layer.bias == 0
        assert layer.step is None
        assert layer.clipped is None
        assert layer.own is not None
        assert layer.own.sqnr_db > 130


@pytest.mark.parametrize("layer", ["first", "second", "third", "sum"])
@pytest.mark.parametrize(("factor", "cause"), [(0.3, "clipping"), (12.0, "rounding")])
def test_a_damaged_range_is_named_first_with_its_cause(
    layer: str, factor: float, cause: str
) -> None:
    data = graphs.chain()
    worst = ranked(compared(data, quantized(data, {layer: factor})).layers)[0]
    assert worst.layer == layer
    assert worst.own is not None
    assert getattr(worst.own, cause) > 0.8
    assert worst.clipped is not None
    assert (worst.clipped > 0.01) == (cause == "clipping")


def test_damaged_weights_are_named_first_as_what_is_computed() -> None:
    data = graphs.chain()
    coarse = graphs.with_coarse_weights(data, "second_kernel", levels=3)
    worst = ranked(compared(data, quantized(coarse)).layers)[0]
    assert worst.layer == "second"
    assert worst.own is not None
    assert worst.own.computing > 0.8


def test_what_arrives_is_not_counted_as_what_arises() -> None:
    data = graphs.chain()
    sound = by_name(compared(data, quantized(data)))
    found = by_name(compared(data, quantized(data, {"first": 0.3})))
    after = found["second"]
    assert after.sqnr_db < 15 < sound["second"].sqnr_db
    assert after.own is not None
    assert after.own.sqnr_db > 25


def test_moving_values_adds_no_error() -> None:
    data = graphs.chain()
    own = by_name(compared(data, quantized(data)))["flat"].own
    assert own is not None
    assert own.sqnr_db == SQNR_LIMIT_DB


@pytest.mark.parametrize("ends", ["int8", "uint8", "float32"])
def test_the_ends_are_what_the_model_answers_whatever_their_type(ends: str) -> None:
    data = graphs.chain()
    candidate = quantized(data, ends=ends)
    samples = random_samples(data)
    with LiteRTSession(data) as before, LiteRTSession(candidate) as after:
        f = predict(before, samples).outputs["scores"].astype(np.float64)
        q = predict(after, samples).outputs["scores"].astype(np.float64)
    found = by_name(compared(data, candidate))
    error = q - f
    expected_db = 10 * np.log10((f**2).sum() / (error**2).sum())
    assert found["scores"].sqnr_db == pytest.approx(expected_db, abs=1e-3)
    assert found["scores"].bias == pytest.approx(error.mean() / np.sqrt((f**2).mean()), abs=1e-5)
    assert found["scores"].step is not None
    assert found["scores"].bias_steps == pytest.approx(
        error.mean() / found["scores"].step, abs=1e-4
    )
    assert found["x"].dtype != "float32"
    assert 35 < found["x"].sqnr_db < 60


def test_operators_rewritten_for_int8_are_compared_as_rewritten() -> None:
    from edgekit.tflite.rewrite import rewrite_for_int8

    data = graphs.activated("LEAKY_RELU", 0.1)
    rewritten, _ = rewrite_for_int8(data)
    found = compared(data, quantized(rewritten))
    assert found.missing == ()
    assert by_name(found)["act"].op == "MAXIMUM"


def test_equalized_channels_are_compared_without_their_factors() -> None:
    data = graphs.separable()
    factor = np.array([1, 2, 4, 8, 16, 1, 3, 5.0])
    found = compared(data, quantized(graphs.separable(factor)))
    assert found.equalized == ("inner", "padded")
    for name in ("inner", "padded", "spread", "scores"):
        assert by_name(found)[name].sqnr_db > 25
    assert compared(data, quantized(data)).equalized == ()


def test_weights_alone_leave_activations_float() -> None:
    data = graphs.chain()
    found = by_name(compared(data, graphs.with_coarse_weights(data, "third_kernel", levels=7)))
    assert found["third"].step is None
    assert found["third"].own is not None
    assert found["third"].own.sqnr_db < 40
    assert found["third"].own.computing == 1.0
    assert found["second"].sqnr_db == SQNR_LIMIT_DB


def test_integer_tensors_and_reductions_to_one_value_are_no_obstacle() -> None:
    data = graphs.varied()
    found = by_name(compared(data, data))
    assert "best" not in found
    assert found["total"].own is not None


def test_another_model_is_refused() -> None:
    with pytest.raises(MismatchError, match="no counterpart") as caught:
        compared(graphs.chain(), quantized(graphs.activated("RELU")))
    assert "quantized from" in (caught.value.hint or "")


def test_a_float_model_that_is_none_is_refused() -> None:
    data = quantized(graphs.chain())
    with pytest.raises(MismatchError, match="no float32 activation"):
        layer_errors(data, data, random_samples(graphs.chain()), SilentProgress(), threads=1)


def test_no_samples_are_refused() -> None:
    data = graphs.chain()
    with pytest.raises(DataError, match="no samples"):
        layer_errors(data, data, [], SilentProgress(), threads=1)


def test_a_nan_is_told_with_its_layer_and_sample() -> None:
    data = graphs.chain()
    (sample, *_) = random_samples(data)
    broken = replace(sample, feeds={"x": np.full_like(sample.feeds["x"], np.inf)})
    with pytest.raises(SessionError, match="x is NaN or infinite for sample sample 0"):
        layer_errors(data, data, [broken], SilentProgress(), threads=1)
