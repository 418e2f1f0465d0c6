"""Which modules a recipe's rules mean, and how each is to be treated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from edgekit.errors import RecipeError
from edgekit.recipe.nearest import did_you_mean
from edgekit.recipe.schema import ModuleRule

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ModuleName:
    """A leaf module: dotted name, empty where it is the model itself; class name, whether it has
    weights that can be quantized."""

    name: str
    type: str
    weighted: bool


@dataclass(frozen=True)
class Treatment:
    """What the rules say of one module; ``None`` leaves the method its own way."""

    method: Literal["float", "static", "dynamic"] | None = None
    weight_bits: int | None = None
    rule: str = ""
    """The rules that said so, for reports."""


def leaf_modules(module: torch.nn.Module) -> tuple[ModuleName, ...]:
    """The modules without children, in order of registration. A shared module counts once; a model
    that is a layer itself is its only one.

    A module with weights whose weight has one axis only (a norm) is not ``weighted``.
    """
    return tuple(
        ModuleName(name, type(leaf).__name__, _weighted(leaf))
        for name, leaf in module.named_modules()
        if not any(True for _ in leaf.children())
    )


def treatments(modules: Sequence[ModuleName], rules: Sequence[ModuleRule]) -> dict[str, Treatment]:
    """The treatment of every module that a rule matches, by name; later rules win key by key.

    A glob on a container's name (``features.0``) means all that is in it.

    Raises:
        RecipeError: a rule matches no module; the nearest names are told.
    """
    found: dict[str, Treatment] = {}
    for index, rule in enumerate(rules):
        matched = [module for module in modules if _matches(rule, module, modules)]
        if not matched:
            raise _matches_nothing(index, rule, modules)
        for module in matched:
            before = found.get(module.name, Treatment())
            found[module.name] = Treatment(
                method=rule.method or before.method,
                weight_bits=rule.weight_bits or before.weight_bits,
                rule=f"{before.rule}, {_shown(index)}" if before.rule else _shown(index),
            )
    return found


def kept_float(found: dict[str, Treatment]) -> dict[str, str]:
    """The reason of each module that the recipe leaves float, by name."""
    return {
        name: f"the recipe leaves it out ({treatment.rule})"
        for name, treatment in found.items()
        if treatment.method == "float"
    }


def _matches(rule: ModuleRule, module: ModuleName, modules: Sequence[ModuleName]) -> bool:
    if rule.name is not None and not _name_matches(rule.name, module.name):
        return False
    if rule.type is not None and not fnmatchcase(module.type, rule.type):
        return False
    if rule.place is not None:
        weighted = [other.name for other in modules if other.weighted]
        return bool(weighted) and module.name == weighted[0 if rule.place == "first" else -1]
    return True


def _name_matches(glob: str, name: str) -> bool:
    return fnmatchcase(name, glob) or fnmatchcase(name, f"{glob}.*")


def _matches_nothing(index: int, rule: ModuleRule, modules: Sequence[ModuleName]) -> RecipeError:
    wanted = ", ".join(
        f"{key} {value!r}"
        for key in ("name", "type", "place")
        if (value := getattr(rule, key)) is not None
    )
    known: Iterable[str] = {module.type for module in modules}
    if rule.name is not None:
        known = _with_containers(module.name for module in modules)
    hint = did_you_mean(rule.name or rule.type or "", sorted(filter(None, known)))
    return RecipeError(
        f"{_shown(index)} matches no module of the model ({wanted})",
        hint=hint if hint is None or len(hint) < 400 else f"{hint[:400]} ...",
    )


def _with_containers(names: Iterable[str]) -> set[str]:
    return {
        ".".join(parts[: count + 1])
        for parts in (name.split(".") for name in names)
        for count in range(len(parts))
    }


def _shown(index: int) -> str:
    return f"quantize.modules[{index}]"


def _weighted(leaf: Any) -> bool:
    return any(parameter.ndim > 1 for parameter in leaf.parameters(recurse=False))
