"""Quantize a trained model for the edge, prove what it cost, and gate the release.

Names are imported on first use, so ``import edgekit`` costs nothing but itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.version import __version__

if TYPE_CHECKING:
    from edgekit.bench import bench_model
    from edgekit.comparison import compare
    from edgekit.debug import debug_layers
    from edgekit.errors import (
        ConversionError,
        DataError,
        DeviceError,
        EdgekitError,
        FetchError,
        IntegrityError,
        MismatchError,
        MissingError,
        OutputError,
        RecipeError,
        SessionError,
        SourceError,
        UsageError,
    )
    from edgekit.inspection import inspect
    from edgekit.pipeline import judge_model, quantize
    from edgekit.recipe.load import load_recipe
    from edgekit.recipe.schema import Recipe
    from edgekit.report import Report

__all__ = [
    "ConversionError",
    "DataError",
    "DeviceError",
    "EdgekitError",
    "FetchError",
    "IntegrityError",
    "MismatchError",
    "MissingError",
    "OutputError",
    "Recipe",
    "RecipeError",
    "Report",
    "SessionError",
    "SourceError",
    "UsageError",
    "__version__",
    "bench_model",
    "compare",
    "debug_layers",
    "inspect",
    "judge_model",
    "load_recipe",
    "quantize",
]

_HOME = {
    "Recipe": "edgekit.recipe.schema",
    "Report": "edgekit.report",
    "bench_model": "edgekit.bench",
    "compare": "edgekit.comparison",
    "debug_layers": "edgekit.debug",
    "inspect": "edgekit.inspection",
    "judge_model": "edgekit.pipeline",
    "load_recipe": "edgekit.recipe.load",
    "quantize": "edgekit.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME.get(name, "edgekit.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
