"""ReLU6 behind a convolution or linear layer, as the saturation of its INT8 output.

FX fuses ReLU into the layer before it, but not ReLU6: the layer's output is then quantized before
it is clipped, over a range of which most is thrown away. But a ReLU whose quantized range ends at 6
or below clips there by itself, exactly. So ReLU6 is written as ReLU for the fusion, and put back
inside the fused module, where it takes part in calibration and in the reference.

Imports torch.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch.fx import GraphModule, Node
from torch.nn import functional

_WEIGHTED = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Linear)
_NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)
_SUFFIX = "_relu"


def relu6_to_relu(graph_module: GraphModule) -> tuple[tuple[str, str], ...]:
    """Rewrite in place; the names of the layers whose ReLU6 is written as ReLU now, each with that
    of its ReLU."""
    rewritten = []
    modules = dict(graph_module.named_modules())
    calls = Counter(str(node.target) for node in graph_module.graph.nodes)
    for node in list(graph_module.graph.nodes):
        if not _is_relu6(node, modules):
            continue
        before = node.args[0]
        layer = _only_layer(before, modules)
        if layer is None or calls[layer] > 1:  # one ReLU cannot stand behind several calls
            continue
        name = f"{before.target}{_SUFFIX}"
        graph_module.add_submodule(name, torch.nn.ReLU().train(graph_module.training))
        with graph_module.graph.inserting_before(node):
            relu = graph_module.graph.call_module(name, (before,))
        node.replace_all_uses_with(relu)
        graph_module.graph.erase_node(node)
        rewritten.append((layer, name))
    graph_module.recompile()
    return tuple(rewritten)


def relu_to_relu6(prepared: GraphModule, rewritten: tuple[tuple[str, str], ...]) -> None:
    """Put ReLU6 back: into the fused module, or where FX did not fuse the two."""
    for layer, relu in rewritten:
        fused = prepared.get_submodule(layer)
        if isinstance(fused, torch.nn.Sequential):
            fused[1] = torch.nn.ReLU6()
        else:
            prepared.set_submodule(relu, torch.nn.ReLU6())


def _is_relu6(node: Node, modules: dict[str, torch.nn.Module]) -> bool:
    if len(node.args) < 1 or not isinstance(node.args[0], Node):
        return False
    if node.op == "call_module":
        module = modules.get(str(node.target))
        return isinstance(module, torch.nn.Hardtanh) and (
            (module.min_val, module.max_val) == (0.0, 6.0)
        )
    return node.op == "call_function" and node.target is functional.relu6


def _only_layer(node: Node, modules: dict[str, torch.nn.Module]) -> str | None:
    """The convolution or linear layer that ``node`` is, or whose batch norm it is, if nothing else
    reads it."""
    module = _called(node, modules)
    if isinstance(module, _NORMS) and len(node.users) == 1 and isinstance(node.args[0], Node):
        node = node.args[0]
        module = _called(node, modules)
        if not isinstance(module, _WEIGHTED[:3]):
            return None
    return str(node.target) if type(module) in _WEIGHTED and len(node.users) == 1 else None


def _called(node: Node, modules: dict[str, torch.nn.Module]) -> torch.nn.Module | None:
    return modules.get(str(node.target)) if node.op == "call_module" else None
