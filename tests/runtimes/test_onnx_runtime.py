"""OnnxSession: layouts, batches, timing, and what a file of somebody else's can hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.errors import SessionError, UsageError
from edgekit.onnx.model_file import with_layouts
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes import open_session
from edgekit.runtimes.onnx_loading import LAYOUTS_PROPERTY
from edgekit.runtimes.onnx_runtime import MAX_FREE_BATCH, OnnxSession
from edgekit.types import TensorInfo
from tests import onnx_models
from tests import tflite_models as models
from tests.onnx_models import IMAGE, images


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save_model(onnx_models.float_model(), path)
    return path


@pytest.fixture
def free(tmp_path: Path) -> Path:
    path = tmp_path / "free.onnx"
    onnx.save_model(onnx_models.float_model(batch="N"), path)
    return path


def test_channels_last_in_and_out_of_a_channels_first_model(file: Path) -> None:
    with OnnxSession(file, (IMAGE,), ("scores", "hidden")) as session:
        assert session.info.runtime == "onnxruntime"
        assert session.info.inputs == (TensorInfo("x", (1, 4, 4, 3), "float32"),)
        assert session.info.outputs == (
            TensorInfo("scores", (1, 5), "float32"),
            TensorInfo("hidden", (1, 4, 4, 2), "float32"),
        )
        x, w = images(), models.weights()
        answer = session.run({"x": x})
    assert list(answer) == ["scores", "hidden"]
    np.testing.assert_allclose(answer["hidden"], models.hidden(x, w), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer["scores"], models.reference(x, w), rtol=1e-4, atol=1e-5)


def test_other_layouts_pass_through_both_ways(file: Path) -> None:
    spec = replace(IMAGE, layout="any")
    x, w = images(), models.weights()
    with OnnxSession(file, (spec,), ("hidden",)) as session:
        found = session.run({"x": x.transpose(0, 3, 1, 2)})["hidden"]
    expected = models.hidden(x, w).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("isolated", [False, True])
def test_a_bare_file_states_its_own_layouts(tmp_path: Path, isolated: bool) -> None:
    path = tmp_path / "net.onnx"
    onnx.save_model(with_layouts(onnx_models.float_model(), (IMAGE,)), path)
    with open_session(path, runtime="onnxruntime", isolated=isolated) as session:
        assert session.info.inputs[0].shape == (1, 4, 4, 3)
        x = images()
        found = session.run({"x": x})["scores"]
    np.testing.assert_allclose(found, models.reference(x, models.weights()), rtol=1e-4, atol=1e-5)


def test_a_bare_file_that_states_none_is_fed_as_it_is(file: Path) -> None:
    with open_session(file, runtime="onnxruntime") as session:
        assert session.info.inputs[0].shape == (1, 3, 4, 4)
        assert session.info.outputs[0].shape == (1, 2, 4, 4)


@pytest.mark.parametrize("text", ["[1]", "no json", '"NCHW"'])
def test_damaged_metadata_is_told(tmp_path: Path, text: str) -> None:
    made = onnx_models.float_model()
    made.metadata_props.add(key=LAYOUTS_PROPERTY, value=text)
    onnx.save_model(made, tmp_path / "net.onnx")
    with pytest.raises(SessionError, match=r"net\.onnx has damaged metadata: edgekit\.layouts"):
        OnnxSession(tmp_path / "net.onnx")


def test_an_open_batch_is_one_and_may_be_more(free: Path) -> None:
    with OnnxSession(free, (IMAGE,), ("hidden", "scores")) as session:
        assert session.info.max_batch == MAX_FREE_BATCH
        assert session.info.inputs[0].shape == (1, 4, 4, 3)
        assert session.info.outputs[1].shape == (1, 5)
        x = images(3)
        found = session.run({"x": x})["scores"]
    expected = [models.reference(x[i : i + 1], models.weights())[0] for i in range(3)]
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-4, atol=1e-5)


def test_a_batch_that_the_graph_fixes_inside_stays_fixed(tmp_path: Path) -> None:
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 4])
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    ends = [onnx_models.info("x", ("N", 4))], [onnx_models.info("y", ("N", 4))]
    onnx.save_model(onnx_models.model([node], *ends, [shape]), tmp_path / "m.onnx")
    with OnnxSession(tmp_path / "m.onnx") as session:
        assert session.info.max_batch == 1
        with pytest.raises(UsageError, match=r"wants input 'x' as float32 \[1, 4\]"):
            session.run({"x": np.zeros((2, 4), np.float32)})


def test_a_fixed_batch_stays_fixed(file: Path) -> None:
    with OnnxSession(file, (IMAGE,)) as session:
        assert session.info.max_batch == 1


def test_sizes_that_stay_open_are_taken_from_the_specs(tmp_path: Path) -> None:
    ends = [onnx_models.info("x", ("N", "T"))], [onnx_models.info("y", ("N", "T"))]
    made = onnx_models.model([helper.make_node("Neg", ["x"], ["y"])], *ends)
    onnx.save_model(made, tmp_path / "m.onnx")
    with OnnxSession(tmp_path / "m.onnx", (InputSpec("x", (1, 7)),)) as session:
        assert session.info.outputs == (TensorInfo("y", (1, 7), "float32"),)
    with pytest.raises(UsageError, match=r"input 'x' of m.onnx leaves sizes open: \[N, T\]"):
        OnnxSession(tmp_path / "m.onnx")


def test_timing_times_each_run(file: Path) -> None:
    with OnnxSession(file, (IMAGE,)) as session:
        times_ms = session.time_ms({"x": images()}, repeats=4)
        assert times_ms.shape == (4,)
        assert (times_ms > 0).all()
        with pytest.raises(UsageError, match="repeats"):
            session.time_ms({"x": images()}, repeats=0)


def test_the_threads_asked_for_are_those_of_the_session(file: Path) -> None:
    with OnnxSession(file, (IMAGE,), threads=2) as session:
        assert session.info.threads == 2
        options = session._open_session().get_session_options()
        assert options.intra_op_num_threads == 2
        assert options.inter_op_num_threads == 1


def test_answers_do_not_change_with_later_runs(file: Path) -> None:
    with OnnxSession(file, (IMAGE,)) as session:
        first = session.run({"x": images()})["hidden"]
        kept = first.copy()
        session.run({"x": images() + 1})
        np.testing.assert_array_equal(first, kept)


def test_a_closed_session_says_so(file: Path) -> None:
    session = OnnxSession(file, (IMAGE,))
    session.close()
    with pytest.raises(UsageError, match="closed"):
        session.run({"x": images()})


def test_feeds_that_do_not_fit(file: Path) -> None:
    with OnnxSession(file, (IMAGE,)) as session:
        with pytest.raises(UsageError, match=r"wants input .x. as float32 \[1, 4, 4, 3\]"):
            session.run({"x": images().transpose(0, 3, 1, 2)})
        with pytest.raises(UsageError, match="was given 'image'"):
            session.run({"image": images()})


def test_names_that_are_not_the_files(file: Path) -> None:
    with pytest.raises(UsageError, match=r"has no output 'logits'; it has hidden, scores"):
        OnnxSession(file, (IMAGE,), ("logits",))
    with pytest.raises(UsageError, match=r"has no input 'image'; it has x"):
        OnnxSession(file, (replace(IMAGE, name="image"),))


def test_a_signature_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="ONNX has none at all"):
        open_session(file, runtime="onnxruntime", signature="serving_default")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model file"):
        OnnxSession(tmp_path / "net.onnx")


def test_texts_are_no_arrays(tmp_path: Path) -> None:
    made = onnx_models.unary("Identity", dtype=TensorProto.STRING)
    onnx.save_model(made, tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=r"'x' of m.onnx is a tensor\(string\)"):
        OnnxSession(tmp_path / "m.onnx")


@pytest.mark.parametrize("isolated", [False, True])
def test_a_file_that_is_none_is_told_in_one_line(tmp_path: Path, isolated: bool) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x08\x08garbage")
    with pytest.raises(SessionError, match=r"net\.onnx cannot be loaded") as caught:
        open_session(path, runtime="onnxruntime", isolated=isolated)
    assert "\n" not in caught.value.message
    assert str(tmp_path) not in caught.value.message
    assert "ONNXRuntimeError" not in caught.value.message


def test_a_node_that_fails_while_running(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gather", ["table", "x"], ["y"], "lookup")]
    table = helper.make_tensor("table", TensorProto.FLOAT, [2, 1], [1, 2])
    ends = [onnx_models.info("x", (1,), TensorProto.INT64)], [onnx_models.info("y", (1, 1))]
    onnx.save_model(onnx_models.model(nodes, *ends, [table]), tmp_path / "m.onnx")
    with OnnxSession(tmp_path / "m.onnx") as session:
        np.testing.assert_array_equal(session.run({"x": np.array([1])})["y"], [[2]])
        with pytest.raises(SessionError, match=r"m.onnx failed while running: .*'lookup'"):
            session.run({"x": np.array([9])})
        with pytest.raises(SessionError, match=r"m.onnx failed while running: .*'lookup'"):
            session.time_ms({"x": np.array([9])}, repeats=1)
