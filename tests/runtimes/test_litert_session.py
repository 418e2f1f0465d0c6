"""LiteRTSession against the NumPy text of the test network."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import SessionError, UsageError
from edgekit.runtimes import RUNTIMES, open_session
from edgekit.runtimes.litert import MAX_FREE_BATCH, LiteRTSession
from edgekit.types import QuantParams, TensorInfo
from tests import tflite_models as models


def some_input(seed: int = 7, batch: int = 1) -> models.Array:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (batch, *models.INPUT_SHAPE[1:])).astype(np.float32)


def test_float_model_answers_like_its_reference() -> None:
    x = some_input()
    with LiteRTSession(models.float_model()) as session:
        answer = session.run({"x": x})
    np.testing.assert_allclose(
        answer["scores"], models.reference(x, models.weights()), rtol=1e-4, atol=1e-5
    )
    assert session.info.inputs == (TensorInfo("x", models.INPUT_SHAPE, "float32", None),)
    assert session.info.outputs == (TensorInfo("scores", (1, models.CLASSES), "float32", None),)
    assert (session.info.runtime, session.info.threads, session.info.max_batch) == ("litert", 1, 1)


def test_int8_model_states_its_quantization() -> None:
    with LiteRTSession(models.int8_model()) as session:
        (x,), (scores,) = session.info.inputs, session.info.outputs
    assert (x.dtype, scores.dtype) == ("int8", "int8")
    assert x.quant == QuantParams(float(np.float32(2 / 255)), 0)
    assert scores.quant is not None
    assert scores.quant.scale > 0


def test_names_come_from_tensors_where_there_is_no_signature() -> None:
    with LiteRTSession(models.unsigned_model()) as session:
        assert [info.name for info in session.info.inputs] == ["serving_x"]
        assert list(session.run({"serving_x": some_input()})) == ["serving_scores"]


def test_signatures_are_chosen_by_name_and_the_first_by_default() -> None:
    x, whole = some_input(), models.two_signature_model()
    for signature, seed in ((None, 0), ("first", 0), ("second", 1)):
        with LiteRTSession(whole, signature=signature) as session:
            answer = session.run({"x": x})["scores"]
            again = session.run({"x": x})["scores"]
        expected = models.reference(x, models.weights(seed))
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(answer, again)


def test_an_unknown_signature_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no signature 'third'; it has 'first', 'second'"):
        LiteRTSession(models.two_signature_model(), signature="third")
    with pytest.raises(UsageError, match="it has none at all"):
        LiteRTSession(models.unsigned_model(), signature="third")


def test_outputs_keep_the_order_of_the_graph() -> None:
    """LiteRT lists a signature's names sorted; here the graph has them the other way round."""
    graph = models.float_graph(models.weights())
    graph.outputs = {"z_first": 3, "a_second": 6}
    with LiteRTSession(models.write([graph], {"serving_default": 0})) as session:
        assert [info.name for info in session.info.outputs] == ["z_first", "a_second"]


def test_outputs_stay_valid_after_later_runs() -> None:
    with LiteRTSession(models.two_output_model()) as session:
        first = session.run({"x": some_input(1)})
        kept = {name: array.copy() for name, array in first.items()}
        session.run({"x": some_input(2)})
        session.close()
    assert set(first) == {"hidden", "scores"}
    for name, array in kept.items():
        np.testing.assert_array_equal(first[name], array)


def test_a_free_batch_axis_takes_any_batch() -> None:
    with LiteRTSession(models.free_batch_model()) as session:
        assert session.info.max_batch == MAX_FREE_BATCH
        for batch in (3, 1, 16):
            x = some_input(batch=batch)
            np.testing.assert_allclose(
                session.run({"x": x})["scores"],
                models.reference(x, models.weights()),
                rtol=1e-4,
                atol=1e-5,
            )


def test_time_ms_gives_one_positive_time_a_run() -> None:
    with LiteRTSession(models.int8_model()) as session:
        times = session.time_ms({"x": np.zeros(models.INPUT_SHAPE, np.int8)}, 5)
        assert times.shape == (5,)
        assert times.dtype == np.float64
        assert (times > 0).all()
        assert times.max() < 1000
        with pytest.raises(UsageError, match="repeats"):
            session.time_ms({"x": np.zeros(models.INPUT_SHAPE, np.int8)}, 0)


