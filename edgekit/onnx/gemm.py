"""Gemm in the one form that ONNX Runtime's quantizers and integer kernels take.

A ``ModelProto`` is changed in place here: whoever calls has just made it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.onnx.constants import drop_unread, float_constants, tensor_names, unique_name
from edgekit.onnx.model_file import require_onnx
from edgekit.onnx.ops import nodes
from edgekit.types import Array


def plain_gemms(model: Any) -> None:
    """Leave every float32 Gemm without ``alpha`` and ``beta``, and with a bias that is a constant
    vector or none: ONNX Runtime's quantizers drop the factors, fail at a bias of another shape, and
    its integer kernels add no bias that is computed.

    A factor goes into a constant where there is one, else a Mul in front has it; any other bias
    goes to an Add behind. Nodes have names, and types are inferred.
    """
    plain = _Plain(model)
    for node in tuple(model.graph.node):
        plain.take(node)
    del model.graph.node[:]
    model.graph.node.extend(plain.nodes)
    drop_unread(model)


class _Plain:
    """``nodes`` are copies, in the order in which they run."""

    def __init__(self, model: Any) -> None:
        self.nodes: list[Any] = []
        self._model = model
        self._constants = float_constants(model)
        self._floats = _float_tensors(model)
        self._taken = tensor_names(model)
        self._node_names = {node.name for node in nodes(model.graph.node)}

    def take(self, node: Any) -> None:
        made = type(node)()
        made.CopyFrom(node)
        if node.op_type != "Gemm" or node.output[0] not in self._floats:
            self.nodes.append(made)
            return
        alpha, beta = (_taken_factor(made, name) for name in ("alpha", "beta"))
        if alpha != 1.0:
            self._scale_product(made, alpha)
        added = self._bias(made, beta)
        self.nodes.append(made)
        if added is not None:
            output = made.output[0]
            made.output[0] = unique_name(f"{output}_product", self._taken)
            self._add("Add", f"{node.name}_Add", [made.output[0], added], output)

    def _scale_product(self, node: Any, alpha: float) -> None:
        for position in (1, 0):
            given = node.input[position]
            if given in self._constants:
                node.input[position] = self._constant(
                    f"{given}_by_alpha", alpha * self._value(given)
                )
                return
        node.input[0] = self._scaled(f"{node.name}_alpha", node.input[0], alpha)

    def _bias(self, node: Any, beta: float) -> str | None:
        """Make the bias of ``node`` a vector; one that is none is taken off, and returned."""
        given = node.input[2] if len(node.input) > 2 else ""
        del node.input[2:]
        if not given or beta == 0.0:
            return None
        if given not in self._constants:
            return given if beta == 1.0 else self._scaled(f"{node.name}_beta", given, beta)
        value = self._value(given)
        row = self._row(node, value)
        if row is None:
            return given if beta == 1.0 else self._constant(f"{given}_by_beta", beta * value)
        if beta != 1.0 or row.shape != value.shape:
            given = self._constant(f"{given}_by_beta", beta * row)
        node.input.append(given)
        return None

    def _row(self, node: Any, bias: Array) -> Array | None:
        """``bias`` as the vector that is added to every row of the product, if it is one."""
        width = bias.size
        if node.input[1] in self._constants:
            transposed = any(each.name == "transB" and each.i for each in node.attribute)
            width = self._constants[node.input[1]].dims[0 if transposed else 1]
        elif width == 1:
            return None  # nothing tells how many columns there are
        if bias.size != (bias.shape or (1,))[-1]:
            return None
        return np.broadcast_to(bias.reshape(-1), (width,))

    def _scaled(self, base: str, given: str, factor: float) -> str:
        output = unique_name(f"{base}_scaled", self._taken)
        self._add("Mul", f"{base}_Mul", [given, self._constant(base, np.array(factor))], output)
        return output

    def _add(self, op: str, name: str, inputs: list[str], output: str) -> None:
        own = unique_name(name, self._node_names)
        self.nodes.append(require_onnx().helper.make_node(op, inputs, [output], own))

    def _constant(self, name: str, value: Array) -> str:
        own = unique_name(name, self._taken)
        array = np.array(value, np.float32, order="C")
        self._constants[own] = require_onnx().numpy_helper.from_array(array, own)
        self._model.graph.initializer.append(self._constants[own])
        return own

    def _value(self, name: str) -> Array:
        value: Array = require_onnx().numpy_helper.to_array(self._constants[name])
        return value


def _taken_factor(node: Any, name: str) -> float:
    """The factor's value; ``node`` has it no longer."""
    value = float(next((each.f for each in node.attribute if each.name == name), 1.0))
    kept = [each for each in node.attribute if each.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    return value


def _float_tensors(model: Any) -> set[str]:
    graph = model.graph
    return {
        value.name
        for value in (*graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == require_onnx().TensorProto.FLOAT
    }
