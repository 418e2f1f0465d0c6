"""Gelu for tf2onnx, which knows none of the two operators that TensorFlow has for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt
from typing import Any

import numpy as np

Handler = tuple[Callable[[Any, Any, str, Sequence[Any]], None], list[str]]


def gelu_handlers() -> dict[str, Handler]:
    """What ``process_tf_graph`` takes as ``custom_op_handlers``, by operator."""
    return {"Erfc": (_erfc, []), "TFL_GELU": (_gelu, [])}


def _erfc(graph: Any, node: Any, name: str, args: Sequence[Any]) -> None:
    """``1 - erf(x)``: TensorFlow writes the exact Gelu with it."""
    steps = _Steps(graph, node)
    steps.end("Sub", [steps.constant(1.0), steps("Erf", [node.input[0]])])


def _gelu(graph: Any, node: Any, name: str, args: Sequence[Any]) -> None:
    """``x / 2 * (1 + erf(x / sqrt(2)))``, or with the tanh that approximates it (Hendrycks and
    Gimpel, arXiv:1606.08415)."""
    steps, x = _Steps(graph, node), node.input[0]
    if node.get_attr_value("approximate"):
        cube = steps("Mul", [steps("Mul", [x, x]), x])
        inner = steps("Add", [x, steps("Mul", [cube, steps.constant(0.044715)])])
        curve = steps("Tanh", [steps("Mul", [inner, steps.constant(sqrt(2 / pi))])])
    else:
        curve = steps("Erf", [steps("Mul", [x, steps.constant(sqrt(0.5))])])
    half = steps("Mul", [x, steps.constant(0.5)])
    steps.end("Mul", [half, steps("Add", [curve, steps.constant(1.0)])])


class _Steps:
    """Nodes in the place of ``node``, all of its shape and type."""

    def __init__(self, graph: Any, node: Any) -> None:
        self._graph, self._node = graph, node
        self._shapes, self._dtypes = node.output_shapes, node.output_dtypes

    def __call__(self, op: str, inputs: list[str]) -> str:
        made = self._graph.make_node(op, inputs, shapes=self._shapes, dtypes=self._dtypes)
        made.skip_conversion = True
        return str(made.output[0])

    def constant(self, value: float) -> str:
        from tf2onnx import utils

        name = utils.make_name(self._node.name)
        return str(self._graph.make_const(name, np.float32(value)).output[0])

    def end(self, op: str, inputs: list[str]) -> None:
        """The last node, which takes the place's name and output."""
        node = self._node
        self._graph.remove_node(node.name)
        made = self._graph.make_node(
            op,
            inputs,
            name=node.name,
            outputs=node.output,
            shapes=self._shapes,
            dtypes=self._dtypes,
        )
        made.skip_conversion = True
