"""FX graph mode quantization. All that edgekit uses of ``torch.ao.quantization.quantize_fx``, which
PyTorch deprecates in favour of PT2E, is in this module.

Imports torch.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.ao.quantization import HistogramObserver, QConfig, QConfigMapping
from torch.ao.quantization import get_default_qconfig_mapping as default_mapping
from torch.ao.quantization.fx.custom_config import PrepareCustomConfig
from torch.ao.quantization.fx.tracer import QuantizationTracer
from torch.ao.quantization.observer import (
    MinMaxObserver,
    PerChannelMinMaxObserver,
)
from torch.ao.quantization.qconfig import per_channel_dynamic_qconfig
from torch.ao.quantization.quantize_fx import (
    convert_fx,
    convert_to_reference_fx,
    prepare_fx,
)
from torch.fx import GraphModule, Node

from edgekit.calibrate.statistics import Range
from edgekit.errors import ConversionError
from edgekit.pytorch.export import quiet_warnings, users_line
from edgekit.pytorch.extremes import ExtremesObserver, SampleExtremes, set_ranges
from edgekit.pytorch.fx_faults import called_modules, shield, unsound
from edgekit.pytorch.fx_relu6 import relu6_to_relu, relu_to_relu6
from edgekit.pytorch.fx_weights import PAIRING, PairSafeChannels, PairSafeTensor
from edgekit.pytorch.modules import Treatment, leaf_modules
from edgekit.runtimes.cause import condensed_cause

_TRANSPOSED = (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)


@dataclass(frozen=True)
class Prepared:
    """A float graph with observers. ``observers`` are by the name of the module, function or input
    whose output they watch; ``ends`` names those of the model's inputs and outputs; ``called`` are
    the modules that the model calls."""

    graph: GraphModule
    observers: Mapping[str, SampleExtremes]
    ends: frozenset[str]
    engine: str
    called: frozenset[str]


def prepare(
    module: torch.nn.Module,
    examples: tuple[torch.Tensor, ...],
    input_names: tuple[str, ...],
    engine: str,
    found: Mapping[str, Treatment],
    *,
    per_channel: bool,
) -> Prepared:
    """``module``, which stays as it is, as a graph to calibrate for ``engine``.

    Raises:
        ConversionError: it has no graph of one path; cause, source line and a way out are told.
    """
    found = {**found, **dict.fromkeys(unsound(module), Treatment(method="float"))}
    apart = left_whole(module, found)
    with quiet_warnings():
        graph_module = _graph(copy.deepcopy(module), apart)
        called = called_modules(graph_module)
        saturating = relu6_to_relu(graph_module)
        mapping = _mapping(engine, found, per_channel)
        left_out = {name for name, treatment in found.items() if treatment.method == "float"}
        whole = apart + shield(graph_module, left_out)
        custom = PrepareCustomConfig().set_non_traceable_module_names(whole)
        prepared = prepare_fx(graph_module, mapping, examples, prepare_custom_config=custom)
    relu_to_relu6(prepared, saturating)
    observers = _observers(prepared, input_names)
    return Prepared(prepared, observers, _ends(prepared, observers), engine, called)


def convert(prepared: Prepared, ranges: Mapping[str, Range]) -> GraphModule:
    """The INT8 module; its weights are packed for the engine set in torch meanwhile."""
    with quiet_warnings():
        return convert_fx(_with_ranges(prepared, ranges))


def reference(prepared: Prepared, ranges: Mapping[str, Range]) -> GraphModule:
    """The same arithmetic in float: every quantized tensor is quantized and dequantized again."""
    with quiet_warnings():
        return convert_to_reference_fx(_with_ranges(prepared, ranges))


def left_whole(module: torch.nn.Module, found: Mapping[str, Treatment]) -> list[str]:
    """The containers in which every leaf stays float: their code needs no graph."""
    leaves = [leaf.name for leaf in leaf_modules(module)]
    whole: list[str] = []
    for name, child in module.named_modules():
        if not name or not any(True for _ in child.children()):
            continue
        inside = [leaf for leaf in leaves if leaf.startswith(f"{name}.")]
        left = all(leaf in found and found[leaf].method == "float" for leaf in inside)
        if inside and left and not any(name.startswith(f"{outer}.") for outer in whole):
            whole.append(name)
    return whole


def _graph(module: torch.nn.Module, apart: list[str]) -> GraphModule:
    try:
        return GraphModule(module, QuantizationTracer(apart, []).trace(module))
    except Exception as error:  # the model's own code runs here: it may raise anything
        place = users_line(error)
        where = f" at {place}" if place else ""
        kind = type(error).__name__
        way_out = (
            "leave the module it is in out with quantize.modules (name: <its name>, method: float)"
        )
        if kind == "TraceError":
            raise ConversionError(
                f"FX: the model's path depends on its input{where}",
                hint="A graph has one path for all inputs. Where values decide: choose with "
                f"torch.where, or split the model there. Where sizes decide: {way_out}.",
            ) from error
        raise ConversionError(
            f"FX could not follow the model{where}: {condensed_cause(f'{kind}: {error}')}",
            hint=f"Rewrite that line with tensor operations, {way_out}, or use quantize.method: "
            "pt2e, which follows more of Python.",
        ) from error


def _mapping(engine: str, found: Mapping[str, Treatment], per_channel: bool) -> QConfigMapping:
    """Torch's own mapping for the engine, with our observers where it has histograms."""
    activation = ExtremesObserver.with_args(
        dtype=torch.quint8, qscheme=torch.per_tensor_affine, quant_min=0, quant_max=255
    )
    mapping = default_mapping(engine)
    mapping.set_global(_config(activation, _weights(engine, 8, per_channel)))
    for pattern, config in mapping.object_type_qconfigs.items():
        # An observer, or a partial one in a wrapper of torch's.
        watching = getattr(config, "activation", None)
        watching = getattr(getattr(watching, "p", None), "func", watching)
        if config is None or watching is not HistogramObserver:
            continue
        weight = config.weight
        if pattern in _TRANSPOSED and engine in PAIRING:
            weight = _observer(MinMaxObserver, torch.per_tensor_symmetric, bits=7)
        mapping.set_object_type(pattern, _config(activation, weight))
    for name, treatment in found.items():
        if treatment.method == "float":
            mapping.set_module_name(name, None)
        elif treatment.method == "dynamic":
            mapping.set_module_name(name, per_channel_dynamic_qconfig)
        elif treatment.weight_bits is not None:
            weight = _weights(engine, treatment.weight_bits, per_channel)
            mapping.set_module_name(name, _config(activation, weight))
    return mapping


