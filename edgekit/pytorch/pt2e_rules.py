"""The recipe's rules on modules, as far as PT2E can follow them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from edgekit.errors import RecipeError
from edgekit.pytorch.modules import ModuleName, Treatment, leaf_modules, treatments
from edgekit.pytorch.pt2e_graph import graph_modules
from edgekit.recipe.schema import ModuleRule
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind

_KERNELS = {
    "xnnpack": "linear layers, 1-D and 2-D convolutions and transposed 2-D convolutions",
    "x86": "linear layers and 2-D convolutions",
    "arm": "linear layers and 2-D convolutions",
}


def model_modules(
    source: SourceModel, program: torch.export.ExportedProgram
) -> tuple[ModuleName, ...]:
    """The modules that rules can name: of a program, those its operators remember."""
    if source.kind is ModelKind.EXPORTED_PROGRAM:
        return graph_modules(program.graph)
    return leaf_modules(source.value)


def static_treatments(
    modules: Sequence[ModuleName], rules: Sequence[ModuleRule], *, dynamic: bool = True
) -> dict[str, Treatment]:
    """As ``modules.treatments``; ``dynamic`` says whether modules may be quantized dynamically.

    Raises:
        RecipeError: a rule matches nothing, or asks for what PT2E cannot do.
    """
    found = treatments(modules, rules)
    for name, treatment in found.items():
        if treatment.method == "dynamic" and not dynamic:
            raise RecipeError(
                f"{treatment.rule}: {name} cannot be dynamic in a full-integer .tflite",
                hint="Write method: float or static, or take quantize.method pt2e.",
            )
    return found


@dataclass(frozen=True)
class Reached:
    """What preparing came to, by module name: ``called`` by the model, with an operator that is
    ``annotated`` for INT8, with one whose weights are (``weighted``). ``readers`` says which module
    the operators belong to that read the weights of another."""

    called: frozenset[str]
    annotated: frozenset[str]
    weighted: frozenset[str]
    readers: Mapping[str, str]


def refuse_ignored(
    modules: Iterable[ModuleName], found: Mapping[str, Treatment], reached: Reached, backend: str
) -> None:
    """What a rule wants in INT8 must be so. A rule for a whole container may cover an activation
    or a norm on the way; one that covers nothing else is a mistake too.

    Raises:
        RecipeError: it names rule and module, and what the backend has kernels for.
    """
    asked = {
        module: found[module.name]
        for module in modules
        if module.name in found and _wants_int8(found[module.name])
    }
    done = {
        module
        for module, treatment in asked.items()
        if module.name in reached.weighted
        # Bits, and ranges taken at run time, are a matter of weights.
        or (
            (treatment.method, treatment.weight_bits) == ("static", None)
            and module.name in reached.annotated
        )
    }
    useful = {rule for module in done for rule in _rules(asked[module])}
    for module, treatment in asked.items():
        needed = module.weighted and module.name in reached.called
        if module not in done and (needed or not _rules(treatment) <= useful):
            raise RecipeError(
                f"{treatment.rule} asks for INT8 for {module.name} ({module.type}): "
                f"{why_float(module, reached, backend, treatment)}",
                hint=f"PT2E quantizes {_KERNELS[backend]}, and with them activations, sums and "
                "pooling. Leave this module out of the rule, or choose quantize.method: dynamic "
                "for recurrent layers and embeddings.",
            )


def why_float(
    module: ModuleName, reached: Reached, backend: str, treatment: Treatment | None = None
) -> str:
    """The reason why ``module`` did not become INT8, where no rule leaves it out."""
    if module.name not in reached.called:
        return "the model does not call it"
    if (
        treatment
        and not module.weighted
        and (treatment.method, treatment.weight_bits)
        != (
            "static",
            None,
        )
    ):
        return "it has no weights"
    return f"no INT8 kernel of {backend} for {module.type}"


def _wants_int8(treatment: Treatment) -> bool:
    return treatment.method != "float" and bool(treatment.method or treatment.weight_bits)


def _rules(treatment: Treatment) -> set[str]:
    return set(treatment.rule.split(", "))
