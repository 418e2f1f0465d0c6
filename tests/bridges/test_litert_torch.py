"""litert-torch: from every PyTorch form to a channels-last .tflite that answers the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.bridges.cross import Crossing, cross
from edgekit.cache import Cache
from edgekit.errors import ConversionError
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.runtimes.predict import predict
from edgekit.sources import locate
from edgekit.sources.source import SourceModel
from edgekit.tflite.graph import Graph, read_graph
from edgekit.types import ModelKind, Sample
from tests.bridges.conftest import IMAGE, OUTPUTS, inputs, network, source_of


def _cross(
    source: SourceModel, cache: Cache | None = None, samples: list[Sample] | None = None
) -> Crossing:
    return cross(
        "litert_torch",
        source,
        inputs() if samples is None else samples,
        threads=1,
        cache=cache or Cache(enabled=False),
        progress=SilentProgress(),
    )


def _graph(crossing: Crossing) -> Graph:
    return read_graph(crossing.model.files["model"])


@pytest.fixture(scope="module")
def crossed() -> Crossing:
    return _cross(source_of(network()))


def _same_answers(crossing: Crossing) -> None:
    with source_of(network()).open_session(1) as before, crossing.model.open_session(1) as after:
        expected, found = predict(before, inputs()), predict(after, inputs())
    assert tuple(found.outputs) == OUTPUTS
    for name, array in expected.outputs.items():
        np.testing.assert_allclose(found.outputs[name], array, rtol=1e-4, atol=1e-5)


def test_a_module_becomes_a_channels_last_graph(crossed: Crossing) -> None:
    model, graph = crossed.model, _graph(crossed)
    assert model.kind is ModelKind.FLOAT_TFLITE
    assert model.inputs == (InputSpec("image", (1, 8, 8, 3), "float32", "NHWC"),)
    assert (graph.input_names, graph.output_names) == (("image",), OUTPUTS)
    shapes = [graph.tensors[index].shape for index in (*graph.inputs, *graph.outputs)]
    assert shapes == [(1, 8, 8, 3), (1, 8, 8, 4), (1, 5)]
    _same_answers(crossed)


def test_layers_keep_the_names_of_the_modules(crossed: Crossing) -> None:
    names = [tensor.name for tensor in _graph(crossed).tensors]
    assert "head" in {name.partition(":")[0] for name in names}
    assert any(name.startswith("body.") for name in names)
    assert not any("/" in name or "torch" in name or "ChannelsLast" in name for name in names)


def test_the_hop_is_verified_output_by_output(crossed: Crossing) -> None:
    hop = crossed.hop
    assert (hop.bridge, hop.samples, crossed.cached) == ("litert_torch", 4, False)
    assert [output.name for output in hop.outputs] == list(OUTPUTS)
    assert all(output.sqnr_db > 100 for output in hop.outputs)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("net.pt2", ModelKind.EXPORTED_PROGRAM),
        ("free.pt2", ModelKind.EXPORTED_PROGRAM),
        ("net.ts", ModelKind.TORCHSCRIPT),
    ],
)
def test_saved_programs_and_scripts_give_the_same_graph(
    files: Path, crossed: Crossing, name: str, kind: ModelKind
) -> None:
    spec = ModelSpec("pytorch", (IMAGE,), outputs=OUTPUTS, file=str(files / name))
    source = locate(spec)
    assert source.kind is kind
    found = _cross(source)
    assert [op.name for op in _graph(found).ops] == [op.name for op in _graph(crossed).ops]
    _same_answers(found)
    if kind is ModelKind.EXPORTED_PROGRAM:
        layers = {tensor.name.partition(":")[0] for tensor in _graph(found).tensors}
        assert {"body.2", "head"} <= layers


class _ByKey(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"b": x * 3, "a": x + 1}


def test_outputs_by_key_go_to_their_names_whatever_the_order() -> None:
    vector = InputSpec("image", (1, 4), "float32", "any")
    crossing = _cross(
        source_of(_ByKey(), (vector,), ("a", "b")),
        samples=[Sample("0", "0", {"image": np.array([[1, 2, 3, 4]], np.float32)})],
    )
    with crossing.model.open_session(1) as session:
        found = session.run({"image": np.array([[1, 2, 3, 4]], np.float32)})
    assert {name: array.tolist() for name, array in found.items()} == {
        "a": [[2, 3, 4, 5]],
        "b": [[3, 6, 9, 12]],
    }


class _Branching(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (x * 2, x.mean((2, 3))) if x.sum() > 0 else (x * 3, x.mean((2, 3)))


def test_a_model_the_converter_cannot_take_ends_with_its_cause_in_one_line() -> None:
    with pytest.raises(ConversionError) as caught:
        _cross(source_of(_Branching()))
    message = caught.value.message
    assert message.startswith("litert-torch could not convert the model: GuardOnDataDependent")
    assert "\n" not in message
    assert len(message) < 400


def test_other_outputs_than_the_recipe_names() -> None:
    source = source_of(network(), outputs=("scores",))
    with pytest.raises(ConversionError, match=r"1 names \(scores\) for 2 tensors") as caught:
        _cross(source)
    assert "model.outputs" in str(caught.value.hint)


def test_what_was_crossed_once_is_remembered(tmp_path: Path) -> None:
    cache, calls = Cache(tmp_path), []

    def load() -> Any:
        calls.append(1)
        return network()

    def source(**other: Any) -> SourceModel:
        made = source_of(network(), **other)
        return SourceModel(**{**vars_of(made), "loader": load})

    first = _cross(source(), cache)
    assert calls
    calls.clear()
    again = _cross(source(), cache, samples=[])
    assert not calls
    assert (first.cached, again.cached) == (False, True)
    assert first.hop == again.hop
    assert first.model == again.model
    _same_answers(again)
    renamed = _cross(source(outputs=("maps", "logits")), cache)
    assert not renamed.cached
    assert _graph(renamed).output_names == ("maps", "logits")


def vars_of(source: SourceModel) -> dict[str, Any]:
    """The fields of ``source``, without what it remembers."""
    return {name: getattr(source, name) for name in source.__dataclass_fields__}


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from edgekit.bridges.cross import cross
from edgekit.cache import Cache
from edgekit.errors import ConversionError
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.sources import locate
from edgekit.types import Sample

image = InputSpec("image", (1, 3, 8, 8), "float32", "NCHW")
samples = [Sample("0", "0", {"image": np.ones((1, 8, 8, 3), np.float32)})]
folder, cache = Path(sys.argv[1]), Cache(Path(sys.argv[2]))

def cached(outputs=("features", "scores"), **model):
    source = locate(ModelSpec("pytorch", (image,), outputs=outputs, **model), base=folder)
    return cross("litert_torch", source, samples, threads=1, cache=cache,
                 progress=SilentProgress()).cached

remembered = cached(file=str(folder / "net.pt2"))
assert remembered == ("torch" not in sys.modules)
if not remembered:
    try:
        cached(("y",), factory="branching.py:Branching")
    except ConversionError as error:
        assert "Its own last words:" in error.hint, error.hint
        assert "Torch Export" in error.hint, error.hint
    else:
        raise AssertionError("it was converted")
sys.exit(10 + remembered)
"""
BRANCHING = """
import torch
class Branching(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x * 3
"""


@pytest.mark.slow
def test_nothing_is_printed_and_the_second_crossing_loads_no_torch(
    files: Path, tmp_path: Path
) -> None:
    (files / "branching.py").write_text(BRANCHING)

    def run() -> tuple[int, str, str]:
        command = [sys.executable, "-c", PROGRAM, str(files), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert run() == (10, "", "")
    assert run() == (11, "", "")
