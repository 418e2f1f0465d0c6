"""A read-only view of an ONNX graph: who makes and reads each tensor, of which type and shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edgekit.onnx.model_file import require_onnx

_FLOATS = frozenset({"float32", "float16", "float64", "bfloat16"})
_OUTPUT = "output"


@dataclass(frozen=True)
class Node:
    """One node; ``layer`` is its name, or that of its first output."""

    op: str
    layer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: Any


class GraphView:
    """The main graph of ``model``, or by ``inner`` one inside it, which sees the tensors around."""

    def __init__(
        self, model: Any, graph: Any = None, prefix: str = "", outer: GraphView | None = None
    ) -> None:
        self.prefix = prefix
        self._model = model
        self._graph = model.graph if graph is None else graph
        self._outer = outer

    def inner(self, graph: Any, prefix: str) -> GraphView:
        return GraphView(self._model, graph, prefix, self)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(_node(proto) for proto in self._graph.node)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Those that are fed: older files list their constants too."""
        return tuple(i.name for i in self._graph.input if i.name not in self.constants)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        return tuple(info.name for info in self._graph.output)

    @cached_property
    def constants(self) -> dict[str, Any]:
        """The ``TensorProto`` of every initializer and Constant, those of graphs around too."""
        found = {} if self._outer is None else dict(self._outer.constants)
        found |= {tensor.name: tensor for tensor in self._graph.initializer}
        for node in self.nodes:
            if node.op == "Constant" and "value" in node.attributes:
                found[node.outputs[0]] = node.attributes["value"]
        return found

    def maker(self, name: str) -> Node | None:
        found = self._makers.get(name)
        return self._outer.maker(name) if found is None and self._outer is not None else found

    def maker_op(self, name: str) -> str | None:
        node = self.maker(name)
        return None if node is None else node.op

    def reader_ops(self, name: str) -> tuple[str, ...]:
        """The operators that read ``name``; 'output' where it leaves the graph."""
        return tuple(self._readers.get(name, ()))

    def dtype(self, name: str) -> str:
        """Of a tensor, as NumPy calls it; 'unknown' where nothing says."""
        code = self._types.get(name, (0, None))[0]
        if code == 0:
            return self._outer.dtype(name) if self._outer is not None else "unknown"
        return str(require_onnx().helper.tensor_dtype_to_np_dtype(code))

    def is_float(self, name: str) -> bool:
        return bool(name) and self.dtype(name) in _FLOATS

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Free sizes are 1; ``None`` where even the number of axes is not known."""
        if name in self._types:
            return self._types[name][1]
        return None if self._outer is None else self._outer.shape(name)

    def weight(self, name: str) -> Any:
        """The constant ``TensorProto`` behind ``name``, directly or dequantized; else ``None``."""
        node = self.maker(name)
        if node is not None and node.op == "DequantizeLinear":
            name = node.inputs[0]
        return self.constants.get(name)

    def integer_bits(self, tensor: Any) -> int | None:
        """Bits of its integers, ``None`` for floats."""
        onnx = require_onnx()
        name = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        kind = name.rstrip("0123456789")
        return int(name[len(kind) :]) if kind in ("int", "uint") else None

    def size_bytes(self, tensor: Any) -> int:
        count = 1
        for size in tensor.dims:
            count *= size
        bits = self.integer_bits(tensor)
        if bits is not None and bits < 8:
            return (count * bits + 7) // 8
        dtype = require_onnx().helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return int(count * dtype.itemsize)

    @cached_property
    def _makers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs}

    @cached_property
    def _readers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {name: [_OUTPUT] for name in self.outputs}
        for node in self.nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node.op)
        return found

    @cached_property
    def _types(self) -> dict[str, tuple[int, tuple[int, ...] | None]]:
        graph = self._graph
        found = {
            info.name: (int(info.type.tensor_type.elem_type), _shape(info.type.tensor_type))
            for info in (*graph.value_info, *graph.input, *graph.output)
        }
        for name, tensor in self.constants.items():
            found[name] = (int(tensor.data_type), tuple(tensor.dims))
        return found


def _node(proto: Any) -> Node:
    onnx = require_onnx()
    outputs = tuple(name for name in proto.output if name)
    return Node(
        op=proto.op_type,
        layer=proto.name or (outputs[0] if outputs else proto.op_type),
        inputs=tuple(proto.input),
        outputs=outputs,
        attributes={a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute},
        proto=proto,
    )


def _shape(tensor_type: Any) -> tuple[int, ...] | None:
    if not tensor_type.HasField("shape"):
        return None
    return tuple(size.dim_value if size.dim_value > 0 else 1 for size in tensor_type.shape.dim)
