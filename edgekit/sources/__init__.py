"""Load a trained model. One module a framework; looking one up imports no framework."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.cache import Cache
from edgekit.progress import Progress, SilentProgress
from edgekit.types import ModelKind

if TYPE_CHECKING:
    from edgekit.recipe.schema import ModelSpec
    from edgekit.sources.source import SourceModel

FRAMEWORKS: dict[str, tuple[ModelKind, ...]] = {
    "pytorch": (ModelKind.TORCH_MODULE, ModelKind.EXPORTED_PROGRAM, ModelKind.TORCHSCRIPT),
    "keras": (ModelKind.KERAS,),
    "tensorflow": (ModelKind.SAVED_MODEL, ModelKind.CONCRETE_FUNCTION),
    "onnx": (ModelKind.ONNX,),
    "tflite": (ModelKind.FLOAT_TFLITE,),
}
"""What kinds of model each ``model.framework`` can turn out to be."""


def locate(
    spec: ModelSpec,
    *,
    base: Path | None = None,
    progress: Progress | None = None,
    cache: Cache | None = None,
) -> SourceModel:
    """Fetch the files of ``spec``, check their hashes, and describe the model without loading it.

    ``cache`` (default: the user's) holds what is made of a file before it is used; what is fetched
    always is the user's.

    Raises:
        FetchError: a file could not be fetched.
        IntegrityError: a file is not the one the recipe promised.
        SourceError: the file is not what the framework reads.
    """
    module = import_module(f"edgekit.sources.{spec.framework}")
    source: SourceModel = module.locate(spec, base, progress or SilentProgress(), cache or Cache())
    return source


__all__ = ["FRAMEWORKS", "locate"]
