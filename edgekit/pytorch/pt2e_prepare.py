"""PT2E before and after calibration: a graph with observers, and the INT8 graph it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.observer import _is_activation_post_process
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import Quantizer
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.pytorch.export import quiet_warnings
from edgekit.pytorch.modules import ModuleName, Treatment, kept_float
from edgekit.pytorch.pt2e_graph import (
    Treated,
    module_path,
    unshare_weights,
    weight_owners,
    with_containers,
)
from edgekit.pytorch.pt2e_inductor import inductor_quantizer
from edgekit.pytorch.pt2e_observers import ActivationExtremes
from edgekit.pytorch.pt2e_rules import Reached, refuse_ignored, why_float
from edgekit.pytorch.pt2e_specs import Specs
from edgekit.pytorch.pt2e_xnnpack import SymmetricQuantizer
from edgekit.runtimes.cause import condensed_cause


@dataclass(frozen=True)
class Prepared:
    """A graph whose activations are observed. ``observers`` are by the name of the module that made
    the tensor, ``ends`` those of the model's inputs and outputs, ``kept_float`` why by module."""

    graph: GraphModule
    observers: dict[str, ActivationExtremes]
    ends: frozenset[str]
    kept_float: dict[str, str]


def prepare(
    program: torch.export.ExportedProgram,
    backend: str,
    modules: tuple[ModuleName, ...],
    found: Mapping[str, Treatment],
    *,
    per_channel: bool,
    prefix: str = "",
) -> Prepared:
    """Fold batch norms, annotate for ``backend`` (xnnpack, x86, arm) and put the observers in.

    ``modules`` are the model's, ``found`` their treatments; the graph's own names of them begin
    with ``prefix``.

    Raises:
        RecipeError: a treatment that the backend has no kernels for, or that reaches nothing.
        ConversionError: torchao refused the graph, or nothing in it can be quantized.
    """
    graph = program.module(check_guards=False)
    unshare_weights(graph)
    treated = with_containers(found, [module.name for module in modules])
    specs = Specs(unsigned=backend == "x86", per_channel=per_channel)
    quantizer: Quantizer = (
        SymmetricQuantizer(specs, Treated(treated, prefix).of)
        if backend == "xnnpack"
        else inductor_quantizer(backend, specs, treated)
    )
    with captured_output(), quiet_warnings():
        try:
            graph = prepare_pt2e(graph, quantizer)
        except Exception as error:  # AssertionError, NotImplementedError and more
            raise _refused("prepare", error) from error
    observers, ends = _observed(graph, prefix)
    reached = _reached(graph, prefix)
    if not reached.weighted:
        raise ConversionError(
            f"PT2E found nothing to quantize for {backend}",
            hint="It quantizes convolutions and linear layers; see quantize.modules in the recipe.",
        )
    refuse_ignored(modules, found, reached, backend)
    return Prepared(graph, observers, ends, _kept_float(modules, found, reached, backend))


def convert(
    prepared: Prepared, examples: tuple[torch.Tensor, ...], *, fold_weights: bool = True
) -> GraphModule:
    """The INT8 graph. Ranges are set; ``prepared`` is used up.

    Weights are stored as int8, or, without ``fold_weights``, float with the operator behind them
    that quantizes them.

    Raises:
        ConversionError: torchao refused the graph.
    """
    with captured_output(), quiet_warnings(), torch.no_grad():
        prepared.graph(*examples)  # lets the observers of weights look, if nothing ran yet
        try:
            converted: GraphModule = convert_pt2e(prepared.graph, fold_quantize=fold_weights)
        except Exception as error:  # as in prepare
            raise _refused("convert", error) from error
    return converted


def _observed(
    graph: GraphModule, prefix: str
) -> tuple[dict[str, ActivationExtremes], frozenset[str]]:
    """Observers by a readable name, and the names of those at the model's inputs and outputs."""
    observers: dict[str, ActivationExtremes] = {}
    names: dict[int, str] = {}
    ends: set[str] = set()
    for node in graph.graph.nodes:
        observer = _observer(graph, node)
        if not isinstance(observer, ActivationExtremes):
            continue
        if id(observer) not in names:
            names[id(observer)] = _unique(_tensor_name(node.args[0], prefix), observers)
            observers[names[id(observer)]] = observer
        fed = node.args[0].op == "placeholder"
        if fed or any(user.op == "output" for user in node.users):
            ends.add(names[id(observer)])
    return observers, frozenset(ends)


def _reached(graph: GraphModule, prefix: str) -> Reached:
    """What the annotations and observers of a prepared graph come to, module by module."""
    readers: dict[str, str] = {}
    called, annotated, weighted = set[str](), set[str](), set[str]()
    for node in graph.graph.nodes:
        if node.op != "call_function":
            continue
        path = module_path(node, prefix)
        owners = weight_owners(node, prefix)
        readers.update(dict.fromkeys(owners, path))
        called |= {path, *owners}
        annotation = node.meta.get(Q_ANNOTATION_KEY)
        if annotation and (annotation.input_qspec_map or annotation.output_qspec):
            annotated.add(path)
        if _has_int8_weight(node):
            weighted |= {path, *owners}
    return Reached(frozenset(called), frozenset(annotated), frozenset(weighted), readers)


def _kept_float(
    modules: Iterable[ModuleName], found: Mapping[str, Treatment], reached: Reached, backend: str
) -> dict[str, str]:
    """Why each module with weights is float, under the name that its operators have."""
    excluded = kept_float(dict(found))
    reasons: dict[str, str] = {}
    for module in modules:
        if not module.weighted or module.name in reached.weighted:
            continue
        name = reached.readers.get(module.name) or module.name
        reasons[name] = excluded.get(module.name) or why_float(module, reached, backend)
    return reasons


def _observer(graph: GraphModule, node: Node) -> torch.nn.Module | None:
    if node.op != "call_module":
        return None
    module = graph.get_submodule(str(node.target))
    return module if _is_activation_post_process(module) else None


def _has_int8_weight(node: Node) -> bool:
    """Whether the second operand of ``node`` is an observed parameter."""
    weight = node.args[1] if node.op == "call_function" and len(node.args) > 1 else None
    return (
        isinstance(weight, Node)
        and weight.op == "call_module"
        and isinstance(weight.args[0], Node)
        and weight.args[0].op == "get_attr"
        and getattr(weight.args[0].meta.get("val"), "ndim", 0) > 1
    )


def _tensor_name(node: Node, prefix: str) -> str:
    return node.name if node.op == "placeholder" else module_path(node, prefix) or node.name


def _unique(base: str, taken: Iterable[str]) -> str:
    name, number, used = base, 1, set(taken)
    while name in used:
        number += 1
        name = f"{base}:{number}"
    return name


def _refused(step: str, error: Exception) -> ConversionError:
    return ConversionError(
        f"torchao could not {step} the graph: "
        f"{condensed_cause(f'{type(error).__name__}: {error}')}",
        hint="Leave the module that it names float: quantize.modules, method: float.",
    )
