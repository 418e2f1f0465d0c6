"""Where torch's INT8 kernels are wrong, and what became of each module of an FX graph.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log10
from typing import Any

import torch
from torch.fx import GraphModule, Node

from edgekit.errors import ConversionError, RecipeError
from edgekit.pytorch.modules import ModuleName, Treatment
from edgekit.pytorch.script import Example

PRELU = "torch's INT8 PReLU is wrong on every engine"
_SHIELDED: dict[type[torch.nn.Module], type[torch.nn.Module]] = {
    kind: type(kind.__name__, (kind,), {"__module__": __name__})
    for kind in (
        torch.nn.PReLU,
        torch.nn.LeakyReLU,
        torch.nn.ELU,
        torch.nn.Hardswish,
        torch.nn.Hardsigmoid,
        torch.nn.Sigmoid,
        torch.nn.Tanh,
        torch.nn.Softmax,
        torch.nn.LayerNorm,
        torch.nn.InstanceNorm1d,
        torch.nn.InstanceNorm2d,
        torch.nn.InstanceNorm3d,
    )
}
"""What FX computes in INT8 between INT8 layers, with or without a configuration (torch 2.13), and
the same by a type that it does not know: it goes by the exact one."""


@dataclass(frozen=True)
class Fault:
    """The module that is furthest from its own reference on the inputs it is given, in dB."""

    name: str
    type: str
    sqnr_db: float

    def __str__(self) -> str:
        return f"most at {self.name}, a {self.type}: {self.sqnr_db:.1f} dB"


def unsound(model: torch.nn.Module) -> dict[str, str]:
    """Modules that must stay float whatever the engine, with the reason."""
    return {
        name: PRELU for name, module in model.named_modules() if isinstance(module, torch.nn.PReLU)
    }


def shield(model: torch.nn.Module, left_out: Container[str]) -> list[str]:
    """Keep FX off the modules of ``model`` whose names are in ``left_out``, in place; the names of
    those that it would have taken all the same."""
    names = []
    for name, module in model.named_modules():
        if name in left_out and type(module) in _SHIELDED:
            module.__class__ = _SHIELDED[type(module)]
            names.append(name)
    return names


def worst_module(
    reference: GraphModule, int8: GraphModule, examples: Sequence[Example]
) -> Fault | None:
    """The fault of ``int8``, each module compared on its own inputs: what came before it does not
    count. ``None`` where no module is called on tensors alone. The engine must be set in torch."""
    powers: dict[str, list[float]] = {}

    def watch(name: str) -> Any:
        def hook(module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if all(isinstance(value, torch.Tensor) for value in (*inputs, output)):
                wanted = reference.get_submodule(name)(*(_float(value) for value in inputs))
                pair = powers.setdefault(name, [0.0, 0.0])
                pair[0] += float(wanted.double().square().sum())
                pair[1] += float((wanted - _float(output)).double().square().sum())

        return int8.get_submodule(name).register_forward_hook(hook)

    known = dict(reference.named_modules())
    hooks = [watch(name) for name in sorted(_called(int8)) if name in known]
    try:
        with torch.inference_mode():
            for tensors in examples:
                int8(*tensors)
    finally:
        for hook in hooks:
            hook.remove()
    ratios = {name: noise / power for name, (power, noise) in powers.items() if power}
    if not ratios:
        return None
    name = max(ratios, key=lambda key: ratios[key])
    level = -10 * log10(ratios[name]) if ratios[name] else inf
    return Fault(name, type(known[name]).__name__, level)


def disagreement(
    refused: Mapping[str, str], faults: Sequence[Fault], version: str
) -> ConversionError:
    """That no engine of ``refused`` (by name, how far off) can be trusted, and a way out."""
    listed = "; ".join(f"{engine} ({how})" for engine, how in refused.items())
    names = dict.fromkeys(fault.name for fault in faults)
    rules = ", ".join(f"{{name: {name}, method: float}}" for name in names)
    return ConversionError(
        f"this machine's torch {version} does not compute what its own quantize/dequantize "
        f"reference says: {listed}",
        hint=(f"Leave it float: quantize.modules: [{rules}]; or choose " if rules else "Choose ")
        + ("another quantize.backend, or " if len(refused) == 1 else "")
        + "quantize.method: pt2e.",
    )


def called_modules(graph: GraphModule) -> frozenset[str]:
    """Names of the modules that the graph calls, or reads a tensor of."""
    reads = {str(n.target).rpartition(".")[0] for n in graph.graph.nodes if n.op == "get_attr"}
    return _called(graph) | reads


def refuse_unmet(
    leaves: Sequence[ModuleName],
    asked: Mapping[str, Treatment],
    reasons: Mapping[str, str],
) -> None:
    """What a rule wants in INT8 must be so. A rule for a whole container may cover
    an activation on the way that is not; one that covers nothing else is a mistake too. ``reasons``
    are why modules are float.

    Raises:
        RecipeError: a rule asks for what was not made.
    """
    wanted = {
        leaf: asked[leaf.name]
        for leaf in leaves
        if leaf.name in asked
        and asked[leaf.name].method != "float"
        and (asked[leaf.name].method is not None or asked[leaf.name].weight_bits is not None)
    }
    useful = {rule.rule for leaf, rule in wanted.items() if leaf.name not in reasons}
    for leaf, treatment in wanted.items():
        if leaf.name in reasons and (leaf.weighted or treatment.rule not in useful):
            raise RecipeError(
                f"{treatment.rule} asks for INT8 for {leaf.name} ({leaf.type}): "
                f"{reasons[leaf.name]}",
                hint="Leave this module out of the rule, or choose quantize.method: pt2e, or "
                "dynamic for recurrent layers and embeddings.",
            )


def float_reasons(
    int8: GraphModule,
    leaves: Sequence[ModuleName],
    found: Mapping[str, Treatment],
    unsound: Mapping[str, str],
    called: frozenset[str],
) -> dict[str, str]:
    """Why each leaf that ``int8`` computes in float does so, by name. ``called`` are the modules
    that the float graph called; of those, what was fused into another has no reason."""
    on_float = _called_on_float(int8)
    reasons = {}
    for leaf in leaves:
        treatment = found.get(leaf.name)
        if not any(leaf.name == name or leaf.name.startswith(f"{name}.") for name in called):
            reasons[leaf.name] = "the model does not call it"
        elif treatment is not None and treatment.method == "float":
            reasons[leaf.name] = f"the recipe leaves it out ({treatment.rule})"
        elif leaf.name in unsound:
            reasons[leaf.name] = unsound[leaf.name]
        elif any(leaf.name == name or leaf.name.startswith(f"{name}.") for name in on_float):
            bits = treatment.weight_bits if treatment is not None else None
            with_bits = f" with weights of {bits} bits" if bits is not None else ""
            reasons[leaf.name] = f"FX has no static INT8 kernel for {leaf.type}{with_bits}"
    return reasons


def _called(graph: GraphModule) -> frozenset[str]:
    return frozenset(str(node.target) for node in graph.graph.nodes if node.op == "call_module")


def _called_on_float(int8: GraphModule) -> frozenset[str]:
    """Modules without packed weights that are given float tensors."""
    in_int8: set[Node] = set()
    on_float = set()
    for node in int8.graph.nodes:
        if node.op == "call_module" and _packed(int8.get_submodule(str(node.target))):
            if ".dynamic" not in type(int8.get_submodule(str(node.target))).__module__:
                in_int8.add(node)
        elif node.target is torch.quantize_per_tensor:
            in_int8.add(node)
        elif node.target == "dequantize":
            continue
        elif any(before in in_int8 for before in node.all_input_nodes):
            in_int8.add(node)
        elif node.op == "call_module":
            on_float.add(str(node.target))
    return frozenset(on_float)


def _packed(module: torch.nn.Module) -> bool:
    return ".quantized" in type(module).__module__


def _float(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.dequantize() if tensor.is_quantized else tensor
