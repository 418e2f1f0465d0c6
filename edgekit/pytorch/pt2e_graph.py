"""What PT2E needs to know of an exported graph: whose nodes are whose, and shared weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch.fx import GraphModule, Node

from edgekit.pytorch.modules import ModuleName, Treatment

# "conv@1": the second call of the module conv.
_CALL = re.compile(r"@\d+")
_NORM = (
    torch.ops.aten.batch_norm.default,
    torch.ops.aten._native_batch_norm_legit_no_training.default,
)


def module_path(node: Node, prefix: str = "") -> str:
    """Dotted name of the innermost module ``node`` came from, without ``prefix``; "" at the top."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return ""
    name = _CALL.sub("", stack[-1][0])
    if f"{name}." == prefix:  # the model that was wrapped
        return ""
    return name[len(prefix) :] if name.startswith(prefix) else name


def weight_owners(node: Node, prefix: str = "") -> set[str]:
    """The modules whose tensors of two axes or more ``node`` reads, observed or not; they may lie
    below the module it came from."""
    owners = set()
    for source in node.all_input_nodes:
        if source.op == "call_module" and source.all_input_nodes:  # an observer
            source = source.all_input_nodes[0]
        if source.op == "get_attr" and getattr(source.meta.get("val"), "ndim", 0) > 1:
            owner = str(source.target).rpartition(".")[0]
            owners.add(owner[len(prefix) :] if owner.startswith(prefix) else owner)
    return owners


def module_type(node: Node) -> str:
    """Class name of that module."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return ""
    kind = stack[-1][1]
    return kind.__name__ if isinstance(kind, type) else str(kind).rsplit(".", 1)[-1]


def is_stored(node: Node) -> bool:
    """Whether ``node`` is a parameter, a buffer or another constant, not an input of the model.

    ``torch.export`` calls them ``p_``, ``b_`` and ``c_``.
    """
    return node.op == "get_attr" or (
        node.op == "placeholder" and str(node.target).startswith(("p_", "b_", "c_"))
    )


def graph_modules(graph: torch.fx.Graph) -> tuple[ModuleName, ...]:
    """The modules that operators come from, for a program whose modules are gone."""
    types: dict[str, str] = {}
    weighted: set[str] = set()
    for node in graph.nodes:
        path = module_path(node)
        if node.op == "call_function" and path:
            types.setdefault(path, module_type(node))
            if any(_is_weight(arg) for arg in node.all_input_nodes):
                weighted.add(path)
    return tuple(ModuleName(name, kind, name in weighted) for name, kind in types.items())


def with_containers(found: Mapping[str, Treatment], leaves: Iterable[str]) -> dict[str, Treatment]:
    """``found``, and what all ``leaves`` of a container share as the treatment of the container.

    It holds for operators between the leaves, and for those of a container that reads the weights
    of its leaves itself, as ``nn.MultiheadAttention`` does.
    """
    held: dict[str, list[Treatment]] = {}
    for leaf in leaves:
        parts = leaf.split(".")
        for count in range(1, len(parts)):
            held.setdefault(".".join(parts[:count]), []).append(found.get(leaf, Treatment()))
    shared = {
        name: inside[0]
        for name, inside in held.items()
        if len({(one.method, one.weight_bits) for one in inside}) == 1 and inside[0].rule
    }
    return {**shared, **found}


class Treated:
    """The treatment of an operator by the rules on modules."""

    def __init__(self, found: Mapping[str, Treatment], prefix: str = "") -> None:
        self._found = found
        self._prefix = prefix

    def of(self, node: Node) -> Treatment:
        return self._found.get(module_path(node, self._prefix), Treatment())


def unshare_weights(module: GraphModule) -> None:
    """Give operators that share a weight one each, in place, where a norm is folded into any.

    torchao 0.18 folds the first norm into the shared weight and drops the others unseen; of a block
    that is called twice the second call also loses the bias that folding makes.
    """
    for node in list(module.graph.nodes):
        if node.op != "get_attr" or len(node.users) < 2:
            continue
        users = [user for user in node.users if user.args[1:2] == (node,)]
        if not any(map(_feeds_norm, users)):
            continue
        for number, user in enumerate(users[1:], start=2):
            _give_own(module, user, number)
    module.recompile()


def _give_own(module: GraphModule, user: Node, number: int) -> None:
    for position in (1, 2):
        shared = user.args[position] if len(user.args) > position else None
        if not isinstance(shared, Node) or shared.op != "get_attr":
            continue
        owner, _, name = str(shared.target).rpartition(".")
        own = f"{name}_{number}"
        holder = module.get_submodule(owner)
        tensor = getattr(holder, name).detach().clone()
        holder.register_parameter(own, torch.nn.Parameter(tensor, requires_grad=False))
        with module.graph.inserting_before(user):
            copy = module.graph.get_attr(f"{owner}.{own}" if owner else own)
        copy.meta = dict(shared.meta)
        user.update_arg(position, copy)


def _feeds_norm(node: Node) -> bool:
    return any(user.target in _NORM for user in node.users)


def _is_weight(node: Node) -> bool:
    value = node.meta.get("val")
    return is_stored(node) and getattr(value, "ndim", 0) > 1
