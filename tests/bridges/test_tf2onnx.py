"""tf2onnx: from Keras, a function and a .tflite to an ONNX model that answers the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bridges.cross import Crossing, cross
from edgekit.bridges.tf2onnx_order import OrderedSet, ordered_sets
from edgekit.cache import Cache
from edgekit.errors import ConversionError
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, OnnxSpec
from edgekit.sources.source import SourceModel
from edgekit.sources.tensorflow import _open
from edgekit.sources.tflite import float_tflite
from edgekit.tensorflow.function import TFModel, require_tensorflow
from edgekit.types import ModelKind, Sample, TensorInfo
from tests import tflite_models

IMAGE = InputSpec("image", (1, 28, 28, 1), "float32", "NHWC")
SERIES = InputSpec("x", (1, 6, 5), "float32", "any")


def source_of(
    model: TFModel, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...]
) -> SourceModel:
    return SourceModel(
        kind=ModelKind.CONCRETE_FUNCTION,
        inputs=inputs,
        outputs=outputs,
        fingerprint="tensorflow",
        files={},
        loader=lambda: model,
        opener=_open,
    )


def function(call: Callable[..., Any], *inputs: InputSpec) -> TFModel:
    infos = tuple(TensorInfo(spec.name, spec.shape, spec.dtype) for spec in inputs)
    return TFModel(call=call, inputs=infos, outputs=(), holder=None)


def samples(*inputs: InputSpec, count: int = 3) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [
        Sample(
            str(number),
            str(number),
            {spec.name: rng.normal(size=spec.shape).astype(spec.dtype) for spec in inputs},
        )
        for number in range(count)
    ]


def crossed(source: SourceModel, name: str = "tf2onnx", **options: Any) -> Crossing:
    return cross(
        name,
        source,
        samples(*source.inputs),
        threads=1,
        cache=Cache(enabled=False),
        progress=SilentProgress(),
        onnx=OnnxSpec(**options),
    )


def graph(crossing: Crossing) -> Any:
    return onnx.load(crossing.model.files["model"])


def ops(crossing: Crossing) -> Counter[str]:
    return Counter(node.op_type for node in graph(crossing).graph.node)


def shapes(model: Any) -> list[list[int | str]]:
    ends = (*model.graph.input, *model.graph.output)
    return [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in ends]


@pytest.fixture(scope="module")
def net() -> SourceModel:
    """The Keras net of Fashion-MNIST, random weights with biases that are not zero."""
    require_tensorflow()
    import keras

    from edgekit.sources.keras_function import as_function
    from edgekit.zoo.fashion_mobilenet import fashion_mobilenet

    keras.utils.set_random_seed(0)
    model, rng = fashion_mobilenet(), np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(weight + rng.normal(size=weight.shape) * 0.02)
    return source_of(as_function(model, (IMAGE,), ("logits",), name="net"), (IMAGE,), ("logits",))


@pytest.fixture(scope="module")
def plain(net: SourceModel) -> Crossing:
    return crossed(net)


def test_a_keras_model_keeps_its_ends_and_no_transpose_stays(plain: Crossing) -> None:
    model = graph(plain)
    assert (plain.model.kind, plain.model.inputs) == (ModelKind.ONNX, (IMAGE,))
    assert [v.name for v in (*model.graph.input, *model.graph.output)] == ["image", "logits"]
    assert shapes(model) == [[1, 28, 28, 1], [1, 10]]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 15)]
    found = ops(plain)
    assert (found["Conv"], found["Transpose"], found["BatchNormalization"]) == (23, 0, 0)
    assert plain.hop.outputs[0].sqnr_db > 100


def test_layers_are_called_as_in_keras(plain: Crossing) -> None:
    names = [node.name for node in graph(plain).graph.node]
    assert any("block3_filter" in name for name in names)
    assert not any("__" in name or ":" in name or "Relu6" in name for name in names)


def test_the_same_model_is_the_same_bytes(net: SourceModel, plain: Crossing) -> None:
    data = plain.model.files["model"].read_bytes()
    assert crossed(net).model.files["model"].read_bytes() == data


def test_a_free_batch_takes_several_at_once(net: SourceModel) -> None:
    found = crossed(net, free_batch=True)
    assert shapes(graph(found)) == [["batch", 28, 28, 1], ["batch", 10]]
    with found.model.open_session(1) as session:
        assert session.info.max_batch > 1


def test_a_tflite_file_becomes_the_same_graph(net: SourceModel, plain: Crossing) -> None:
    tflite = crossed(net, "tflite_converter").model
    found = crossed(tflite)
    assert ops(found) == ops(plain)
    assert found.model.inputs == (IMAGE,)
    assert found.hop.outputs[0].sqnr_db > 100
    folder = found.model.files["model"].parent
    assert sorted(file.name for file in folder.iterdir()) == ["hop.json", "model.onnx"]
    with pytest.raises(ConversionError, match=r"the batch of a \.tflite is fixed"):
        crossed(tflite, free_batch=True)


def test_grouped_convolutions_and_both_gelus_go_over_from_either_form() -> None:
    tensorflow = require_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    image = InputSpec("image", (1, 6, 6, 4), "float32", "NHWC")
    grouped = keras.layers.Conv2D(8, 3, groups=2, bias_initializer="random_normal")

    def call(image: Any) -> Any:
        exact = tensorflow.nn.gelu(grouped(image), approximate=False)
        return {"y": tensorflow.nn.gelu(exact, approximate=True)}

    source = source_of(function(call, image), (image,), ("y",))
    for model in (source, crossed(source, "tflite_converter").model):
        found = crossed(model)
        assert found.hop.outputs[0].sqnr_db > 100
        assert {"Conv": 1, "Erf": 1, "Tanh": 1}.items() <= ops(found).items()


def test_a_tflite_layer_that_flattens_its_input_keeps_its_bias(tmp_path: Path) -> None:
    require_tensorflow()
    file = tmp_path / "net.tflite"
    file.write_bytes(tflite_models.float_model())
    spec = InputSpec("x", tflite_models.INPUT_SHAPE, "float32", "NHWC")
    found = crossed(float_tflite(file, (spec,), ("scores",)))
    assert found.hop.outputs[0].sqnr_db > 100


def test_the_operator_set_is_the_one_asked_for(net: SourceModel) -> None:
    found = graph(crossed(net, opset=13))
    assert [(entry.domain, entry.version) for entry in found.opset_import] == [("", 13)]
    with pytest.raises(ConversionError, match="writes operator sets 13 to 18, not 19"):
        crossed(net, opset=19)


def test_an_lstm_stays_one_though_the_batch_is_fixed() -> None:
    require_tensorflow()
    import keras

    from edgekit.sources.keras_function import as_function

    x = keras.Input((6, 5), name="x")
    model = keras.Model(x, keras.layers.LSTM(4, name="lstm")(x))
    found = crossed(
        source_of(as_function(model, (SERIES,), ("lstm",), name="n"), (SERIES,), ("lstm",))
    )
    assert (ops(found)["LSTM"], ops(found)["Loop"]) == (1, 0)
    assert shapes(graph(found)) == [[1, 6, 5], [1, 4]]


def test_operators_that_onnx_lacks_are_named_with_their_layers() -> None:
    tensorflow = require_tensorflow()

    def call(x: Any) -> dict[str, Any]:
        with tensorflow.name_scope("head"):
            return {"y": tensorflow.math.betainc(x, x, x) + tensorflow.math.erfinv(x)}

    with pytest.raises(ConversionError) as caught:
        crossed(source_of(function(call, SERIES), (SERIES,), ("y",)))
    message = caught.value.message
    assert message.startswith("ONNX has no operator for ")
    assert "Betainc at head" in message
    assert "Erfinv at head" in message


def test_branches_and_loops_go_over_with_readable_names() -> None:
    tensorflow = require_tensorflow()

    def call(x: Any) -> dict[str, Any]:
        chosen = tensorflow.cond(tensorflow.reduce_sum(x) > 0, lambda: x * 2, lambda: x + 3)
        looped = tensorflow.while_loop(
            lambda i, a: i < 3,
            lambda i, a: (i + 1, a * 2 + tensorflow.cast(i, tensorflow.float32)),
            (0, chosen),
        )
        return {"y": looped[1]}

    model = graph(crossed(source_of(function(call, SERIES), (SERIES,), ("y",))))
    assert {"If", "Loop"} <= {node.op_type for node in model.graph.node}
    names = [tensor.name for tensor in model.graph.initializer]
    assert not any(part.isdigit() and len(part) > 2 for name in names for part in name.split("_"))


def test_ends_that_are_one_tensor_or_reach_nothing_stay() -> None:
    other = InputSpec("other", (1, 2), "float32", "any")
    source = source_of(
        function(lambda x, other: {"a": x, "b": x + 1, "c": x + 1}, SERIES, other),
        (SERIES, other),
        ("c", "a", "b"),
    )
    found = crossed(source)
    with found.model.open_session(1) as session:
        assert [info.name for info in session.info.inputs] == ["x", "other"]
        assert [info.name for info in session.info.outputs] == ["c", "a", "b"]


def test_a_model_that_cannot_be_traced() -> None:
    def call(x: Any) -> dict[str, Any]:
        raise ValueError("the user's own words")

    with pytest.raises(ConversionError, match="the user's own words"):
        crossed(source_of(function(call, SERIES), (SERIES,), ("y",)))


@given(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_ordered_sets_are_sets_in_order(first: list[int], second: list[int]) -> None:
    made = OrderedSet(first)
    assert list(made) == list(dict.fromkeys(first))
    for ours, theirs in (
        (made | OrderedSet(second), set(first) | set(second)),
        (made - OrderedSet(second), set(first) - set(second)),
        (made & OrderedSet(second), set(first) & set(second)),
        (made.union(second), set(first).union(second)),
        (made.intersection(second), set(first).intersection(second)),
        (made.difference(second), set(first).difference(second)),
    ):
        assert isinstance(ours, OrderedSet)
        assert set(ours) == theirs
        assert len(ours) == len(theirs)
    assert made.issubset(second) == set(first).issubset(second)
    copy = made.copy()
    copy.update(second)
    copy -= OrderedSet(first)
    assert list(copy) == list(dict.fromkeys(item for item in second if item not in first))
    assert list(made) == list(dict.fromkeys(first))


def test_tf2onnx_has_ordered_sets_only_while_it_converts() -> None:
    require_tensorflow()
    import tf2onnx.graph as module

    with ordered_sets():
        assert module.set is OrderedSet
    assert not hasattr(module, "set")


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from edgekit.bridges.tf2onnx_order import OrderedSet, ordered_sets
from edgekit.bridges.cross import cross
from edgekit.cache import Cache, file_sha256
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, OnnxSpec
from edgekit.sources.tflite import float_tflite
from edgekit.types import Sample

image = InputSpec("image", (1, 28, 28, 1), "float32", "NHWC")
samples = [Sample("0", "0", {"image": np.ones((1, 28, 28, 1), np.float32)})]
source = float_tflite(Path(sys.argv[1]), (image,), ("logits",))
found = cross("tf2onnx", source, samples, threads=1, cache=Cache(Path(sys.argv[2])),
              progress=SilentProgress(), onnx=OnnxSpec(opset=18))
assert found.cached == ("tensorflow" not in sys.modules)
print(found.cached, file_sha256(found.model.files["model"]))
"""


@pytest.mark.slow
def test_nothing_is_printed_or_written_elsewhere_and_bytes_do_not_hang_on_the_process(
    net: SourceModel, tmp_path: Path
) -> None:
    tflite = crossed(net, "tflite_converter").model.files["model"]
    here = tmp_path / "here"
    here.mkdir()

    def run(seed: str) -> tuple[int, str, str]:
        command = [sys.executable, "-c", PROGRAM, str(tflite), str(tmp_path / seed)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=here, env=environment
        )
        return done.returncode, done.stdout, done.stderr

    (first, *told), second, again = run("1"), run("2"), run("1")
    assert (first, told[1]) == (0, "")
    assert second == (first, *told)
    assert again == (0, str(told[0]).replace("False", "True"), "")
    assert list(here.iterdir()) == []
