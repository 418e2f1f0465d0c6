"""A TensorFlow model, whatever file it came from: one function from named tensors to named tensors.

Keras files, SavedModels and concrete functions become a ``TFModel`` when they are loaded; runtime
and converter know nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import MissingError
from edgekit.recipe.schema import InputSpec
from edgekit.types import TensorInfo

DEFAULT_SIGNATURE = "serving_default"
_INSTALL = "pip install 'edgekit[tensorflow]'"


@dataclass(frozen=True)
class TFModel:
    """``call`` takes its tensors by the names of ``inputs`` and answers by those of ``outputs``.

    ``inputs`` is what the model itself says: -1 stands for a size it leaves open. ``holder`` owns
    the variables, which TensorFlow frees otherwise. ``signature`` is the name under which the
    artefact offers the same function.
    """

    call: Callable[..., Mapping[str, Any]] = field(repr=False, compare=False)
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[str, ...]
    holder: Any = field(repr=False, compare=False)
    signature: str = DEFAULT_SIGNATURE


def require_tensorflow() -> Any:
    """The module ``tensorflow``, imported without its page of log.

    Raises:
        MissingError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # 2 leaves errors
    with captured_output():
        try:
            import tensorflow
        except ImportError as error:
            raise MissingError(
                "a TensorFlow model needs the package tensorflow", hint=_INSTALL
            ) from error
    return tensorflow


def concrete(
    model: TFModel,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[str, ...],
    *,
    free_batch: bool = False,
) -> Any:
    """``model`` traced for the shapes of ``inputs``: takes their tensors in order, returns the list
    of ``outputs``. ``free_batch`` leaves the first axis of every input open."""
    tensorflow = require_tensorflow()

    def traced(*tensors: Any) -> list[Any]:
        answers = model.call(**dict(zip([spec.name for spec in inputs], tensors, strict=True)))
        return [tensorflow.identity(answers[name], name=operation_name(name)) for name in outputs]

    specs = [
        tensorflow.TensorSpec(
            (None, *spec.shape[1:]) if free_batch else spec.shape,
            spec.dtype,
            name=operation_name(spec.name),
        )
        for spec in inputs
    ]
    return tensorflow.function(traced, input_signature=specs).get_concrete_function()


def frozen(
    model: TFModel,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[str, ...],
    *,
    free_batch: bool = False,
) -> Any:
    """As ``concrete``, with every variable a constant: what TFLiteConverter and tf2onnx take.

    The converter can freeze for itself, but then leaves Keras 3 variables to READ_VARIABLE, which
    its calibrator cannot run; and by way of a SavedModel it takes several times as long.
    """
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    traced = concrete(model, inputs, outputs, free_batch=free_batch)
    return convert_variables_to_constants_v2(traced, lower_control_flow=False)


def operation_name(name: str) -> str:
    """``name`` as TensorFlow accepts it for an operation; what it forbids becomes an underscore."""
    cleaned = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return cleaned if re.match(r"[A-Za-z0-9.]", cleaned) else f"t{cleaned}"
