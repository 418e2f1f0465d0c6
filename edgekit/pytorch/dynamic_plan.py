"""What dynamic quantization does with each module of a model: how many bits, or why none.

A library says by ``find`` what it has a kernel for; the recipe's rules say what is wanted. Nothing
that was asked for is left out silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from edgekit.cache import content_key
from edgekit.errors import ConversionError, RecipeError
from edgekit.pytorch.modules import Treatment, kept_float, leaf_modules, treatments
from edgekit.recipe.schema import QuantizeSpec
from edgekit.sources.pytorch import torch_version
from edgekit.sources.source import SourceModel

if TYPE_CHECKING:
    import torch

FLOAT_TABLES = "float embeddings"
"""The alternative of a model whose tables are int8."""


class Kernel(Enum):
    """``MATMUL`` quantizes activations at run time and multiplies integers; ``TABLE`` looks rows
    of int8 up and makes them float."""

    MATMUL = "matmul"
    TABLE = "table"


@dataclass(frozen=True)
class Library:
    """``types`` are the names of those it can quantize, for messages; ``find`` gives a module's
    kernel, or says why there is none; ``bits`` are those that weights can have, and
    ``default_bits`` gives those of a matmul's."""

    name: str
    types: tuple[str, ...]
    find: Callable[[torch.nn.Module], Kernel | str]
    bits: tuple[int, ...]
    default_bits: Callable[[torch.nn.Module], int]


@dataclass(frozen=True)
class DynamicPlan:
    """By dotted module name: bits of the weights, or the reason to stay float. Weights of fewer
    than eight bits are stored in bytes all the same."""

    matmuls: Mapping[str, int]
    tables: Mapping[str, int]
    kept_float: Mapping[str, str]


def plan_modules(model: torch.nn.Module, options: QuantizeSpec, library: Library) -> DynamicPlan:
    """Decide on every module of ``model``. One that has several names goes by its first.

    Raises:
        RecipeError: a rule matches nothing, or asks for what ``library`` cannot do.
        ConversionError: there is nothing to quantize.
    """
    leaves = leaf_modules(model)
    treated = treatments(leaves, options.modules)
    found = {name: library.find(module) for name, module in model.named_modules()}
    _refuse_impossible(treated, library)
    _refuse_unknown(treated, found, {leaf.name: leaf.weighted for leaf in leaves}, model, library)
    excluded = kept_float(treated)
    matmuls: dict[str, int] = {}
    tables: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for name, module in model.named_modules():
        kernel, treatment = found[name], treated.get(name, Treatment())
        if name in excluded:
            if _has_weights(module):
                reasons[name] = excluded[name]
        elif isinstance(kernel, str):
            if _has_weights(module):
                reasons[name] = kernel
        elif kernel is Kernel.MATMUL:
            matmuls[name] = treatment.weight_bits or library.default_bits(module)
        elif options.embeddings or treatment.method == "dynamic":
            tables[name] = treatment.weight_bits or 8
        else:
            reasons[name] = "quantize.embeddings is false"
    if not matmuls and not tables:
        raise _nothing_to_do(reasons, library)
    return DynamicPlan(matmuls, tables, reasons)


def without_tables(plan: DynamicPlan) -> DynamicPlan | None:
    """``plan`` with float tables, where it has both kinds: what the tables alone are worth."""
    if not plan.tables or not plan.matmuls:
        return None
    why = dict.fromkeys(plan.tables, "float here, to compare with")
    return replace(plan, tables={}, kept_float={**plan.kept_float, **why})


def plan_key(model: SourceModel, plan: DynamicPlan, **settings: Any) -> str:
    """Of the file that ``plan`` and ``settings``, all else that decides about it, make of
    ``model``."""
    return content_key(
        {
            "model": model.fingerprint,
            "inputs": model.inputs,
            "outputs": model.outputs,
            "plan": asdict(plan),
            "torch": torch_version(),
            **settings,
        }
    )


def replace_modules(model: torch.nn.Module, made: Mapping[str, torch.nn.Module]) -> torch.nn.Module:
    """``model`` with the modules of these names replaced, in place, under all of their names."""
    if "" in made:
        return made[""]
    replaced = {model.get_submodule(name): module for name, module in made.items()}
    for parent in list(model.modules()):
        for child_name, child in list(parent._modules.items()):
            if child is not None and child in replaced:
                setattr(parent, child_name, replaced[child])
    return model


def shared_weights(model: torch.nn.Module, plan: DynamicPlan) -> tuple[str, ...]:
    """The modules of ``plan`` whose weights are one tensor, ``a, b`` each."""
    owners: dict[int, list[str]] = {}
    for name in (*plan.matmuls, *plan.tables):
        for parameter in model.get_submodule(name).parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    return tuple(dict.fromkeys(", ".join(names) for names in owners.values() if len(names) > 1))


def _has_weights(module: torch.nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))


def _refuse_impossible(treated: Mapping[str, Treatment], library: Library) -> None:
    for name, treatment in treated.items():
        if treatment.weight_bits not in (None, *library.bits):
            raise RecipeError(
                f"{treatment.rule} asks for weights of {treatment.weight_bits} bits for "
                f"{name or 'the model'}; "
                f"{library.name} makes {_listed([str(bits) for bits in library.bits])}",
                hint="Remove weight_bits from the rule, or choose quantize.method: dynamic.",
            )
        if treatment.method == "static":
            raise RecipeError(
                f"{treatment.rule} asks for static ranges for {name or 'the model'}, which "
                f"{library.name} does not use",
                hint="Remove the rule, or choose quantize.method: fx or pt2e and rules with "
                "'method: dynamic' there.",
            )


def _refuse_unknown(
    treated: Mapping[str, Treatment],
    found: Mapping[str, Kernel | str],
    weighted: Mapping[str, bool],
    model: torch.nn.Module,
    library: Library,
) -> None:
    """What a rule wants quantized must have a kernel. A rule for a whole container may cover an
    activation or a norm on the way; one that covers nothing else is a mistake too."""
    asked = {
        name: treatment
        for name, treatment in treated.items()
        if treatment.method == "dynamic" or treatment.weight_bits is not None
    }
    useful = {asked[name].rule for name in asked if isinstance(found[name], Kernel)}
    for name, treatment in asked.items():
        why = found[name]
        if isinstance(why, str) and (weighted[name] or treatment.rule not in useful):
            raise RecipeError(
                f"{treatment.rule} asks for INT8 for {name or 'the model'} "
                f"({type(model.get_submodule(name)).__name__}): {why}",
                hint=f"{library.name} quantizes {_listed(library.types)}. Leave this module out "
                "of the rule, or choose a static method (fx, pt2e).",
            )


def _nothing_to_do(reasons: Mapping[str, str], library: Library) -> ConversionError:
    shown = [f"{name or 'the model'}: {why}" for name, why in list(reasons.items())[:5]]
    more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return ConversionError(
        f"nothing in the model can be quantized dynamically ({'; '.join(shown)}{more})"
        if shown
        else "the model has no weights to quantize",
        hint=f"{library.name} quantizes {_listed(library.types)}. For convolutions choose a "
        "static method: fx, pt2e or litert_static.",
    )


def _listed(names: Sequence[Any]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else str(names[0])
