"""Models of old operator sets, brought up by onnx's version converter; what it forgets is added."""

from __future__ import annotations

from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.onnx.checks import opset_of
from edgekit.onnx.model_file import require_onnx
from edgekit.onnx.ops import nodes
from edgekit.runtimes.cause import condensed_cause

_RESIZE_HAS_MODES = 11


def raised(model: Any, opset: int) -> Any:
    """``model`` in operator set ``opset``, which is newer than its own.

    Raises:
        ConversionError: the converter refused.
    """
    require_onnx()
    from onnx import version_converter

    own = opset_of(model)
    try:
        with captured_output():
            made = version_converter.convert_version(model, opset)
    except Exception as error:  # C++ raises several types
        raise ConversionError(
            f"operator set {own} cannot be brought up to {opset}: {condensed_cause(str(error))}",
            hint=f"Export the model with operator set {opset} or newer.",
        ) from error
    if own < _RESIZE_HAS_MODES:
        _write_modes(made)
    return made


def _write_modes(model: Any) -> None:
    """Before set 11, Upsample and Resize had no modes: they meant what a Resize now has to say."""
    for node in nodes(model.graph.node):
        if node.op_type != "Resize":
            continue
        given = {each.name for each in node.attribute}
        for name, value in (
            ("coordinate_transformation_mode", "asymmetric"),
            ("nearest_mode", "floor"),
        ):
            if name not in given:
                node.attribute.append(require_onnx().helper.make_attribute(name, value))
