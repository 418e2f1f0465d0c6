"""``edgekit bridge``: what a person types, and what comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.bridges import BRIDGES
from edgekit.bridges.verify import Hop, HopOutput
from edgekit.cli.bridge_tables import print_converted
from edgekit.cli.console import stdout_console
from edgekit.cli.main import main
from edgekit.conversion import Converted, parse_way, random_samples
from edgekit.environments import ENVIRONMENTS, EnvironmentSpec
from edgekit.environments.place import shelf_in
from edgekit.errors import UsageError
from edgekit.recipe.schema import InputSpec
from edgekit.types import ModelKind
from tests.environments import tiny


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder without any environment."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("EDGEKIT_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> EnvironmentSpec:
    """The environment ``tiny``, and no other."""
    for name in list(ENVIRONMENTS):
        monkeypatch.delitem(ENVIRONMENTS, name)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    tiny.wheel(wheels)
    return tiny.register(monkeypatch, wheels)


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    """Run a command that is to fail with ``code``; its words."""
    assert main(["bridge", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err


def test_list_names_every_bridge_and_the_way_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bridge", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(BRIDGES)
    assert rows["onnx_tf"]["environment"] == "onnx-tf"
    if not BRIDGES["onnx_tf"].missing:
        assert rows["onnx_tf"]["state"] == "not set up"
        assert rows["onnx_tf"]["command"] == "edgekit bridge setup onnx-tf"
    assert main(["bridge", "list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in BRIDGES)
    assert "edgekit bridge setup onnx-tf   for onnx_tf" in out or BRIDGES["onnx_tf"].missing


def test_list_breaks_no_word_where_it_is_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["bridge", "list"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("litert_torch: pytorch to tflite, ")
    assert "onnx_tf: onnx to tflite, environment" in out
    words = {word.strip(",:") for word in out.split()}
    assert {*BRIDGES, "pytorch", "tensorflow", "tflite", "environment", "onnx-tf"} <= words


def test_figures_stay_whole_where_it_is_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outputs = (HopOutput("StatefulPartitionedCall/scores", 3.58e-07, 134.5),)
    hops = (Hop("onnx2tf", 8, outputs, 44, 0),)
    done = Converted(tmp_path / "m.tflite", ModelKind.FLOAT_TFLITE, 1500, hops, "random numbers")
    monkeypatch.setenv("COLUMNS", "40")
    print_converted(stdout_console(), done)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        "onnx2tf, StatefulPartitionedCall/scores:",
        "max abs 3.58e-07, SQNR dB 134.5, ops 44,",
        "transposes 0",
    ]
    monkeypatch.setenv("COLUMNS", "100")
    print_converted(stdout_console(), done)
    assert capsys.readouterr().out.startswith("bridge   output ")


def test_setup_and_remove(
    spec: EnvironmentSpec, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bridge", "setup", "tiny"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("tiny: set up in ")
    assert "setting up the isolated environment tiny" in err
    assert main(["bridge", "setup", "--all", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("tiny: ready, ")
    assert err == ""
    (module,) = shelf_in(own_cache).rglob("site-packages/ek_tiny.py")
    module.unlink()
    assert main(["bridge", "setup", "TINY"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("tiny: set up in ")
    assert "is damaged (ek_tiny: ek_tiny.py is gone), so it is made again" in err
    assert main(["bridge", "remove", "tiny"]) == 0
    assert capsys.readouterr().out.endswith(" freed\n")
    assert main(["bridge", "remove", "--all"]) == 0
    assert capsys.readouterr().out == "tiny: was not set up\n"


def test_a_failed_setup_is_exit_4_and_names_the_package(
    spec: EnvironmentSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.register(monkeypatch, spec.lock.parent, "ek_absent==1.0")
    err = refused(capsys, 4, "setup", "tiny")
    assert "pip could not install ek_absent==1.0" in err
    assert "then: edgekit bridge setup tiny" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["setup"], "name isolated environments, or give --all"),
        (["remove", "--all", "onnx-tf"], "name isolated environments, or give --all"),
        (["setup", "onnx-t"], "did you mean 'onnx-tf'?"),
        (["setup", "tf2onnx"], "tf2onnx needs no isolated environment"),
        (["run", "onnx_tf", "--out", "x.tflite"], "give a MODEL.onnx or --recipe"),
        (["run", "onx_tf", "m.onnx", "--out", "x.tflite"], "did you mean 'onnx_tf'?"),
        (["run", "onnx_tf", "m.onnx", "--out", "x.onnx"], "--out x.tflite"),
        (["run", "onnx_tf", "m.onnx", "--out", "no/x.tflite"], "there is no folder no"),
        (["run", "onnx-tf,onnx2tf", "m.onnx", "--out", "x.tflite"], "which onnx2tf does not take"),
        (
            ["run", "onnx_tf", "-r", "mobilenet_int8", "--layout", "NCHW", "--out", "x.tflite"],
            "--layout describes a MODEL.onnx",
        ),
        (
            ["run", "onnx_tf", "m.onnx", "--set", "a=1", "--out", "x.tflite"],
            "--set changes a recipe",
        ),
    ],
)
def test_what_is_refused(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, 2, *arguments)


def test_a_file_that_is_there_is_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "x.tflite"
    out.write_text("mine")
    err = refused(capsys, 2, "run", "onnx_tf", "m.onnx", "--out", out)
    assert "is there already" in err
    assert out.read_text() == "mine"


def test_ways_as_people_write_them() -> None:
    assert parse_way("torch-onnx, ONNX-TF") == ("torch_onnx", "onnx_tf")
    with pytest.raises(UsageError, match="torch_onnx makes onnx, which tf2onnx does not take"):
        parse_way("torch_onnx,tf2onnx")


def test_random_samples_are_seeded_and_fit_the_inputs() -> None:
    inputs = (
        InputSpec("image", (1, 3, 4, 5), layout="NCHW"),
        InputSpec("ids", (1, 7), "int64"),
        InputSpec("bytes", (2,), "uint8"),
    )
    samples = random_samples(inputs, 2)
    first = samples[0].feeds
    assert {name: (value.shape, value.dtype) for name, value in first.items()} == {
        "image": ((1, 4, 5, 3), np.float32),
        "ids": ((1, 7), np.int64),
        "bytes": ((2,), np.uint8),
    }
    again = random_samples(inputs, 2)
    for one, other in zip(samples, again, strict=True):
        assert all(np.array_equal(one.feeds[name], other.feeds[name]) for name in first)
    assert not np.array_equal(first["image"], samples[1].feeds["image"])


def test_a_sample_of_a_fixed_batch_is_one_row() -> None:
    rows = InputSpec("rows", (3, 4)), InputSpec("ids", (3,), "int64")
    (sample,) = random_samples(rows, 1)
    assert {name: value.shape for name, value in sample.feeds.items()} == {
        "rows": (1, 4),
        "ids": (1,),
    }
    with pytest.raises(UsageError, match=r"batch of 3.*state \[1, 4\]"):
        random_samples((rows[0], InputSpec("state", (1, 4))), 1)


@pytest.fixture(params=[1])
def small_onnx(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """``y = relu(x @ w)``, w of 4 by 3; the parameter is its batch."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind, batch = onnx.helper, onnx.TensorProto.FLOAT, request.param
    weights = onnx.numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"], name="mul"),
        helper.make_node("Relu", ["z"], ["y"], name="relu"),
    ]
    ends = [
        helper.make_tensor_value_info(*end)
        for end in (("x", kind, [batch, 4]), ("y", kind, [batch, 3]))
    ]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = tmp_path / "small.onnx"
    onnx.save(model, file)
    return file


