"""What TFLiteConverter says when it refuses a model, in words a person can act on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from edgekit.errors import ConversionError, MissingError
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.tf_function import tf_cause
from edgekit.tflite.facts import select_tf_ops
from edgekit.tflite.graph import Graph
from edgekit.tflite.names import tensorflow_layer

_STATEFUL = re.compile(r"of node (\S+) was passed \S+ from .* incompatible with expected resource")
# AutoGraph puts a traceback before what the model's own code raised.
_USER_CODE = re.compile(r"^ +(\w+(?:Error|Exception): .+)", re.MULTILINE)
_NOT_IN_INT16 = re.compile(r"16x8-bit not yet supported for op: '(\w+)'")
_MLIR_ERROR = re.compile(r"error: (.+)")
# Codes of ConverterErrorData, the converter's structured errors.
_NEEDS_FLEX = "ERROR_NEEDS_FLEX_OPS"
_NEEDS_CUSTOM = "ERROR_NEEDS_CUSTOM_OPS"
_NO_FLEX = (
    "The wheels of TensorFlow have had no kernels for them since 2.20, nor has LiteRT, so the "
    "file could neither be calibrated nor measured."
)


def untraceable(error: Exception) -> ConversionError:
    """``error`` came while the model was traced or its variables were made constants."""
    stateful = _STATEFUL.search(str(error))
    if stateful is not None:
        layer = tensorflow_layer(stateful[1].partition("/resource")[0])
        return ConversionError(
            f"the model keeps state: {layer} changes a variable while it runs, and a .tflite "
            "file's variables are constants here",
            hint="Pass the state in and out as an input and an output of the model.",
        )
    raised = _USER_CODE.findall(str(error)) if "in user code:" in str(error) else []
    return ConversionError(
        f"TensorFlow could not trace the model: {raised[-1] if raised else tf_cause(error)}",
        hint="Check the shapes and types in model.inputs.",
    )


def refused(
    error: Exception, float_graph: Callable[[], Graph], *, select_tf_ops: bool = False
) -> ConversionError:
    """``error`` came from the converter; ``float_graph`` converts to float, with TFLite's operators
    alone, to find layers in. ``select_tf_ops`` says that TensorFlow's were allowed when it came."""
    unsupported = _unsupported(getattr(error, "errors", ()))
    if unsupported:
        if select_tf_ops:
            unsupported = sorted({*unsupported, *_left_to_tensorflow(float_graph)})
        return _unsupported_operators(unsupported)
    wide = _NOT_IN_INT16.search(str(error))
    if wide is not None:
        graph = float_graph()
        layers = [graph.layer(op) for op in graph.ops if op.name == wide[1]]
        return ConversionError(
            f"TFLite has no INT16 kernel for {wide[1]}"
            + (f" at {', '.join(layers)}" if layers else ""),
            hint=f"Write allow_float_ops: [{wide[1]}] to leave it float, or take tflite_int8.",
        )
    lines = _MLIR_ERROR.findall(str(error))
    cause = condensed_cause(*(lines or [f"{type(error).__name__}: {error}"]))
    return ConversionError(f"TFLiteConverter refused the model: {cause}")


def refuse_select_tf_ops(graph: Graph) -> None:
    """An artefact that nothing here can run is not made.

    Raises:
        MissingError: ``graph`` has operators of TensorFlow itself; all are named.
    """
    found = select_tf_ops(graph)
    if found:
        raise MissingError(
            f"the model needs {_count(found)} of TensorFlow itself: "
            f"{'; '.join(map(str, found))}. {_NO_FLEX}",
            hint="Replace them with operators that TFLite has, or compute that part outside the "
            "model.",
        )


def _unsupported(errors: Iterable[Any]) -> list[tuple[str, str, str]]:
    """Operator, layer and code of each structured error about an operator, once each, sorted."""
    found = set()
    for data in errors:
        code = data.ErrorCode.Name(data.error_code)
        operator = data.operator.name.removeprefix("tf.")
        # A placeholder is the handle of a table, whose look-up is in the list.
        if code in (_NEEDS_FLEX, _NEEDS_CUSTOM) and operator != "Placeholder":
            name = next((call.name for call in data.location.call if call.name), "")
            layer = tensorflow_layer(name)
            found.add((operator, "" if layer == operator else layer, code))
    return sorted(found)


def _left_to_tensorflow(float_graph: Callable[[], Graph]) -> list[tuple[str, str, str]]:
    """As ``_unsupported``, of a conversion in which none is left to TensorFlow."""
    try:
        float_graph()
    except Exception as error:  # noqa: BLE001 - as in ``convert``; the caller raises the first one
        return _unsupported(getattr(error, "errors", ()))
    return []


def _unsupported_operators(found: list[tuple[str, str, str]]) -> ConversionError:
    named = [operator if not layer else f"{operator} at {layer}" for operator, layer, _ in found]
    notes = []
    if any(operator.startswith("LookupTable") for operator, _, _ in found):
        notes.append("A hash table is state; gather from a constant instead.")
    if any("PyFunc" in operator for operator, _, _ in found):
        notes.append("A py_function is Python, which no .tflite holds.")
    notes.append(
        "Replace them with operators that TFLite has, or compute that part outside the model."
    )
    if any(code == _NEEDS_FLEX for _, _, code in found):
        notes.append(f"quantize.select_tf_ops is no way out at present. {_NO_FLEX}")
    return ConversionError(
        f"TFLite lacks {_count(found)} of the model: {'; '.join(named)}", hint=" ".join(notes)
    )


def _count(found: Iterable[Any]) -> str:
    number = len(tuple(found))
    return "1 operator" if number == 1 else f"{number} operators"
