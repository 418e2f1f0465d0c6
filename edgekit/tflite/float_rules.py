"""Which operators of a float graph a recipe's rules leave float, and which get other ranges.

A rule names layers as ``inspect`` and reports do, by the name of an operator's first output.
TensorFlow joins the names of all that went into an operator with ``;``: a glob may match any of
them, or a path above one (``model/front``); the count behind a name that several operators have
(``model/front:2``) may be left out. ``type`` is an operator's name, such as ``CONV_2D``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from edgekit.errors import RecipeError
from edgekit.recipe.nearest import did_you_mean
from edgekit.recipe.schema import ModuleRule
from edgekit.tflite.graph import Graph, Op

_SHOWN = 5


def kept_float(graph: Graph, rules: Sequence[ModuleRule]) -> dict[str, str]:
    """The reason by layer, for every operator on float activations that ``rules`` leave float; of
    several rules that match one and give a method, the last counts.

    Raises:
        RecipeError: a rule matches no operator, or asks for more than float.
    """
    found: dict[str, str] = {}
    for shown, rule, matched in _matched(graph, rules):
        for op in matched:
            if rule.method == "float":
                found[graph.layer(op)] = f"the recipe leaves it out ({shown})"
            elif rule.method == "static":
                found.pop(graph.layer(op), None)
    return found


def estimators_apart(graph: Graph, rules: Sequence[ModuleRule]) -> dict[str, str]:
    """The estimator by tensor, for what the operators give out that ``rules`` have one for; of
    several rules that match one and give an estimator, the last counts.

    Raises:
        RecipeError: as ``kept_float``.
    """
    return {
        graph.tensors[index].name: rule.estimator
        for _, rule, matched in _matched(graph, rules)
        for op in matched
        for index in op.outputs
        if rule.estimator is not None
    }


def _matched(
    graph: Graph, rules: Sequence[ModuleRule]
) -> Iterator[tuple[str, ModuleRule, list[Op]]]:
    """Each rule as messages name it, and the operators it means."""
    for index, rule in enumerate(rules):
        shown = f"quantize.modules[{index}]"
        if rule.weight_bits is not None or rule.method not in (None, "float", "static"):
            raise RecipeError(
                f"{shown}: of a float .tflite, modules are left float or made static, no more",
                hint="write method: float or an estimator, and no weight_bits",
            )
        matched = [op for op in graph.ops if _matches(rule, op, graph)]
        if not matched:
            raise _matches_nothing(shown, rule, graph)
        yield shown, rule, matched


def _matches(rule: ModuleRule, op: Op, graph: Graph) -> bool:
    if not any(tensor.dtype == "float32" for tensor in graph.activations(op)):
        return False
    if rule.name is not None and not _name_matches(rule.name, graph.layer(op)):
        return False
    if rule.type is not None and not fnmatchcase(op.name, rule.type):
        return False
    if rule.place is not None:
        weighted = [other.index for other in graph.ops if other.macs]
        return bool(weighted) and op.index == weighted[0 if rule.place == "first" else -1]
    return True


def _name_matches(glob: str, layer: str) -> bool:
    return any(
        fnmatchcase(name, pattern)
        for name in (layer, *layer.split(";"))
        for pattern in (glob, f"{glob}/*", f"{glob}:*")
    )


def _matches_nothing(shown: str, rule: ModuleRule, graph: Graph) -> RecipeError:
    wanted = ", ".join(
        f"{key} {value!r}"
        for key in ("name", "type", "place")
        if (value := getattr(rule, key)) is not None
    )
    if rule.name is None:
        hint = did_you_mean(rule.type or "", sorted({op.name for op in graph.ops}))
    else:
        layers = sorted(_paths(graph))
        near = did_you_mean(rule.name, layers)
        few = f"layers are called {', '.join(layers[:_SHOWN])}, ..."
        hint = near if near is not None and len(near) < 400 else few
    return RecipeError(f"{shown} matches no operator of the model ({wanted})", hint=hint)


def _paths(graph: Graph) -> set[str]:
    """The first part of every layer's name, and the paths above it, from the second on."""
    names = {graph.layer(op).split(";")[0].partition(":")[0] for op in graph.ops}
    above = {name.rpartition("/")[0] for name in names if "/" in name}
    return {name for name in names | above if name}
