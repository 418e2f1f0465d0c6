"""What a TorchScript file really is: read from the operators of its graph, layer by layer.

The graph is followed from the inputs through the calls of submodules, so a module counts as INT8
because an INT8 operator reads its weights, not because of its class or of what the file claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgekit.pytorch.description import Description
from edgekit.runtimes.torchscript import load_script, read_script_description
from edgekit.types import ArtefactFacts, FloatOp, ModuleFact

Compute = Literal["int8", "int8 dynamic", "int8 weights", "float"]

_ITSELF = "the model itself"

# fmt: off
# Operators of aten that compute with weights in float; _convolution is any that was traced.
_FLOAT_WEIGHTED = frozenset({
    "_convolution", "conv1d", "conv2d", "conv3d", "linear", "addmm", "matmul", "mm", "bmm",
    "baddbmm", "embedding", "embedding_bag", "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell",
    "gru_cell", "rnn_tanh_cell", "rnn_relu_cell", "scaled_dot_product_attention", "bilinear",
})
# Operators of aten that compute nothing: they move, name or measure values, or change their type.
_MOVES = frozenset({
    "size", "Int", "ScalarImplicit", "FloatImplicit", "IntImplicit", "dim", "numel", "view",
    "reshape", "flatten", "unflatten", "permute", "transpose", "t", "contiguous", "to", "type_as",
    "slice", "select", "narrow", "index", "gather", "expand", "expand_as", "unsqueeze", "squeeze",
    "cat", "stack", "split", "chunk", "unbind", "detach", "dropout", "feature_dropout", "clone",
    "zeros", "ones", "full", "arange", "empty", "zeros_like", "ones_like", "quantize_per_tensor",
    "dequantize", "constant_pad_nd", "pad", "repeat", "roll", "flip", "Bool", "Float", "device",
    "__getitem__", "len", "alias",
})
# fmt: on


@dataclass
class _Findings:
    """What the walk has met so far."""

    ops: int = 0
    float_ops: dict[tuple[str, str], None] = field(default_factory=dict)
    """Operator and module, each once, in order."""
    computes: dict[str, Compute] = field(default_factory=dict)
    weights: dict[str, set[str]] = field(default_factory=dict)
    """Dotted names of the attributes that hold a module's weights, by module."""


def inspect(file: Path) -> ArtefactFacts:
    """The facts of ``file``, which edgekit wrote. Multiplications are not counted: the format
    records no shapes.

    Raises:
        UsageError: there is no such file.
        SessionError: damaged, not edgekit's, or of another torch.
    """
    description = read_script_description(file)
    script = load_script(file, description)
    findings = _Findings()
    given = ["float" if spec.dtype == "float32" else None for spec in description.inputs]
    states = _walk(script, "", given, {}, findings)
    outputs = _flat(states)
    return ArtefactFacts(
        input_dtypes=tuple(spec.dtype for spec in description.inputs),
        output_dtypes=tuple("quint8" if state == "int8" else "float32" for state in outputs),
        ops=findings.ops,
        float_ops=tuple(
            FloatOp(op, _own_name(script, layer) or _ITSELF) for op, layer in findings.float_ops
        ),
        transposes=None,
        macs=None,
        int8_mac_fraction=None,
        modules=_modules(script, findings, description),
    )


def _walk(
    module: Any, path: str, arguments: list[Any], handed: Mapping[int, str], findings: _Findings
) -> Any:
    """Follow ``module``'s graph; the state of its output: "int8", "float", or a list of them.

    ``handed`` are the attributes among the arguments, by position: of a module that is called
    twice, the caller hands the weights in.
    """
    graph = module.graph
    inputs = list(graph.inputs())
    states: dict[str, Any] = {
        value.debugName(): state for value, state in zip(inputs[1:], arguments, strict=False)
    }
    places = {inputs[0].debugName(): path}
    places |= {inputs[index + 1].debugName(): place for index, place in handed.items()}
    _walk_block(graph, module, path, states, places, findings)
    results = [states.get(value.debugName(), "float") for value in graph.outputs()]
    return results[0] if len(results) == 1 else results


def _walk_block(
    block: Any,
    module: Any,
    path: str,
    states: dict[str, Any],
    places: dict[str, str],
    findings: _Findings,
) -> None:
    """``places`` are the attributes of modules that values stand for, by dotted name."""
    for node in block.nodes():
        kind: str = node.kind()
        names = [value.debugName() for value in node.inputs()]
        outputs = [value.debugName() for value in node.outputs()]
        if kind == "prim::GetAttr":
            owner = places[names[0]]
            places[outputs[0]] = f"{owner}.{node.s('name')}".removeprefix(".")
            continue
        if kind == "prim::CallMethod" and names[0] in places:
            called = places[names[0]]
            inner = called[len(path) + 1 :] if path else called
            states[outputs[0]] = _walk(
                _child(module, inner),
                called,
                [states.get(name) for name in names[1:]],
                {index: places[name] for index, name in enumerate(names[1:]) if name in places},
                findings,
            )
            continue
        for inside in node.blocks():
            _walk_block(inside, module, path, states, places, findings)
        if kind.startswith("prim::"):
            _pass_on(kind, names, outputs, states, places)
            continue
        findings.ops += 1
        held = {place for name in names for place in places.get(name, "").split() if place}
        given = [state for name in names for state in _flat(states.get(name))]
        made = _operate(kind, given, held, path, findings)
        for name in outputs:
            states[name] = made


