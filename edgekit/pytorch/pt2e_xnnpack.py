"""Symmetric INT8 as the kernels of XNNPACK and TFLite compute it, as a PT2E quantizer.

int8 activations, affine and per tensor; int8 weights, symmetric. It differs from litert-torch's
quantizer and the one torchao carries for its tests, which follow the same scheme, in what it fuses:
a clamp behind a convolution (ReLU6) is part of it. Quantized apart, the clamp shares the range of
what it clips, and most of the 256 steps are spent on values that are cut off next.

A tensor between two operators that are not quantized stays float.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    Quantizer,
    SharedQuantizationSpec,
)
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from edgekit.pytorch.modules import Treatment
from edgekit.pytorch.pt2e_specs import Specs

_aten = torch.ops.aten

# With the axis of the output channels in the weight.
_WEIGHTED: dict[Any, int] = {
    _aten.conv1d.default: 0,
    _aten.conv1d.padding: 0,
    _aten.conv2d.default: 0,
    _aten.conv2d.padding: 0,
    _aten.linear.default: 0,
    _aten.conv_transpose2d.input: 1,
}
_CLAMPS = frozenset(
    {
        _aten.relu.default,
        _aten.relu_.default,
        _aten.hardtanh.default,
        _aten.hardtanh_.default,
        _aten.relu6.default,
        _aten.relu6_.default,
        _aten.clamp.default,
        _aten.clamp_.default,
    }
)
_BINARY = frozenset(
    {
        _aten.add.Tensor,
        _aten.add_.Tensor,
        _aten.sub.Tensor,
        _aten.sub_.Tensor,
        _aten.mul.Tensor,
        _aten.mul_.Tensor,
    }
)
# What they give has a range of its own.
_COMPUTED = _CLAMPS | frozenset(
    {
        _aten.mean.dim,
        _aten.adaptive_avg_pool2d.default,
        _aten.hardswish.default,
        _aten.hardswish_.default,
        _aten.leaky_relu.default,
        _aten.leaky_relu_.default,
    }
)
# What they give has a range that is known, and kernels that expect it: scale and zero point.
_FIXED: dict[Any, tuple[float, int]] = {
    _aten.sigmoid.default: (1 / 256, -128),
    _aten.sigmoid_.default: (1 / 256, -128),
    _aten.softmax.int: (1 / 256, -128),
    _aten.tanh.default: (1 / 128, 0),
    _aten.tanh_.default: (1 / 128, 0),
}
# They move values or choose among them: in and out are one range.
_MOVES = frozenset(
    {
        _aten.avg_pool2d.default,
        _aten.clone.default,
        _aten.constant_pad_nd.default,
        _aten.contiguous.default,
        _aten.dropout.default,
        _aten.dropout_.default,
        _aten.expand.default,
        _aten.flatten.using_ints,
        _aten.max_pool2d.default,
        _aten.pad.default,
        _aten.permute.default,
        _aten.pixel_shuffle.default,
        _aten.reshape.default,
        _aten.select.int,
        _aten.slice.Tensor,
        _aten.squeeze.default,
        _aten.squeeze.dim,
        _aten.squeeze.dims,
        _aten.transpose.int,
        _aten.unsqueeze.default,
        _aten.upsample_nearest2d.vec,
        _aten.view.default,
    }
)


class SymmetricQuantizer(Quantizer):  # type: ignore[misc]
    """Annotates a graph for ``specs``; ``treatment_of`` an operator says what the rules want."""

    def __init__(self, specs: Specs, treatment_of: Callable[[Node], Treatment]) -> None:
        super().__init__()
        self._specs = specs
        self._treatment_of = treatment_of
        # One object: a tensor that is written and read under equal specs is observed once.
        self._activation = specs.activation()

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Constants of arithmetic become tensors, which can be quantized."""
        for node in list(model.graph.nodes):
            if node.op == "call_function" and node.target in _BINARY and _is_float(node):
                _with_tensor_operands(model, node)
        model.recompile()
        return model

    def annotate(self, model: GraphModule) -> GraphModule:
        for node in model.graph.nodes:
            if node.op != "call_function" or _annotation(node) or not self._wanted(node):
                continue
            if node.target in _WEIGHTED:
                self._annotate_weighted(node)
            elif node.target in _BINARY and all(map(_is_float, node.all_input_nodes)):
                self._annotate_fused(node, dict.fromkeys(node.all_input_nodes, self._activation))
            elif node.target is _aten.cat.default:
                self._annotate_cat(node)
            elif node.target in _COMPUTED:
                self._annotate(node, {node.all_input_nodes[0]: self._activation}, self._activation)
            elif node.target in _FIXED:
                fixed = self._specs.fixed(*_FIXED[node.target])
                self._annotate(node, {node.all_input_nodes[0]: self._activation}, fixed)
        # Last, when it is known what is quantized around them.
        for node in model.graph.nodes:
            if node.target in _MOVES and not _annotation(node) and self._joins_int8(node):
                self._annotate_move(node)
        return model

    def validate(self, model: GraphModule) -> None:
        """Every annotation is one that the kernels have."""

    def _wanted(self, node: Node) -> bool:
        return _is_float(node) and self._treatment_of(node).method != "float"

    def _annotate_weighted(self, node: Node) -> None:
        treatment = self._treatment_of(node)
        data, weight, *_ = node.all_input_nodes
        weights = self._specs.weight(_WEIGHTED[node.target], treatment.weight_bits or 8)
        if treatment.method == "dynamic":
            self._annotate(node, {data: self._specs.dynamic_activation(), weight: weights}, None)
        else:
            self._annotate_fused(node, {data: self._activation, weight: weights})

    def _annotate_fused(self, node: Node, inputs: dict[Node, Any]) -> None:
        """``node`` with the clamp behind it, if that is all that reads it."""
        users = list(node.users)
        clamp = users[0] if len(users) == 1 and users[0].target in _CLAMPS else None
        if clamp is None or not self._wanted(clamp):
            self._annotate(node, inputs, self._activation)
            return
        self._annotate(node, inputs, None)
        self._annotate(clamp, {}, self._activation)

    def _annotate_cat(self, node: Node) -> None:
        parts = node.all_input_nodes
        shared = SharedQuantizationSpec((parts[0], node))
        inputs = dict.fromkeys(parts, shared) | {parts[0]: self._activation}
        self._annotate(node, inputs, shared)

    def _annotate_move(self, node: Node) -> None:
        data = node.all_input_nodes[0]
        self._annotate(node, {data: self._activation}, SharedQuantizationSpec((data, node)))

    def _joins_int8(self, node: Node) -> bool:
        """Whether what ``node`` moves is int8 already, or an input of the model that becomes so."""
        data = node.args[0]
        if not isinstance(data, Node) or not self._wanted(node):
            return False
        before = _annotation(data)
        if before is not None:
            return before.output_qspec is not None
        return data.op == "placeholder" and _is_float(data) and _feeds_int8(node)

    @staticmethod
    def _annotate(node: Node, inputs: dict[Node, Any], output: Any) -> None:
        node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(
            input_qspec_map=inputs, output_qspec=output, _annotated=True
        )


def _annotation(node: Node) -> QuantizationAnnotation | None:
    found: QuantizationAnnotation | None = node.meta.get(Q_ANNOTATION_KEY)
    return found


def _feeds_int8(node: Node) -> bool:
    for user in node.users:
        annotation = _annotation(user)
        if annotation is not None and node in annotation.input_qspec_map:
            return True
        if annotation is None and user.target in _MOVES and _feeds_int8(user):
            return True
    return False


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32


def _with_tensor_operands(model: GraphModule, node: Node) -> None:
    for position, operand in enumerate(node.args[:2]):
        if not isinstance(operand, int | float):
            continue
        value = torch.tensor(float(operand))
        name = f"_constant_{node.name}_{position}"
        model.register_buffer(name, value)
        with model.graph.inserting_before(node):
            constant = model.graph.get_attr(name)
        constant.meta["val"] = node.meta["val"].fake_mode.from_tensor(value, static_shapes=True)
        node.update_arg(position, constant)
