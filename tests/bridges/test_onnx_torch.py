"""onnx_torch: an .onnx file over the bridge, on to a .tflite, and into PT2E."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import onnx.inliner
import pytest
from onnx import helper

from edgekit.bridges import BRIDGES
from edgekit.bridges.bridge import BridgeJob
from edgekit.bridges.cross import Crossing, cross
from edgekit.bridges.onnx_torch import taking
from edgekit.cache import Cache
from edgekit.errors import ConversionError
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, OnnxSpec
from edgekit.sources.onnx import onnx_model
from edgekit.sources.source import SourceModel
from edgekit.tflite.graph import read_graph
from edgekit.types import ModelKind
from tests.bridges.conftest import IMAGE, OUTPUTS, inputs, network, source_of


def _cross(name: str, source: SourceModel) -> Crossing:
    return cross(
        name,
        source,
        inputs(),
        threads=1,
        cache=Cache(enabled=False),
        progress=SilentProgress(),
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceModel:
    """The network of conftest, as torch.onnx writes it."""
    job = BridgeJob(
        source_of(network()), tmp_path_factory.mktemp("onnx"), OnnxSpec(), SilentProgress()
    )
    bridge = BRIDGES["torch_onnx"].load()
    return bridge.open(bridge.convert(job), job.source)


@pytest.fixture(scope="module")
def crossed(source: SourceModel) -> Crossing:
    return _cross("onnx_torch", source)


def test_a_program_with_the_layout_of_the_model(crossed: Crossing) -> None:
    model = crossed.model
    assert model.kind is ModelKind.EXPORTED_PROGRAM
    assert (model.inputs, model.outputs) == ((IMAGE,), OUTPUTS)
    assert [output.name for output in crossed.hop.outputs] == list(OUTPUTS)
    assert all(output.sqnr_db > 100 for output in crossed.hop.outputs)


def test_layers_are_layers_with_their_names(crossed: Crossing) -> None:
    program = crossed.model.value
    assert {"body.0.weight", "head.weight"} <= program.state_dict.keys()
    kinds = {
        str(path): str(kind).rsplit(".", 1)[-1]
        for node in program.graph.nodes
        for path, kind in (node.meta.get("nn_module_stack") or {}).values()
    }
    assert (kinds["body.0"], kinds["head"]) == ("Conv2d", "Linear")


def test_the_file_has_no_sample_inputs_and_says_what_it_is(crossed: Crossing) -> None:
    from edgekit.pytorch.description import read_description

    file = crossed.model.files["model"]
    assert crossed.model.value.example_inputs is None
    assert read_description(file, "program").outputs == OUTPUTS


def test_on_to_a_tflite_with_no_more_operators_than_the_direct_way(crossed: Crossing) -> None:
    found = read_graph(_cross("litert_torch", crossed.model).model.files["model"])
    # torch.onnx folds the norm; the direct way's converter folds it too.
    direct = read_graph(_cross("litert_torch", source_of(network())).model.files["model"])
    assert [op.name for op in found.ops] == [op.name for op in direct.ops]
    assert found.output_names == OUTPUTS


def test_a_free_batch_is_closed_at_the_recipes_shape(source: SourceModel, tmp_path: Path) -> None:
    made = onnx.load(source.value)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    for output in made.graph.output:
        output.type.tensor_type.shape.dim[0].dim_param = "batch"
    del made.graph.value_info[:]
    file = tmp_path / "free.onnx"
    onnx.save(made, file)
    crossing = _cross("onnx_torch", onnx_model(file, (IMAGE,), OUTPUTS))
    assert crossing.model.inputs == (IMAGE,)


def test_an_operator_it_lacks_leaves_no_file(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Det", ["x"], ["y"], "det")],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3, 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])],
    )
    file = tmp_path / "det.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), file)
    model = onnx_model(file, (InputSpec("x", (3, 3)),), ("y",))
    folder = tmp_path / "out"
    folder.mkdir()
    job = BridgeJob(model, folder, OnnxSpec(), SilentProgress())
    with pytest.raises(ConversionError, match=r"Det \(det\)") as caught:
        BRIDGES["onnx_torch"].load().convert(job)
    assert not list(folder.iterdir())
    assert caught.value.bridges == ("onnx2tf", "onnx_tf")


@pytest.mark.parametrize(
    ("operator", "bridges"),
    [
        ("GridSample", ("onnx2tf",)),  # onnx-tf has none
        ("Swish", ()),
    ],
)
def test_only_bridges_that_have_the_operators_are_offered(
    operator: str, bridges: tuple[str, ...]
) -> None:
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xgy"]
    node = helper.make_node(operator, ["x", "g"][: 1 + (operator == "GridSample")], ["y"])
    graph = helper.make_graph([node], "g", ends[:2], ends[2:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)])
    assert taking(onnx.inliner, made) == bridges


def test_an_output_the_model_has_not_is_named(source: SourceModel, tmp_path: Path) -> None:
    job = BridgeJob(
        replace(source, outputs=("scores", "none")), tmp_path, OnnxSpec(), SilentProgress()
    )
    with pytest.raises(ConversionError, match="'none'"):
        BRIDGES["onnx_torch"].load().convert(job)


def test_pt2e_finds_its_layers_in_what_comes_over(crossed: Crossing) -> None:
    from edgekit.pytorch.export import export_source, load_torchao

    load_torchao()
    from edgekit.pytorch.pt2e_prepare import prepare
    from edgekit.pytorch.pt2e_rules import model_modules

    program = export_source(crossed.model)
    modules = model_modules(crossed.model, program)
    assert {module.name for module in modules if module.weighted} == {"body.0", "head"}
    prepared = prepare(program, "xnnpack", modules, {}, per_channel=True)
    assert prepared.observers
    assert prepared.kept_float == {}