@pytest.mark.parametrize(
    ("feeds", "message", "hint"),
    [
        ({}, "given nothing, but wants 'x' float32", "exactly"),
        ({"y": np.zeros(3)}, "given 'y', but wants 'x'", "exactly"),
        (
            {"x": np.zeros((1, 3, 4, 4), np.float32)},
            r"as float32 \[1, 4, 4, 3\], but was given float32 \[1, 3, 4, 4\]",
            "channels-first",
        ),
        ({"x": np.zeros((4, 4, 3), np.float32)}, r"given float32 \[4, 4, 3\]", "batch axis"),
        ({"x": np.zeros((2, 4, 4, 3), np.float32)}, r"given float32 \[2, 4, 4, 3\]", None),
        ({"x": np.zeros((1, 4, 4, 3))}, "given float64", "astype"),
    ],
)
def test_wrong_feeds_say_what_was_given_and_wanted(
    feeds: dict[str, models.Array], message: str, hint: str | None
) -> None:
    with LiteRTSession(models.float_model()) as session:
        with pytest.raises(UsageError, match=message) as caught:
            session.run(feeds)
        assert (hint is None and caught.value.hint is None) or (
            hint is not None and hint in str(caught.value.hint)
        )
        session.run({"x": some_input()})  # still usable


def test_a_float_feed_of_an_int8_input_is_refused_with_the_way_out() -> None:
    with LiteRTSession(models.int8_model()) as session, pytest.raises(UsageError) as caught:
        session.run({"x": some_input()})
    assert "predict()" in str(caught.value.hint)


def test_feeds_in_any_memory_order_are_taken() -> None:
    x = some_input()
    with LiteRTSession(models.float_model()) as session:
        straight = session.run({"x": x})["scores"]
        strided = session.run({"x": x.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)})["scores"]
    np.testing.assert_array_equal(straight, strided)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (models.corrupt_model, "cannot be loaded"),
        (lambda: b"", "no bytes"),
        (lambda: b"not a model" * 50, "cannot be loaded: .*Flatbuffer"),
        (models.refused_model, "stride_height > 0 was not true; node number 0"),
    ],
)
def test_models_that_do_not_load_say_why(content: object, cause: str) -> None:
    assert callable(content)
    with pytest.raises(SessionError, match=cause):
        LiteRTSession(content())


def test_a_model_that_fails_while_running_says_why() -> None:
    with LiteRTSession(models.failing_model()) as session:
        with pytest.raises(SessionError, match="failed while running: gather index out of bounds"):
            session.run({"x": np.zeros((1, 4), np.float32)})
        with pytest.raises(SessionError, match="failed while running"):
            session.time_ms({"x": np.zeros((1, 4), np.float32)}, 1)


def test_nothing_reaches_the_terminal(tmp_path: Path) -> None:
    """XNNPACK's greeting (once a process, so in a fresh one) and the errors' own text included."""
    for name in ("float_model", "free_batch_model", "refused_model"):
        (tmp_path / name).write_bytes(getattr(models, name)())
    script = """
        import sys
        from pathlib import Path
        import numpy as np
        from edgekit.errors import SessionError
        from edgekit.runtimes.litert import LiteRTSession
        folder = Path(sys.argv[1])
        with LiteRTSession(folder / "float_model") as session:
            session.run({"x": np.zeros((1, 4, 4, 3), np.float32)})
        with LiteRTSession(folder / "free_batch_model") as session:
            session.run({"x": np.zeros((4, 4, 4, 3), np.float32)})
        try:
            LiteRTSession(folder / "refused_model")
        except SessionError:
            print("refused")
    """
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stdout, done.stderr) == ("refused\n", "")


def test_a_closed_session_says_so() -> None:
    session = LiteRTSession(models.float_model())
    session.close()
    with pytest.raises(UsageError, match="closed"):
        session.run({"x": some_input()})


def test_open_session_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model file"):
        open_session(tmp_path / "gone.tflite")
    with pytest.raises(UsageError, match="no runtime is called 'litert2'"):
        open_session(tmp_path / "gone.tflite", runtime="litert2")
    with pytest.raises(UsageError, match="threads"):
        open_session(tmp_path / "gone.tflite", threads=0)


def test_the_runtime_of_the_table_opens_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(models.float_model())
    with open_session(path, runtime="litert", threads=2) as session:
        assert (session.info.runtime, session.info.threads) == ("litert", 2)


def test_no_runtime_of_the_table_takes_a_missing_file(tmp_path: Path) -> None:
    for name in RUNTIMES:
        with pytest.raises(UsageError, match=r"no (such )?model file"):
            open_session(tmp_path / "gone", runtime=name)