def _config(activation: Any, weight: Any) -> QConfig:
    return QConfig(activation=activation, weight=weight)  # type: ignore[no-untyped-call]


def _weights(engine: str, bits: int, per_channel: bool) -> Any:
    scheme = torch.per_channel_symmetric if per_channel else torch.per_tensor_symmetric
    if engine in PAIRING:
        kind: Any = PairSafeChannels if per_channel else PairSafeTensor
        return _observer(kind, scheme, bits).with_args(pairing=PAIRING[engine])
    return _observer(PerChannelMinMaxObserver if per_channel else MinMaxObserver, scheme, bits)


def _observer(kind: Any, scheme: torch.qscheme, bits: int) -> Any:
    top = 2 ** (bits - 1) - 1
    # Weights are stored as int8 and clamped as such: fewer bits keep to theirs only where the
    # largest weight falls on the last step, which it does not between -top - 1 and top.
    low = -top if bits < 8 else -top - 1
    return kind.with_args(dtype=torch.qint8, qscheme=scheme, quant_min=low, quant_max=top)


def _observers(prepared: GraphModule, input_names: tuple[str, ...]) -> dict[str, SampleExtremes]:
    """Each observer once, though several nodes may share one, in the order of the graph."""
    named: dict[str, SampleExtremes] = {}
    inputs = iter(input_names)
    label = {
        node.name: next(inputs, node.name)
        for node in prepared.graph.nodes
        if node.op == "placeholder"
    }
    for node in prepared.graph.nodes:
        observer = _observing(node, prepared)
        if observer is None or any(observer is other for other in named.values()):
            continue
        watched = node.args[0]
        called = watched.op == "call_module"
        base = str(watched.target) if called else label.get(watched.name, watched.name)
        name = base
        count = 1
        while name in named:
            count += 1
            name = f"{base} ({count})"
        named[name] = observer
    return named


def _ends(prepared: GraphModule, observers: Mapping[str, SampleExtremes]) -> frozenset[str]:
    watching = []
    for node in prepared.graph.nodes:
        if node.op == "placeholder":
            watching += [_observing(user, prepared) for user in node.users]
        elif node.op == "output":
            watching += [_observing(source, prepared) for source in node.all_input_nodes]
    return frozenset(
        name for name, observer in observers.items() if any(observer is other for other in watching)
    )


def _observing(node: Node, prepared: GraphModule) -> SampleExtremes | None:
    if node.op != "call_module":
        return None
    module = prepared.get_submodule(str(node.target))
    return module if isinstance(module, SampleExtremes) else None


def _with_ranges(prepared: Prepared, ranges: Mapping[str, Range]) -> GraphModule:
    graph = copy.deepcopy(prepared.graph)
    modules = dict(graph.named_modules(remove_duplicate=False))
    original = dict(prepared.graph.named_modules(remove_duplicate=False))
    names = {id(observer): name for name, observer in prepared.observers.items()}
    for path, module in modules.items():
        if isinstance(module, SampleExtremes):
            set_ranges({"": module}, {"": ranges[names[id(original[path])]]})
    return graph
