"""ONNX models rewritten for a tool that reads less of ONNX; they answer as before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.errors import ConversionError
from edgekit.onnx.checks import opset_of
from edgekit.onnx.model_file import require_onnx
from edgekit.onnx.ops import nodes
from edgekit.recipe.schema import MIN_WRITTEN_OPSET
from edgekit.runtimes.cause import condensed_cause

_PADDING = frozenset({"Conv", "MaxPool", "AveragePool"})


def lowered(model: Any, opsets: Sequence[int], bridge: str) -> Any:
    """``model`` in the first of ``opsets`` that onnx's version converter reaches; as it is, where
    the first is its own or newer.

    Raises:
        ConversionError: none was reached; says why, and what the recipe can ask for.
    """
    onnx = require_onnx()
    own = opset_of(model)
    if own <= opsets[0]:
        return model
    plain = _without_defaults(model)
    causes = []
    faults = (
        RuntimeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        onnx.version_converter.ConvertError,
    )
    for opset in opsets:
        try:
            made = onnx.version_converter.convert_version(plain, opset)
            onnx.checker.check_model(made, full_check=True)
        except faults as error:
            causes.append(condensed_cause(str(error).split("==>")[0].split("failed: ")[-1]))
        else:
            return made
    raise ConversionError(
        f"{bridge} takes all of the model's operators up to operator set {opsets[0]} only, the "
        f"model is in {own}, and onnx's version converter does not get there: {causes[0]}",
        hint=f"Export it in operator set {opsets[0]}"
        + (
            f": where edgekit makes the ONNX model, by onnx.opset: {opsets[0]} in the recipe."
            if opsets[0] >= MIN_WRITTEN_OPSET
            else "."
        ),
    )


def padded_as_same(model: Any) -> Any:
    """``model`` with ``auto_pad: SAME_UPPER`` wherever the pads written out mean just that.

    TFLite's convolutions have that padding built in; any other becomes an operator of its own.
    """
    onnx = require_onnx()
    made = onnx.shape_inference.infer_shapes(model)
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*made.graph.input, *made.graph.value_info, *made.graph.output)
    }
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in made.graph.initializer}
    for node in made.graph.node:
        if node.op_type in _PADDING and _is_same(onnx, node, shapes):
            kept = [each for each in node.attribute if each.name not in ("pads", "auto_pad")]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("auto_pad", "SAME_UPPER")])
    return made


def _is_same(onnx: Any, node: Any, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    pads = given.get("pads")
    if not pads or not any(pads) or given.get("auto_pad", b"NOTSET") != b"NOTSET":
        return False
    if given.get("ceil_mode") or given.get("count_include_pad"):
        return False
    sizes = shapes.get(node.input[0], ())[2:]
    kernel = given.get("kernel_shape") or shapes.get(node.input[1], ())[2:]
    axes = len(pads) // 2
    if len(sizes) != axes or len(kernel) != axes or not all(sizes):
        return False
    strides = given.get("strides") or [1] * axes
    dilations = given.get("dilations") or [1] * axes
    for axis, size in enumerate(sizes):
        extent = (kernel[axis] - 1) * dilations[axis] + 1
        steps = -(-size // strides[axis])
        total = max((steps - 1) * strides[axis] + extent - size, 0)
        if (pads[axis], pads[axes + axis]) != (total // 2, total - total // 2):
            return False
    return True


def _without_defaults(model: Any) -> Any:
    """A copy without the attributes that hold their defaults: they say nothing, and the version
    converter carries them into versions that have no such attribute."""
    onnx = require_onnx()
    made = type(model)()
    made.CopyFrom(model)
    opset = opset_of(model)
    for node in nodes(made.graph.node):
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type, opset):
            continue
        known = onnx.defs.get_schema(node.op_type, opset, "").attributes
        said = [each for each in node.attribute if not _is_default(onnx, each, known)]
        if len(said) < len(node.attribute):
            del node.attribute[:]
            node.attribute.extend(said)
    return made


def _is_default(onnx: Any, attribute: Any, known: Mapping[str, Any]) -> bool:
    default = known[attribute.name].default_value if attribute.name in known else None
    if default is None or not default.type:
        return False
    value = onnx.helper.get_attribute_value
    return bool(value(default) == value(attribute))
