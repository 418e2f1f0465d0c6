"""Which nodes of a float ONNX graph a recipe's rules leave float.

A rule names layers as reports do, by a node's name; a glob may match a path above it
(``/features/1``) or the name of a tensor that the node makes. ``type`` is an operator's name, such
as ``Conv``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from edgekit.errors import RecipeError
from edgekit.onnx.ops import listed
from edgekit.recipe.nearest import did_you_mean, nearest
from edgekit.recipe.schema import ModuleRule

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM"})


def kept_float(model: Any, rules: Sequence[ModuleRule], made: str) -> dict[str, str]:
    """The reason by node name, for every node that ``rules`` leave float; of several rules that
    match one, the last counts. ``made`` is what the method makes: ``static`` or ``dynamic``.

    Raises:
        RecipeError: a rule matches no node, or asks for more than float.
    """
    found: dict[str, str] = {}
    for index, rule in enumerate(rules):
        shown = f"quantize.modules[{index}]"
        if rule.weight_bits is not None or rule.method not in ("float", made):
            raise RecipeError(
                f"{shown}: of an ONNX model, modules are left float or made {made} here, no more",
                hint="write method: float, and no weight_bits",
            )
        matched = [node for node in model.graph.node if _matches(rule, node, model)]
        if not matched:
            raise _matches_nothing(shown, rule, model)
        for node in matched:
            if rule.method == "float":
                found[node.name] = f"the recipe leaves it out ({shown})"
            else:
                found.pop(node.name, None)
    return found


def _matches(rule: ModuleRule, node: Any, model: Any) -> bool:
    if rule.name is not None and not _name_matches(rule.name, node):
        return False
    if rule.type is not None and not fnmatchcase(node.op_type, rule.type):
        return False
    if rule.place is not None:
        weighted = [other.name for other in model.graph.node if _has_weights(other, model)]
        return bool(weighted) and node.name == weighted[0 if rule.place == "first" else -1]
    return True


def _name_matches(glob: str, node: Any) -> bool:
    return any(
        fnmatchcase(name, pattern)
        for name in (node.name, *node.output)
        for pattern in (glob, f"{glob}/*")
    )


def _has_weights(node: Any, model: Any) -> bool:
    constants = {tensor.name for tensor in model.graph.initializer}
    return node.op_type in _WEIGHTED and any(name in constants for name in node.input[1:])


def _matches_nothing(shown: str, rule: ModuleRule, model: Any) -> RecipeError:
    wanted = ", ".join(
        f"{key} {value!r}"
        for key in ("name", "type", "place")
        if (value := getattr(rule, key)) is not None
    )
    if rule.name is None:
        hint = did_you_mean(rule.type or "", sorted({node.op_type for node in model.graph.node}))
    else:
        names = [node.name for node in model.graph.node]
        near = nearest(rule.name, names)
        hint = did_you_mean(rule.name, names) if near else f"nodes are called {listed(names)}"
    return RecipeError(f"{shown} matches no operator of the model ({wanted})", hint=hint)
