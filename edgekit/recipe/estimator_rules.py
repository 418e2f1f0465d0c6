"""Which estimators a recipe may name, and where."""

from __future__ import annotations

from edgekit.calibrate import ESTIMATORS
from edgekit.methods import METHODS
from edgekit.recipe.references import known, possible_methods
from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import Recipe


def _estimators_are_known(recipe: Recipe) -> Findings:
    yield from known(("quantize", "estimator"), recipe.quantize.estimator, ESTIMATORS)
    for index, rule in enumerate(recipe.quantize.modules):
        if rule.estimator is not None:
            path = ("quantize", "modules", index, "estimator")
            yield from known(path, rule.estimator, ESTIMATORS)


def _estimators_of_modules(recipe: Recipe) -> Findings:
    """Methods that take no rules at all are told of with the options."""
    idle = [
        name
        for name in possible_methods(recipe)
        if "modules" in METHODS[name].options and not METHODS[name].estimator_of_modules
    ]
    able = [name for name, row in METHODS.items() if row.estimator_of_modules]
    for index, rule in enumerate(recipe.quantize.modules):
        if rule.estimator is not None and idle:
            yield Finding(
                ("quantize", "modules", index, "estimator"),
                f"{' and '.join(map(repr, idle))} can take one estimator only, for all modules",
                f"remove it, or use method: {' or '.join(able)}",
            )


def _float_modules_have_no_ranges(recipe: Recipe) -> Findings:
    for index, rule in enumerate(recipe.quantize.modules):
        if rule.method == "float" and rule.estimator is not None:
            path = ("quantize", "modules", index, "estimator")
            yield Finding(path, "float modules have no ranges", "remove it")


ESTIMATOR_RULES: tuple[Rule, ...] = (
    _estimators_are_known,
    _estimators_of_modules,
    _float_modules_have_no_ranges,
)
