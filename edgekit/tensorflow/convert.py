"""A TensorFlow model to the bytes of a ``.tflite``, by TFLiteConverter.

Every option that decides what comes out is set here, none is left to the converter's defaults.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import ConversionError, EdgekitError
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe.schema import InputSpec, QuantizeSpec
from edgekit.tensorflow.convert_errors import refuse_select_tf_ops, refused, untraceable
from edgekit.tensorflow.function import TFModel, frozen, require_tensorflow
from edgekit.tensorflow.representative import representative_dataset
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.names import tensorflow_names
from edgekit.types import Sample


class Scheme(StrEnum):
    """What TFLiteConverter does with the numbers."""

    FLOAT = "float"
    INT8 = "int8"
    """Weights and activations; ranges of these from samples."""
    INT16X8 = "int16x8"
    """INT16 activations, INT8 weights; ranges from samples."""
    DYNAMIC = "dynamic"
    """INT8 weights of large tensors; activations are float, quantized by kernels on the way."""
    FLOAT16 = "float16"
    """Weights alone, widened to float32 before they are used."""


_CALIBRATED = (Scheme.INT8, Scheme.INT16X8)
_PLAIN = QuantizeSpec(method="float")


def op_sets(scheme: Scheme, options: QuantizeSpec) -> tuple[str, ...]:
    """Names of the operator sets (``tf.lite.OpsSet``) that the converter may use.

    A full-integer scheme gets the float set beside its own only where the recipe allows some
    operator to stay float; the gate then names those that did.
    """
    floats = ["TFLITE_BUILTINS"] if options.allow_float_ops or scheme not in _CALIBRATED else []
    own = {
        Scheme.INT8: ["TFLITE_BUILTINS_INT8"],
        Scheme.INT16X8: ["EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"],
    }.get(scheme, [])
    select = ["SELECT_TF_OPS"] if options.select_tf_ops else []
    return (*own, *floats, *select)


def convert(
    model: TFModel,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[str, ...],
    *,
    scheme: Scheme,
    samples: Iterable[Sample] = (),
    options: QuantizeSpec = _PLAIN,
    progress: Progress | None = None,
) -> bytes:
    """``model`` as a ``.tflite`` with the names, order and signature of ``inputs`` and ``outputs``.

    ``samples`` are the representative dataset of INT8 and INT16X8, gone through once. Of
    ``options`` the types of the ends, ``per_channel``, ``allow_float_ops`` and ``select_tf_ops``
    count. The same model, samples and version of TensorFlow give the same bytes.

    Raises:
        ConversionError: the converter refused the model; unsupported operators are all named.
        DataError: the samples are none, or one is not what the model takes.
        MissingError: operators of TensorFlow itself would be kept, and nothing runs them.
    """
    tensorflow = require_tensorflow()
    graph = _frozen(model, inputs, outputs)

    def run(to: Scheme, using: QuantizeSpec, dataset: Any = None) -> bytes:
        return _run(_converter(tensorflow, graph, to, using, dataset))

    dataset = None
    if scheme in _CALIBRATED:
        dataset = representative_dataset(samples, inputs, progress or SilentProgress())
    try:
        if options.select_tf_ops:
            # Before calibration, which fails at the first such operator and names no other.
            refuse_select_tf_ops(parse_graph(run(Scheme.FLOAT, options)))
        data = run(scheme, options, dataset)
    except EdgekitError:
        raise
    except Exception as error:  # ConverterError, and RuntimeError or ValueError from its depths
        raise refused(
            error,
            lambda: parse_graph(run(Scheme.FLOAT, _PLAIN)),
            select_tf_ops=options.select_tf_ops,
        ) from error
    try:
        return tensorflow_names(
            data, tuple(spec.name for spec in inputs), outputs, signature=model.signature
        )
    except ValueError as error:
        raise ConversionError(
            f"the converted model has other inputs or outputs than the recipe: {error}",
            hint="Correct model.inputs or model.outputs in the recipe.",
        ) from error


def _frozen(model: TFModel, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...]) -> Any:
    with captured_output(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return frozen(model, inputs, outputs)
        except EdgekitError:
            raise
        except Exception as error:  # whatever the model's own code raises while it is traced
            raise untraceable(error) from error


def _converter(
    tensorflow: Any, graph: Any, scheme: Scheme, options: QuantizeSpec, dataset: Any
) -> Any:
    lite = tensorflow.lite
    with captured_output(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter = lite.TFLiteConverter.from_concrete_functions([graph])
    converter.target_spec.supported_ops = [
        getattr(lite.OpsSet, name) for name in op_sets(scheme, options)
    ]
    converter.optimizations = [] if scheme is Scheme.FLOAT else [lite.Optimize.DEFAULT]
    converter.allow_custom_ops = False
    converter._experimental_disable_per_channel = not options.per_channel
    if scheme is Scheme.FLOAT16:
        converter.target_spec.supported_types = [tensorflow.float16]
    if scheme in _CALIBRATED:
        converter.representative_dataset = dataset
        converter.inference_input_type = getattr(tensorflow, options.input_dtype)
        converter.inference_output_type = getattr(tensorflow, options.output_dtype)
    if scheme is Scheme.INT16X8:
        # The newer quantizer has no INT16: left on, it calibrates and then hands over to the older
        # one, which runs every sample a second time.
        converter.experimental_new_quantizer = False
    return converter


def _run(converter: Any) -> bytes:
    with captured_output(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bytes(converter.convert())
