"""TensorFlow behind the Session seam: batches, errors of the running model, times, threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgekit.errors import SessionError, UsageError
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.tf_function import MAX_FREE_BATCH, TFSession, tf_cause
from edgekit.tensorflow.function import TFModel, require_tensorflow
from edgekit.types import TensorInfo

X = InputSpec("x", (1, 3))


def opened(
    function: Callable[[Any], Any], own: tuple[int, ...] = (-1, 3), spec: InputSpec = X
) -> TFSession:
    model = TFModel(
        call=lambda x: {"y": function(x)},
        inputs=(TensorInfo("x", own, spec.dtype),),
        outputs=("y",),
        holder=None,
    )
    return TFSession(model, (spec,), ("y",), name="the net", threads=1)


def test_an_open_batch_takes_many(tf: Any) -> None:
    session = opened(lambda x: x * 2)
    assert session.info.max_batch == MAX_FREE_BATCH
    assert session.info.outputs == (TensorInfo("y", (1, 3), "float32"),)
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(session.run({"x": x})["y"], x * 2)


@pytest.mark.parametrize(
    ("function", "own", "spec"),
    [
        (lambda x: x * 2, (1, 3), X),
        (lambda x: x * 2, (-1, 3), InputSpec("x", (2, 3))),
        (lambda x: require_tensorflow().reduce_sum(x, axis=0, keepdims=True), (-1, 3), X),
        (lambda x: require_tensorflow().ensure_shape(x, (1, 3)), (-1, 3), X),
    ],
)
def test_a_batch_that_is_not_open_or_only_says_so(
    tf: Any, function: Callable[[Any], Any], own: tuple[int, ...], spec: InputSpec
) -> None:
    session = opened(function, own, spec)
    assert session.info.max_batch == spec.shape[0]
    session.run({"x": np.ones(spec.shape, np.float32)})
    with pytest.raises(UsageError, match="the net wants input 'x'"):
        session.run({"x": np.ones((spec.shape[0] + 1, 3), np.float32)})


def test_feeds_that_are_not_the_models(tf: Any) -> None:
    session = opened(lambda x: x)
    for feeds in ({"x": np.ones((1, 3))}, {"z": np.ones((1, 3), np.float32)}, {}):
        with pytest.raises(UsageError, match="the net"):
            session.run(feeds)


def test_half_precision_comes_out_as_float32(tf: Any) -> None:
    for dtype in (tf.float16, tf.bfloat16):
        session = opened(lambda x, dtype=dtype: tf.cast(x, dtype))
        assert session.run({"x": np.ones((1, 3), np.float32)})["y"].dtype == np.float32


def test_a_failing_model_says_why_in_one_line(tf: Any) -> None:
    with pytest.raises(SessionError, match="the net failed when traced for the stated shapes"):
        opened(lambda x: x @ tf.ones((4, 2)))
    session = opened(lambda x: tf.gather([1.0, 2.0], tf.cast(x, tf.int32)))
    with pytest.raises(SessionError) as caught:
        session.run({"x": np.full((1, 3), 7, np.float32)})
    message = caught.value.message
    assert message.startswith("the net failed while running: InvalidArgumentError: indices")
    assert "7 is not in [0, 2)" in message
    assert not any(noise in message for noise in ("\n", "{{", "[[", "[Op:"))


def test_the_cause_without_inner_names() -> None:
    text = "{{function_node __f_1}} Matrix\n\t [[{{node matmul}}]] [Op:__f_1]"
    assert tf_cause(ValueError(text)) == "ValueError: Matrix"


def test_the_type_is_told_once() -> None:
    assert tf_cause(TypeError("TypeError: no list")) == "TypeError: no list"
    assert tf_cause(TypeError("TypeError")) == tf_cause(TypeError()) == "TypeError"
    assert tf_cause(ValueError("ValueErrors abound")) == "ValueError: ValueErrors abound"


def test_times_and_the_end(tf: Any) -> None:
    session = opened(lambda x: x * 2)
    times = session.time_ms({"x": np.ones((1, 3), np.float32)}, 5)
    assert times.shape == (5,)
    assert (times > 0).all()
    with pytest.raises(UsageError, match="repeats"):
        session.time_ms({"x": np.ones((1, 3), np.float32)}, 0)
    session.close()
    with pytest.raises(UsageError, match="the session of the net is closed"):
        session.run({"x": np.ones((1, 3), np.float32)})


def test_threads_are_the_pools(tf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threading = tf.config.threading
    monkeypatch.setattr(threading, "get_intra_op_parallelism_threads", lambda: 5)
    info = opened(lambda x: x).info
    assert info.threads == 5
    assert info.caveat == "TensorFlow runs on 5 threads, which it was started with, not on 1"
    monkeypatch.setattr(threading, "get_intra_op_parallelism_threads", lambda: 1)
    assert opened(lambda x: x).info.caveat is None
    with pytest.raises(UsageError, match="threads must be at least 1"):
        TFSession(None, (X,), ("y",), name="the net", threads=0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tf() -> Any:
    return require_tensorflow()
