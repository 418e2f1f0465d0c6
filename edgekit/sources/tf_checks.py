"""What is asked of every TensorFlow model: the recipe's inputs and outputs, and sound weights."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec
from edgekit.sources.source import INPUT_DTYPES
from edgekit.tensorflow.function import TFModel
from edgekit.types import TensorInfo

_SHOWN = 5


def check_ends(
    model: TFModel, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...], *, name: str
) -> None:
    """Hold the recipe's inputs and outputs against the model's own, by their names.

    Sizes that the model leaves open are what the recipe says. ``name`` is the file or factory.

    Raises:
        SourceError: another name, element type or shape; says both.
    """
    refuse_dtypes(model.inputs, name)
    wanted = {spec.name: spec for spec in inputs}
    if wanted.keys() != {info.name for info in model.inputs}:
        raise SourceError(
            f"model.inputs says {'; '.join(map(_spec, inputs))}, "
            f"but {name} has {'; '.join(map(shown, model.inputs))}",
            hint="Name the inputs in the recipe as the model does; '?' is a size of your choice.",
        )
    for info in model.inputs:
        spec = wanted[info.name]
        fits = len(spec.shape) == len(info.shape) and all(
            own in (-1, given) for own, given in zip(info.shape, spec.shape, strict=True)
        )
        if not fits or spec.dtype != info.dtype:
            raise SourceError(
                f"model.inputs says {_spec(spec)}, but {name} has {shown(info)}", hint=_hint(info)
            )
    if len(outputs) != len(model.outputs) or set(outputs) != set(model.outputs):
        raise SourceError(
            f"model.outputs says {', '.join(outputs)}, but {name} has {', '.join(model.outputs)}",
            hint="List every output under the model's own name; the first one is the primary.",
        )


def refuse_dtypes(inputs: Iterable[TensorInfo], name: str) -> None:
    """Refuse strings, ragged, sparse and complex tensors, and whatever else no recipe can feed.

    Raises:
        SourceError: names the input and its type.
    """
    for info in inputs:
        if info.dtype not in INPUT_DTYPES:
            raise SourceError(
                f"input '{info.name}' of {name} is {info.dtype}; "
                f"edgekit feeds {', '.join(INPUT_DTYPES)}",
                hint="Save the model with an input of one of these types: what turns "
                f"{info.dtype} into numbers runs before the model, not in it.",
            )


def check_finite(variables: Iterable[Any], name: str) -> None:
    """Refuse weights with NaN or infinity.

    Raises:
        SourceError: names the variables.
    """
    bad = []
    for variable in variables:
        array = np.asarray(variable)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad.append(str(getattr(variable, "path", variable.name)))
    if bad:
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise SourceError(
            f"the weights of {name} hold NaN or infinity: {', '.join(bad[:_SHOWN])}{more}",
            hint="The training run diverged or the file was damaged; take an earlier checkpoint.",
        )


def versions(*packages: str) -> dict[str, str]:
    """Installed versions, without an import; empty for a package that is not there."""
    return {package: _version(package) for package in packages}


def tensorflow_version() -> str:
    """Of whichever package holds it."""
    return _version("tensorflow") or _version("tensorflow-cpu")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _spec(spec: InputSpec) -> str:
    return f"{spec.name} {spec.dtype} {list(spec.shape)}"


def shown(info: TensorInfo) -> str:
    """``x float32 [?, 3]``: '?' is a size that is left open."""
    shape = ", ".join("?" if size == -1 else str(size) for size in info.shape)
    return f"{info.name} {info.dtype} [{shape}]"


def _hint(info: TensorInfo) -> str:
    if -1 in info.shape:
        return "Write the model's own into the recipe; '?' is a size of your choice."
    return "Write the model's own into the recipe."
