"""predict over real sessions, and over a stand-in where a model cannot be made to misbehave."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.errors import DataError, SessionError, UsageError
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.predict import predict
from edgekit.runtimes.torch_module import TorchSession
from edgekit.types import Array, Sample
from tests import tflite_models as models


class Count:
    def __init__(self) -> None:
        self.done = 0

    def advance(self, steps: int = 1) -> None:
        self.done += steps


def samples(n: int, labelled: bool = False) -> list[Sample]:
    rng = np.random.default_rng(11)
    return [
        Sample(
            id=f"s{i}",
            image_id=f"i{i}",
            feeds={"x": rng.uniform(-1, 1, models.INPUT_SHAPE).astype(np.float32)},
            label=i % models.CLASSES if labelled else None,
        )
        for i in range(n)
    ]


def expected(given: list[Sample]) -> Array:
    return models.reference(np.concatenate([s.feeds["x"] for s in given]), models.weights())


def vectors(*rows: list[float]) -> list[Sample]:
    return [
        Sample(f"s{i}", f"s{i}", {"v": np.array([row], np.float32)}) for i, row in enumerate(rows)
    ]


def torch_session(module: Callable[..., Any], batch: int = 1) -> TorchSession:
    return TorchSession(module, (InputSpec("v", (batch, 2), "float32", "any"),), ("y",), threads=1)


@pytest.mark.parametrize("content", [models.float_model, models.free_batch_model])
@pytest.mark.parametrize("n", [1, 16, 37])
def test_float_predictions_one_by_one_and_in_batches(content: Callable[[], bytes], n: int) -> None:
    given, task = samples(n, labelled=True), Count()
    with LiteRTSession(content()) as session:
        found = predict(session, iter(given), task=task)
    np.testing.assert_allclose(found.outputs["scores"], expected(given), rtol=1e-4, atol=1e-5)
    assert found.outputs["scores"].dtype == np.float32
    assert found.ids == tuple(f"s{i}" for i in range(n))
    assert found.labels is not None
    assert found.labels.tolist() == [i % models.CLASSES for i in range(n)]
    assert (len(found), task.done) == (n, n)


def test_int8_predictions_come_back_real_and_close() -> None:
    given = samples(60)
    with LiteRTSession(models.int8_model()) as session:
        found = predict(session, given)
        step = session.info.outputs[0].quant
    assert step is not None
    want = expected(given)
    error = found.outputs["scores"] - want
    assert found.labels is None
    assert 10 * np.log10((want**2).sum() / (error**2).sum()) > 25
    steps = found.outputs["scores"] / np.float32(step.scale)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)  # on the output's own grid


def test_feeds_already_quantized_are_not_quantized_again() -> None:
    given = samples(3)
    stored = [
        dataclasses.replace(s, feeds={"x": np.round(s.feeds["x"] / (2 / 255)).astype(np.int8)})
        for s in given
    ]
    with LiteRTSession(models.int8_model()) as session:
        np.testing.assert_array_equal(
            predict(session, given).outputs["scores"], predict(session, stored).outputs["scores"]
        )


def test_a_fixed_batch_is_filled_and_cut() -> None:
    graph = models.float_graph(models.weights(), batch=4)
    given = samples(6)
    with LiteRTSession(models.write([graph], {"s": 0})) as session:
        assert session.info.max_batch == 4
        found = predict(session, given)
    np.testing.assert_allclose(found.outputs["scores"], expected(given), rtol=1e-4, atol=1e-5)


def test_an_output_without_a_batch_axis_belongs_to_its_sample() -> None:
    with torch_session(lambda v: v.sum()) as session:
        found = predict(session, vectors([1, 2], [3, 4]))
    assert found.outputs["y"].tolist() == [3, 7]


def test_integer_answers_become_float32() -> None:
    with torch_session(lambda v: v.argmax(dim=1)) as session:
        found = predict(session, vectors([1, 2], [4, 3]))
    assert found.outputs["y"].tolist() == [1.0, 0.0]
    assert found.outputs["y"].dtype == np.float32


def test_nan_answers_are_counted_and_the_first_sample_named() -> None:
    with (
        torch_session(torch.log) as session,
        pytest.raises(SessionError, match="'y' is NaN for 2 of 4 samples; the first is s1"),
    ):
        predict(session, vectors([1, 1], [1, -1], [2, 2], [-1, 1]))


def test_a_nan_feed_of_an_integer_input_names_its_sample() -> None:
    given = samples(3)
    given[1].feeds["x"][0, 2, 2, 1] = np.nan
    with (
        LiteRTSession(models.int8_model()) as session,
        pytest.raises(DataError, match="sample s1, input 'x'"),
    ):
        predict(session, given)


def test_partly_labelled_and_missing_samples_are_refused() -> None:
    given = samples(4, labelled=True)
    given[2] = dataclasses.replace(given[2], label=None)
    with LiteRTSession(models.float_model()) as session:
        with pytest.raises(DataError, match="3 of 4 samples have a label; s2 has none"):
            predict(session, given)
        with pytest.raises(DataError, match="no samples"):
            predict(session, [])
        with pytest.raises(UsageError, match="given 'y', but wants 'x'"):
            predict(session, [Sample("s", "s", {"y": given[0].feeds["x"]})])