@pytest.mark.parametrize("small_onnx", [1, 3], indirect=True)
def test_run_verifies_and_writes_the_file(
    small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    if BRIDGES["onnx_torch"].missing:
        pytest.skip("needs " + ", ".join(BRIDGES["onnx_torch"].missing))
    out = tmp_path / "small.pt2"
    assert main(["bridge", "run", "onnx-torch", str(small_onnx), "--out", str(out)]) == 0
    told, err = capsys.readouterr()
    assert "note: verified on random numbers, a weaker check than real samples" in err
    (row,) = [line.split() for line in told.splitlines() if line.startswith("onnx_torch")]
    assert row[1] == "y"
    assert float(row[2]) < 1e-5
    assert "verified on 8 samples of random numbers" in told
    assert out.stat().st_size > 0
    assert [path.name for path in tmp_path.glob(".small*")] == []
    arguments = ["run", "onnx_torch", str(small_onnx), "--out", str(out), "--force", "--json"]
    assert main(["bridge", *arguments]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields["kind"] == ModelKind.EXPORTED_PROGRAM.value
    assert fields["size_bytes"] == out.stat().st_size
    assert fields["hops"][0]["outputs"][0]["sqnr_db"] > 60


def test_run_takes_what_its_hints_ask_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("torch")
    if BRIDGES["onnx_torch"].missing:
        pytest.skip("needs " + ", ".join(BRIDGES["onnx_torch"].missing))
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, ["N", 4, "H", "W"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    file, out = tmp_path / "open.onnx", tmp_path / "fixed.pt2"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), file)
    arguments = ["run", "onnx_torch", str(file), "--out", str(out)]
    assert "--input-shape 1,4,224,224" in refused(capsys, 2, *arguments)
    arguments += ["--input-shape", "1,4,5,6"]
    assert "--layout NCHW or --layout NHWC" in refused(capsys, 2, *arguments)
    assert main(["bridge", *arguments, "--layout", "NCHW"]) == 0
    assert out.is_file()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("bridge", ["onnx_tf", "onnx2tf"])
def test_the_real_environments(
    bridge: str, small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.tflite"
    assert main(["bridge", "setup", bridge]) == 0
    assert main(["bridge", "run", bridge, str(small_onnx), "--out", str(out)]) == 0
    assert "small.tflite" in capsys.readouterr().out
    from edgekit.runtimes import open_session

    with open_session(out) as session:
        values = np.array([[1, -2, 3, 4]], np.float32)
        assert np.allclose(session.run({"x": values})["y"], [[1, 0, 3]])