def _pass_on(
    kind: str,
    names: list[str],
    outputs: list[str],
    states: dict[str, Any],
    places: dict[str, str],
) -> None:
    """Lists and tuples carry the states of what is in them; several weights make one text."""
    if kind in ("prim::ListConstruct", "prim::TupleConstruct"):
        states[outputs[0]] = [states.get(name) for name in names]
        if held := " ".join(places[name] for name in names if name in places):
            places[outputs[0]] = held
        return
    packed = states.get(names[0]) if names else None
    unpacked = packed if isinstance(packed, list) and len(packed) == len(outputs) else None
    for index, name in enumerate(outputs):
        if kind != "prim::Constant":
            states[name] = unpacked[index] if unpacked else packed


def _operate(
    kind: str, given: list[Any], held: set[str], path: str, findings: _Findings
) -> str | None:
    """The state of what the operator makes; notes what it is and whose weights it reads."""
    name = kind.removeprefix("aten::")
    compute = _compute(kind)
    if compute is None and name in _FLOAT_WEIGHTED and held:
        compute = "float"
    if compute is not None and held:
        findings.computes[path] = compute
        findings.weights.setdefault(path, set()).update(held)
    if kind == "aten::quantize_per_tensor":
        return "int8"
    if kind == "aten::dequantize":
        return "float"
    if kind.startswith("quantized::"):
        return "int8" if compute in (None, "int8") else "float"
    int8 = "int8" in given
    computes_in_float = not int8 and "float" in given and name not in _MOVES
    if computes_in_float and compute in (None, "float"):
        findings.float_ops[name.strip("_"), path] = None
    if int8:
        return "int8"
    return "float" if given or compute is not None else None


def _compute(kind: str) -> Compute | None:
    """How an operator that reads packed weights computes; ``None`` for any other."""
    space, _, name = kind.partition("::")
    if name in ("quantized_lstm", "quantized_gru") or name.startswith("quantized_rnn"):
        return "int8 dynamic"
    if space != "quantized":
        return None
    if name.startswith("embedding"):
        return "int8 weights"
    if "dynamic" in name:
        return "int8 dynamic"
    return "int8" if name.startswith(("conv", "linear")) else None


def _modules(script: Any, findings: _Findings, description: Description) -> tuple[ModuleFact, ...]:
    return tuple(
        ModuleFact(
            name=_own_name(script, path) or _ITSELF,
            type=str(_child(script, path).original_name),
            compute=compute,
            bytes=sum(_bytes(_attribute(script, name)) for name in findings.weights[path]),
            bits=_bits([_attribute(script, name) for name in findings.weights[path]]),
            why=_why(_own_name(script, path), compute, description.kept_float),
        )
        for path, compute in findings.computes.items()
    )


def _own_name(script: Any, path: str) -> str:
    """The name in the source model: FX puts layers it fused but left float into one."""
    parent, _, name = path.rpartition(".")
    fused = name.isdigit() and ".ao.nn.intrinsic." in str(_child(script, parent)._c._type())
    return parent if fused else path


def _why(path: str, compute: Compute, kept_float: Mapping[str, str]) -> str | None:
    return kept_float.get(path) if compute == "float" else None


def _child(module: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        module = getattr(module, name)
    return module


def _attribute(script: Any, path: str) -> Any:
    owner, _, name = path.rpartition(".")
    return getattr(_child(script, owner), name)


def _bytes(value: Any) -> int:
    """Of a tensor, or of all tensors in the state of an object that holds packed weights."""
    import torch

    if isinstance(value, torch.Tensor):
        scales = value.q_per_channel_scales() if _per_channel(value) else None
        return value.numel() * value.element_size() + (0 if scales is None else scales.nbytes)
    if isinstance(value, list | tuple):
        return sum(_bytes(item) for item in value)
    if isinstance(value, torch.ScriptObject):
        return _bytes(value.__getstate__())
    return 0


def _bits(value: Any) -> int | None:
    """The fewest that hold every quantized weight in ``value``, as far as torch's kernels let them
    be read; at least 2. ``None`` where none is quantized."""
    import torch

    if isinstance(value, torch.Tensor):
        if not value.is_quantized:
            return None
        codes = value.int_repr().to(torch.int32) - (128 if value.dtype is torch.quint8 else 0)
        largest = max(int(codes.max()), -1 - int(codes.min()), 1)
        return largest.bit_length() + 1
    if isinstance(value, torch.ScriptObject):
        return _bits(value.__getstate__())
    found = [_bits(item) for item in value] if isinstance(value, list | tuple) else []
    return max((bits for bits in found if bits is not None), default=None)


def _per_channel(tensor: Any) -> bool:
    import torch

    return tensor.is_quantized and tensor.qscheme() in (
        torch.per_channel_affine,
        torch.per_channel_symmetric,
        torch.per_channel_affine_float_qparams,
    )


def _flat(state: Any) -> list[Any]:
    if isinstance(state, list):
        return [inner for item in state for inner in _flat(item)]
    return [] if state is None else [state]
