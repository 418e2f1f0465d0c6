"""TFLiteConverter as edgekit drives it: names, ends, operators, and what it says when it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.errors import ConversionError, DataError, MissingError
from edgekit.recipe.schema import InputSpec, QuantizeSpec
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.predict import predict
from edgekit.tensorflow.convert import Scheme, convert, op_sets
from edgekit.tensorflow.function import TFModel, require_tensorflow
from edgekit.tflite.facts import graph_facts
from edgekit.tflite.graph import Graph, parse_graph
from tests.tensorflow import tf_models
from tests.tensorflow.tf_models import IMAGE, VECTOR, function, samples, weights

OUTPUTS = ("box", "scores")  # not the model's order


@pytest.fixture(scope="module")
def net() -> TFModel:
    return replace(tf_models.two_heads(), signature="detect")


def options(**given: Any) -> QuantizeSpec:
    return QuantizeSpec(method="tflite_int8", **given)


@pytest.fixture(scope="module")
def made(net: TFModel) -> Callable[..., bytes]:
    """``made(scheme, **options)``, each converted once."""
    kept: dict[Any, bytes] = {}

    def make(scheme: Scheme, **given: Any) -> bytes:
        key = (scheme, *sorted(given.items()))
        if key not in kept:
            kept[key] = convert(
                net,
                (IMAGE,),
                OUTPUTS,
                scheme=scheme,
                samples=samples(IMAGE),
                options=options(**given),
            )
        return kept[key]

    return make


INT16 = {"input_dtype": "int16", "output_dtype": "int16"}
MADE: tuple[tuple[Scheme, dict[str, Any], str, str], ...] = (
    (Scheme.FLOAT, {}, "float32", "float32"),
    (Scheme.INT8, {}, "int8", "int8"),
    (Scheme.INT8, {"input_dtype": "uint8", "output_dtype": "float32"}, "uint8", "float32"),
    (Scheme.INT16X8, INT16, "int16", "int16"),
    (Scheme.INT16X8, {"input_dtype": "float32", "output_dtype": "float32"}, "float32", "float32"),
    (Scheme.DYNAMIC, {}, "float32", "float32"),
    (Scheme.FLOAT16, {}, "float32", "float32"),
)


@pytest.mark.parametrize(("scheme", "given", "taken", "answered"), MADE)
def test_ends_have_the_recipes_names_order_types_and_signature(
    made: Callable[..., bytes], scheme: Scheme, given: dict[str, Any], taken: str, answered: str
) -> None:
    data = made(scheme, **given)
    graph = parse_graph(data)
    assert graph.signature == "detect"
    assert (graph.input_names, graph.output_names) == (("image",), OUTPUTS)
    assert [graph.tensors[i].name for i in graph.outputs] == list(OUTPUTS)
    assert {graph.tensors[i].dtype for i in graph.inputs} == {taken}
    assert {graph.tensors[i].dtype for i in graph.outputs} == {answered}
    with LiteRTSession(data, signature="detect") as session:
        assert [info.name for info in session.info.outputs] == list(OUTPUTS)


@pytest.mark.parametrize(("scheme", "given", "taken", "answered"), MADE)
def test_it_answers_nearly_as_the_model(
    net: TFModel,
    made: Callable[..., bytes],
    scheme: Scheme,
    given: dict[str, Any],
    taken: str,
    answered: str,
) -> None:
    wanted = predictions_of(net)
    with LiteRTSession(made(scheme, **given)) as session:
        found = predict(session, samples(IMAGE)).outputs
    for name in OUTPUTS:
        error = np.abs(found[name] - wanted[name]).max() / np.abs(wanted[name]).max()
        assert error < {Scheme.INT8: 0.05, Scheme.FLOAT: 1e-5}.get(scheme, 0.01)


def predictions_of(net: TFModel) -> Any:
    session = tf_models.TFSession(net, (IMAGE,), OUTPUTS, name="net", threads=1)
    return predict(session, samples(IMAGE)).outputs


def test_the_same_bytes_again(net: TFModel, made: Callable[..., bytes]) -> None:
    again = convert(
        net, (IMAGE,), OUTPUTS, scheme=Scheme.INT8, samples=samples(IMAGE), options=options()
    )
    assert again == made(Scheme.INT8)


def test_layers_have_the_models_names(made: Callable[..., bytes]) -> None:
    graph = parse_graph(made(Scheme.INT8))
    layers = [graph.layer(op) for op in graph.ops if op.name.endswith("CONV_2D")]
    assert [layer.rpartition("/")[2].rstrip("_1") for layer in layers] == ["clip", "depthwise"]
    names = [tensor.name for tensor in graph.tensors]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("scheme", "fraction"),
    [(Scheme.INT8, 1.0), (Scheme.INT16X8, 1.0), (Scheme.DYNAMIC, 0.0), (Scheme.FLOAT16, 0.0)],
)
def test_only_full_integer_schemes_are_called_so(
    made: Callable[..., bytes], scheme: Scheme, fraction: float
) -> None:
    facts = graph_facts(parse_graph(made(scheme, **(INT16 if scheme is Scheme.INT16X8 else {}))))
    assert (facts.float_ops == ()) == bool(fraction)
    assert facts.int8_mac_fraction == fraction
    if not fraction:
        assert facts.float_ops is not None
        assert {op.op for op in facts.float_ops} >= {"CONV_2D", "FULLY_CONNECTED"}


def scales(data: bytes) -> list[int]:
    graph = parse_graph(data)
    (op,) = (op for op in graph.ops if op.name == "CONV_2D")
    return [len(graph.tensors[op.inputs[1]].scales)]


def test_one_scale_a_channel_unless_the_recipe_says_otherwise(made: Callable[..., bytes]) -> None:
    assert scales(made(Scheme.INT8)) == [8]
    assert scales(made(Scheme.INT8, per_channel=False)) == [1]


def test_int16_samples_are_gone_through_once(net: TFModel) -> None:
    class Counted(list[Any]):
        yielded = 0

        def __iter__(self) -> Any:
            for item in super().__iter__():
                Counted.yielded += 1
                yield item

    given = Counted(samples(IMAGE, count=5))
    convert(net, (IMAGE,), OUTPUTS, scheme=Scheme.INT16X8, samples=given, options=options(**INT16))
    assert Counted.yielded == 5 + 1  # and a look at the first


def test_operator_sets_are_explicit() -> None:
    assert op_sets(Scheme.INT8, options()) == ("TFLITE_BUILTINS_INT8",)
    assert op_sets(Scheme.FLOAT16, options()) == ("TFLITE_BUILTINS",)
    assert op_sets(Scheme.INT8, options(allow_float_ops=("COS",), select_tf_ops=True)) == (
        "TFLITE_BUILTINS_INT8",
        "TFLITE_BUILTINS",
        "SELECT_TF_OPS",
    )


def to_graph(
    model: TFModel, scheme: Scheme = Scheme.FLOAT, inputs: Any = (VECTOR,), **given: Any
) -> Graph:
    data = convert(
        model,
        inputs,
        model.outputs,
        scheme=scheme,
        samples=samples(*inputs),
        options=options(**given),
    )
    with LiteRTSession(data) as session:  # it loads and runs
        predict(session, samples(*inputs, count=1))
    return parse_graph(data)


def test_one_tensor_may_be_two_outputs_and_an_input_an_output() -> None:
    def call(x: Any) -> Any:
        y = require_tensorflow().matmul(x, weights(8, 8))
        return {"y": y, "again": y, "same": x}

    for scheme in (Scheme.FLOAT, Scheme.INT8):
        graph = to_graph(function(call, ("y", "again", "same")), scheme)
        assert graph.outputs[0] == graph.outputs[1]
        assert graph.outputs[2] == graph.inputs[0]
        data = convert(
            function(call, ("y", "again", "same")),
            (VECTOR,),
            ("y", "again", "same"),
            scheme=scheme,
            samples=samples(VECTOR),
            options=options(),
        )
        with LiteRTSession(data) as session:
            answer = predict(session, samples(VECTOR)).outputs
        np.testing.assert_array_equal(answer["y"], answer["again"])
        given = np.concatenate([sample.feeds["x"] for sample in samples(VECTOR)])
        assert np.abs(answer["same"] - given).max() < 0.02


def test_inputs_of_one_shape_are_not_mixed_up() -> None:
    first, second = VECTOR, replace(VECTOR, name="z")
    info = tf_models.TensorInfo("z", (1, 8), "float32")

    def call(x: Any, z: Any) -> Any:
        return {"y": x - 2 * z, "w": z - 3 * x}

    model = function(call, ("w", "y"))
    model = replace(model, inputs=(*model.inputs, info))
    inputs = (second, first)
    data = convert(model, inputs, ("w", "y"), scheme=Scheme.FLOAT)
    feeds = {"x": np.full((1, 8), 5, "f4"), "z": np.full((1, 8), 7, "f4")}
    with LiteRTSession(data) as session:
        assert [info.name for info in session.info.inputs] == ["z", "x"]
        answer = session.run(feeds)
    assert (answer["y"][0, 0], answer["w"][0, 0]) == (-9, -8)


def test_the_operators_of_a_loop_are_counted_under_its_subgraph() -> None:
    tensorflow = require_tensorflow()
    matrix = weights(8, 8)

    def call(x: Any) -> Any:
        return tensorflow.while_loop(
            lambda i, a: i < 3,
            lambda i, a: (i + 1, tensorflow.nn.relu(tensorflow.matmul(a, matrix))),
            [0, x],
        )[1]

    plain = graph_facts(to_graph(function(call)))
    outer, inner = map(str, plain.float_ops or ())
    assert outer == "WHILE at while"
    assert inner.startswith("FULLY_CONNECTED at while_body/while")
    assert (plain.ops, plain.macs, plain.int8_mac_fraction) == (4, 64, 0.0)
    # The converter makes the body INT8, but hands floats from one round to the next.
    int8 = graph_facts(to_graph(function(call), Scheme.INT8))
    assert [op.op for op in int8.float_ops or ()] == ["WHILE"]
    assert (int8.macs, int8.int8_mac_fraction) == (64, 1.0)


@pytest.mark.parametrize("scheme", [Scheme.FLOAT, Scheme.INT8])
def test_every_operator_that_tflite_lacks_is_named_with_its_layer(scheme: Scheme) -> None:
    tensorflow = require_tensorflow()
    import keras

    class Whiten(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            square = tensorflow.linalg.matmul(x, x, transpose_a=True) + tensorflow.eye(8)
            return tensorflow.linalg.cholesky(square)[:1]

    class Fraction(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return tensorflow.math.betainc(tensorflow.abs(x), tensorflow.abs(x), x)

    image = keras.Input((8,), name="x")
    net = keras.Model(image, Fraction(name="fraction")(Whiten(name="whiten")(image)))
    with pytest.raises(ConversionError) as caught:
        to_graph(function(lambda x: net(x), holder=net), scheme)
    message = caught.value.message
    assert "TFLite lacks 2 operators" in message
    assert "Betainc at" in message
    assert "/fraction" in message
    assert "Cholesky at" in message
    assert "/whiten" in message
    assert "cholesky" not in message.lower().replace("cholesky at", "")
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("scheme", [Scheme.DYNAMIC, Scheme.INT8])
def test_what_only_tensorflow_runs_is_refused_before_calibration(scheme: Scheme) -> None:
    tensorflow = require_tensorflow()

    def call(x: Any) -> Any:
        with tensorflow.name_scope("whiten"):
            square = tensorflow.linalg.matmul(x, x, transpose_a=True) + tensorflow.eye(8)
            return tensorflow.linalg.cholesky(square) + 1.0

    with pytest.raises(MissingError, match="FlexCholesky at whiten") as caught:
        to_graph(function(call), scheme, select_tf_ops=True)
    assert caught.value.exit_code == 4


def test_what_tensorflow_cannot_run_either_is_named_with_what_it_could() -> None:
    tensorflow = require_tensorflow()

    def call(x: Any) -> Any:
        with tensorflow.name_scope("whiten"):
            square = tensorflow.linalg.matmul(x, x, transpose_a=True) + tensorflow.eye(8)
            y = tensorflow.linalg.cholesky(square)[:1]
        with tensorflow.name_scope("python"):
            return tensorflow.numpy_function(lambda v: v, [y], tensorflow.float32)

    told = []
    for select_tf_ops in (False, True):
        with pytest.raises(ConversionError) as caught:
            to_graph(function(call), Scheme.INT8, select_tf_ops=select_tf_ops)
        told.append((caught.value.message, caught.value.hint))
    assert told[0] == told[1]
    assert "2 operators of the model: Cholesky at whiten; PyFunc at python" in told[1][0]
    assert "select_tf_ops is no way out" in (told[1][1] or "")


def test_select_tf_ops_is_harmless_where_none_is_needed() -> None:
    graph = to_graph(
        function(lambda x: require_tensorflow().matmul(x, weights(8, 8))),
        Scheme.INT8,
        select_tf_ops=True,
    )
    assert graph_facts(graph).float_ops == ()


def test_a_float_operator_is_left_for_the_gate_to_name() -> None:
    tensorflow = require_tensorflow()
    cosine = function(lambda x: tensorflow.cos(tensorflow.matmul(x, weights(8, 8))))
    facts = graph_facts(to_graph(cosine, Scheme.INT8))
    assert [op.op for op in facts.float_ops or ()] == ["COS"]


def test_an_operator_without_int16_kernel_is_named() -> None:
    tensorflow = require_tensorflow()

    def call(x: Any) -> Any:
        with tensorflow.name_scope("wave"):
            return tensorflow.cos(tensorflow.matmul(x, weights(8, 8))) * 1.5

    with pytest.raises(ConversionError, match="no INT16 kernel for COS at wave"):
        to_graph(function(call), Scheme.INT16X8, **INT16)
    facts = graph_facts(to_graph(function(call), Scheme.INT16X8, **INT16, allow_float_ops=("COS",)))
    assert "COS" in [op.op for op in facts.float_ops or ()]


def test_a_model_with_state_is_refused_in_words() -> None:
    tensorflow = require_tensorflow()
    total = tensorflow.Variable(tensorflow.zeros((1, 8)))

    def call(x: Any) -> Any:
        total.assign_add(x)
        return total + x

    with pytest.raises(ConversionError, match="keeps state: AssignAddVariableOp"):
        to_graph(function(call, holder=total))


def test_a_hash_table_is_refused_in_words() -> None:
    tensorflow = require_tensorflow()
    keys, values = tensorflow.range(2, dtype="int64"), tensorflow.constant([5.0, 6.0])
    table = tensorflow.lookup.StaticHashTable(
        tensorflow.lookup.KeyValueTensorInitializer(keys, values), 7.0
    )

    def call(x: Any) -> Any:
        return table.lookup(tensorflow.cast(x, "int64")) + x

    with pytest.raises(ConversionError, match="LookupTableFindV2") as caught:
        to_graph(function(call, holder=table))
    assert "Placeholder" not in str(caught.value)
    assert "A hash table is state" in str(caught.value)


def test_python_in_a_model_is_refused_in_words() -> None:
    tensorflow = require_tensorflow()
    with pytest.raises(ConversionError, match="EagerPyFunc") as caught:
        to_graph(function(lambda x: tensorflow.py_function(lambda a: a, [x], "float32")))
    assert "py_function is Python" in str(caught.value)


def test_a_model_that_fails_while_it_is_traced() -> None:
    def call(x: Any) -> Any:
        raise ValueError("wants two rows\nand more")

    with pytest.raises(ConversionError, match="could not trace the model: ValueError: wants two"):
        to_graph(function(call))


def test_a_bad_sample_stops_the_conversion_with_its_own_error(net: TFModel) -> None:
    bad = samples(IMAGE, count=3)
    bad[2].feeds["image"][0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="sample s2, input 'image': holds a NaN"):
        convert(net, (IMAGE,), OUTPUTS, scheme=Scheme.INT8, samples=bad, options=options())


def test_token_ids_stay_integers() -> None:
    tensorflow = require_tensorflow()
    ids = InputSpec("x", (1, 8), "int32")
    table, matrix = weights(9, 4), weights(4, 3)

    def call(x: Any) -> Any:
        rows = tensorflow.gather(table, tensorflow.clip_by_value(x, 0, 8))
        return tensorflow.matmul(tensorflow.reduce_mean(rows, axis=1), matrix)

    graph = to_graph(function(call), Scheme.INT8, inputs=(ids,))
    assert graph.tensors[graph.inputs[0]].dtype == "int32"


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    to_graph(function(lambda x: require_tensorflow().matmul(x, weights(8, 8))), Scheme.INT8)
    assert capfd.readouterr() == ("", "")
