"""An ONNX model as a PyTorch module: layers with weights, named after the model's nodes.

One rule an operator, by the operators' specification (onnx.ai/onnx/operators), opsets 13 to 23.
Older models are converted up first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from edgekit.errors import ConversionError
from edgekit.onnx.newer_opset import raised
from edgekit.pytorch import (
    from_onnx_conv,
    from_onnx_elementwise,
    from_onnx_layers,
    from_onnx_reduce,
    from_onnx_resize,
    from_onnx_shapes,
)
from edgekit.pytorch.from_onnx_graph import (
    GraphBuilder,
    OnnxNode,
    Operand,
    Rule,
    UnsupportedError,
)
from edgekit.pytorch.from_onnx_names import module_path
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.cause import condensed_cause

MIN_OPSET, MAX_OPSET = 13, 23
RULES: Mapping[str, Rule] = {
    **from_onnx_conv.RULES,
    **from_onnx_elementwise.RULES,
    **from_onnx_layers.RULES,
    **from_onnx_reduce.RULES,
    **from_onnx_resize.RULES,
    **from_onnx_shapes.RULES,
}
"""By operator of ONNX's own domain."""
_SHOWN_NODES = 8


def onnx_module(
    model: Any, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...]
) -> torch.nn.Module:
    """The ``ModelProto`` as a module in eval mode, called with tensors in the order of ``inputs``.

    It returns a tuple in the order of ``outputs``. Shapes are those of ``inputs``, whatever the
    model leaves open. Constants become buffers, weights parameters; those of a convolution, a
    matrix product or a norm are in the module of PyTorch that does the same. The model's tensors
    must have been loaded; it is not changed.

    Raises:
        ConversionError: operators that have no rule, or are used as theirs cannot; nodes are named.
    """
    model = _at_known_opset(model)
    version = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    _refuse_unknown(model.graph, version)
    builder = GraphBuilder()
    values: dict[str, Operand] = {}
    specs = {spec.name: spec for spec in inputs}
    for spec in specs.values():
        values[spec.name] = builder.input(spec.shape, getattr(torch, spec.dtype))
    for tensor in model.graph.initializer:
        values.setdefault(tensor.name, builder.constant(_value(tensor)))
    _require(values, (each.name for each in model.graph.input), "input")
    for proto in model.graph.node:
        values |= _translated(builder, proto, values)
    _require(values, outputs, "output")
    return builder.finish(values[name] for name in outputs)


def _at_known_opset(model: Any) -> Any:
    """With its functions inlined, its operators those of an opset that rules are written for."""
    from onnx import inliner

    if model.functions:
        model = inliner.inline_local_functions(model)
    version = max(
        (each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0
    )
    if version >= MIN_OPSET:
        return model
    return raised(model, MIN_OPSET)


def _refuse_unknown(graph: Any, version: int) -> None:
    """Name every operator without a rule at once, with the nodes that have it."""
    unknown: dict[str, list[str]] = {}
    for proto in graph.node:
        own = proto.domain in ("", "ai.onnx")
        name = proto.op_type if own else f"{proto.domain}.{proto.op_type}"
        if not own or proto.op_type not in RULES:
            unknown.setdefault(name, []).append(_shown(proto))
        elif (since := _since(proto.op_type, version)) > MAX_OPSET:
            unknown.setdefault(f"{name} of opset {since}", []).append(_shown(proto))
    if not unknown:
        return
    listed = [
        f"{name} ({', '.join(nodes[:_SHOWN_NODES])}"
        + (f" and {len(nodes) - _SHOWN_NODES} more)" if len(nodes) > _SHOWN_NODES else ")")
        for name, nodes in unknown.items()
    ]
    raise ConversionError(
        f"no way from ONNX to PyTorch for {'; '.join(listed)}",
        hint=f"Export the model without {', '.join(unknown)}.",
    )


def _translated(
    builder: GraphBuilder, proto: Any, values: Mapping[str, Operand]
) -> dict[str, Operand]:
    """The results of one node by name."""
    operands = tuple(values[name] if name else None for name in proto.input)
    constants = [
        name
        for name, operand in zip(proto.input, operands, strict=True)
        if operand is not None and operand.constant is not None
    ]
    weight = constants[0] if constants and proto.op_type in _WEIGHTED else None
    node = OnnxNode(
        builder,
        proto,
        operands,
        path=module_path(proto.op_type, proto.name or proto.output[0], weight),
    )
    try:
        results = RULES[proto.op_type](node)
    except UnsupportedError as error:
        raise ConversionError(
            f"no way from ONNX to PyTorch for {proto.op_type} at {_shown(proto)}: {error}",
            hint=f"Export the model with another operator at {_shown(proto)}.",
        ) from error
    except Exception as error:  # torch raises many types where shapes or types do not fit
        raise ConversionError(
            f"PyTorch does not take {proto.op_type} at {_shown(proto)} with its shapes and types: "
            f"{condensed_cause(f'{type(error).__name__}: {error}')}",
            hint=f"Export the model with another operator at {_shown(proto)}.",
        ) from error
    results = (results,) if isinstance(results, Operand) else results
    return {name: each for name, each in zip(proto.output, results, strict=False) if name}


_WEIGHTED = frozenset({*from_onnx_layers.RULES, "Conv", "ConvTranspose", "PRelu", "Gather"})


def _since(op_type: str, version: int) -> int:
    from onnx import defs

    return int(defs.get_schema(op_type, max_inclusive_version=version).since_version)


def _value(tensor: Any) -> torch.Tensor:
    from onnx import numpy_helper

    return torch.from_numpy(numpy_helper.to_array(tensor).copy())


def _shown(proto: Any) -> str:
    return str(proto.name or f"the node of {proto.output[0]}")


def _require(values: Mapping[str, Operand], names: Iterable[str], what: str) -> None:
    missing = [name for name in names if name not in values]
    if missing:
        raise ConversionError(
            f"the ONNX model's {what} {missing[0]!r} is not the recipe's",
            hint=f"Correct model.{what}s.",
        )
