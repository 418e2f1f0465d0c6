"""torch.onnx: from every PyTorch form to an ONNX model that answers the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgekit.bridges import torch_onnx
from edgekit.bridges.cross import Crossing, cross
from edgekit.cache import Cache
from edgekit.errors import ConversionError
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, ModelSpec, OnnxSpec
from edgekit.sources import locate
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind, Sample
from tests.bridges.conftest import IMAGE, OUTPUTS, inputs, network, source_of

VECTOR = InputSpec("x", (1, 4), "float32", "any")


class Warned(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, message: str) -> None:
        self.lines.append(message)


def crossed(
    source: SourceModel,
    samples: list[Sample] | None = None,
    progress: SilentProgress | None = None,
    **options: Any,
) -> Crossing:
    return cross(
        "torch_onnx",
        source,
        inputs() if samples is None else samples,
        threads=1,
        cache=Cache(enabled=False),
        progress=progress or SilentProgress(),
        onnx=OnnxSpec(**options),
    )


def graph(crossing: Crossing) -> Any:
    return onnx.load(crossing.model.files["model"])


def ops(crossing: Crossing) -> list[str]:
    return [node.op_type for node in graph(crossing).graph.node]


def shapes(model: Any) -> list[list[int | str]]:
    ends = (*model.graph.input, *model.graph.output)
    return [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in ends]


def vectors(*names: str) -> list[Sample]:
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=(1, 4)).astype(np.float32) for name in names}
    return [Sample("0", "0", feeds)]


@pytest.fixture(scope="module")
def plain() -> Crossing:
    return crossed(source_of(network()))


def test_a_module_becomes_a_channels_first_graph(plain: Crossing) -> None:
    model = graph(plain)
    assert plain.model.kind is ModelKind.ONNX
    assert plain.model.inputs == (IMAGE,)
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == [
        "image",
        *OUTPUTS,
    ]
    assert shapes(model) == [[1, 3, 8, 8], [1, 4, 8, 8], [1, 5]]
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu", "ReduceMean", "Gemm"]
    assert all(output.sqnr_db > 100 for output in plain.hop.outputs)


def test_layers_are_called_by_the_modules(plain: Crossing) -> None:
    model = graph(plain)
    assert [node.name for node in model.graph.node] == ["body.0", "body.2", "mean", "head"]
    assert {"body.0.weight", "head.weight", "head.bias"} <= {
        t.name for t in model.graph.initializer
    }


def test_the_same_model_is_the_same_bytes_and_tells_nothing_of_the_machine(plain: Crossing) -> None:
    data = plain.model.files["model"].read_bytes()
    again = crossed(source_of(network())).model.files["model"].read_bytes()
    assert data == again
    for trace in (b"site-packages", b".py", b"forward", str(Path.cwd()).encode(), b"pkg."):
        assert trace not in data


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("net.pt2", ModelKind.EXPORTED_PROGRAM),
        ("free.pt2", ModelKind.EXPORTED_PROGRAM),
        ("net.ts", ModelKind.TORCHSCRIPT),
    ],
)
def test_saved_programs_and_scripts_give_the_same_graph(
    files: Path, plain: Crossing, name: str, kind: ModelKind
) -> None:
    source = locate(ModelSpec("pytorch", (IMAGE,), outputs=OUTPUTS, file=str(files / name)))
    assert source.kind is kind
    warned = Warned()
    found = crossed(source, progress=warned)
    assert ops(found) == ops(plain)
    assert shapes(graph(found)) == shapes(graph(plain))
    assert warned.lines == []


@pytest.mark.parametrize("name", ["net", "free.pt2", "net.ts"])
def test_a_free_batch_takes_several_at_once(files: Path, name: str) -> None:
    source = (
        source_of(network())
        if name == "net"
        else locate(ModelSpec("pytorch", (IMAGE,), outputs=OUTPUTS, file=str(files / name)))
    )
    found = crossed(source, free_batch=True)
    assert shapes(graph(found)) == [["batch", 3, 8, 8], ["batch", 4, 8, 8], ["batch", 5]]
    with found.model.open_session(1) as session:
        assert session.info.max_batch > 1


def test_a_program_of_a_fixed_batch_cannot_have_it_opened(files: Path) -> None:
    source = locate(ModelSpec("pytorch", (IMAGE,), outputs=OUTPUTS, file=str(files / "net.pt2")))
    with pytest.raises(ConversionError, match=r"size\(\)\[0\] == 1") as caught:
        crossed(source, free_batch=True)
    assert "leave out onnx.free_batch" in str(caught.value.hint)


@pytest.mark.parametrize("opset", [13, 17, 18, 23])
def test_the_operator_set_is_the_one_asked_for(opset: int) -> None:
    found = graph(crossed(source_of(network()), opset=opset))
    assert [(entry.domain, entry.version) for entry in found.opset_import] == [("", opset)]


def test_an_operator_set_out_of_reach_names_the_range() -> None:
    with pytest.raises(ConversionError, match="writes operator sets 13 to 23, not 24"):
        crossed(source_of(network()), opset=24)


class Airy(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.airy_ai(x)


def test_an_operator_that_onnx_lacks_is_named() -> None:
    with pytest.raises(ConversionError) as caught:
        crossed(source_of(Airy(), (VECTOR,), ("y",)), vectors("x"))
    message = caught.value.message
    assert "ONNX has no operator for aten.special_airy_ai" in message
    assert "\n" not in message
    assert len(message) < 400


class Branching(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 0 else x * 3


@pytest.mark.parametrize("opset", [None, 13])
def test_a_branch_on_values_is_refused_not_traced_away(opset: int | None) -> None:
    with pytest.raises(ConversionError, match="data-dependent") as caught:
        crossed(source_of(Branching(), (VECTOR,), ("y",)), vectors("x"), opset=opset)
    assert "torch.where" in str(caught.value.hint)


def test_what_the_newer_exporter_cannot_take_is_traced_and_a_warning_says_why(
    monkeypatch: pytest.MonkeyPatch, plain: Crossing
) -> None:
    def failing(*_: Any) -> Any:
        raise NotImplementedError("no such thing\nand more")

    monkeypatch.setattr(torch_onnx, "_by_dynamo", failing)
    warned = Warned()
    found = crossed(source_of(network()), progress=warned)
    assert ops(found) == ops(plain)
    assert warned.lines == [
        "torch_onnx: exported by tracing (the TorchScript exporter), for the newer exporter "
        "failed: NotImplementedError: no such thing"
    ]
    branching = source_of(Branching(), (VECTOR,), ("y",))
    positive = [Sample("0", "0", {"x": np.ones((1, 4), np.float32)})]
    crossed(branching, positive, warned)
    assert "; fixed as it was for an example: what test_torch_onnx.py:" in warned.lines[1]
    with pytest.raises(ConversionError, match="NotImplementedError: no such"):
        crossed(source_of(network()), opset=22)  # which only the newer one writes


class Same(torch.nn.Module):
    def forward(self, x: torch.Tensor, unused: torch.Tensor) -> Any:
        more = x + 1
        return {"c": x, "b": more, "a": more}


@pytest.mark.parametrize("opset", [None, 13])
def test_ends_that_are_one_tensor_or_reach_nothing_stay(opset: int | None) -> None:
    unused = InputSpec("unused", (1, 4), "float32", "any")
    source = source_of(Same(), (VECTOR, unused), ("a", "b", "c"))
    if opset == 13:  # a trace takes no dict
        source = source_of(Listed(), (VECTOR, unused), ("a", "b", "c"))
    samples = vectors("x", "unused")
    found = crossed(source, samples, opset=opset)
    with found.model.open_session(1) as session:
        assert [info.name for info in session.info.inputs] == ["x", "unused"]
        answers = session.run(samples[0].feeds)
    x = samples[0].feeds["x"]
    for name, wanted in {"a": x + 1, "b": x + 1, "c": x}.items():
        np.testing.assert_array_equal(answers[name], wanted)


class Listed(torch.nn.Module):
    def forward(self, x: torch.Tensor, unused: torch.Tensor) -> Any:
        more = x + 1
        return [more, more, x]


def test_other_outputs_than_the_recipe_names() -> None:
    with pytest.raises(ConversionError, match=r"1 output names \(scores\) for 2 outputs") as caught:
        crossed(source_of(network(), outputs=("scores",)))
    assert "model.outputs" in str(caught.value.hint)


def test_weights_over_two_gigabytes_are_refused_before_the_export(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgekit.bridges.to_onnx.MAX_PROTOBUF_BYTES", 100)
    monkeypatch.setattr(torch_onnx, "_exported", None)
    with pytest.raises(ConversionError, match="file ends at 2 GB"):
        crossed(source_of(network()))


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from edgekit.bridges.cross import cross
from edgekit.cache import Cache
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.sources import locate
from edgekit.types import Sample

image = InputSpec("image", (1, 3, 8, 8), "float32", "NCHW")
samples = [Sample("0", "0", {"image": np.ones((1, 8, 8, 3), np.float32)})]
spec = ModelSpec("pytorch", (image,), outputs=("features", "scores"), file=sys.argv[1])
found = cross("torch_onnx", locate(spec), samples, threads=1, cache=Cache(Path(sys.argv[2])),
              progress=SilentProgress())
assert found.cached == ("torch" not in sys.modules)
sys.exit(10 + found.cached)
"""


@pytest.mark.slow
def test_nothing_is_printed_or_written_elsewhere_and_the_second_crossing_loads_no_torch(
    files: Path, tmp_path: Path
) -> None:
    folder, cache = tmp_path / "here", tmp_path / "cache"
    folder.mkdir()

    def run() -> tuple[int, str, str]:
        command = [sys.executable, "-c", PROGRAM, str(files / "net.pt2"), str(cache)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        return done.returncode, done.stdout, done.stderr

    assert run() == (10, "", "")
    assert run() == (11, "", "")
    assert list(folder.iterdir()) == []
