"""The recipe's rules on modules, as far as PT2E can follow them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from edgekit.errors import RecipeError
from edgekit.pytorch.modules import ModuleName, Treatment, leaf_modules, treatments
from edgekit.pytorch.pt2e_graph import graph_modules
from edgekit.recipe.schema import ModuleRule
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind


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
