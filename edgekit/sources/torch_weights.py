"""State dicts: read without running code, fitted strictly, checked for NaN."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from edgekit.errors import SourceError

_NESTED_KEYS = ("state_dict", "model", "model_state_dict")
# Came with torch 0.4.1 and plays no part in inference; torch itself fills it in for older files.
_LATER_BUFFER = ".num_batches_tracked"
_SHOWN = 5


def load_into(module: torch.nn.Module, file: Path, *, trust_pickle: bool) -> None:
    """Load the checkpoint ``file`` into ``module``; every key must fit.

    Raises:
        SourceError: unreadable, needs a pickle that may run code, or does not fit.
    """
    state = _state_dict(_read(file, trust_pickle), file)
    wanted = module.state_dict()
    missing = {key for key in wanted.keys() - state.keys() if not key.endswith(_LATER_BUFFER)}
    problems = [
        *_listed("missing in the file", missing),
        *_listed("unknown to the model", state.keys() - wanted.keys()),
        *_listed(
            "of another shape",
            (
                f"{key} {list(state[key].shape)} instead of {list(wanted[key].shape)}"
                for key in sorted(state.keys() & wanted.keys())
                if state[key].shape != wanted[key].shape
            ),
        ),
    ]
    if problems:
        raise SourceError(
            f"{file.name} does not fit {type(module).__name__}:\n  " + "\n  ".join(problems),
            hint="Check model.factory and model.factory_args (number of classes, width).",
        )
    # Not a copy: its attribute _metadata holds the versions that modules convert old states by.
    module.load_state_dict(state, strict=True)


def check_finite(state: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights with NaN or infinity.

    Raises:
        SourceError: names the tensors.
    """
    bad = [
        name
        for name, tensor in state.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if bad:
        raise SourceError(
            "\n  ".join(["the weights hold NaN or infinity:", *_listed("", bad)]),
            hint="The training run diverged or the file was damaged; take an earlier checkpoint.",
        )


def _read(file: Path, trust_pickle: bool) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=not trust_pickle)
    except Exception as error:  # a damaged or foreign pickle can end in almost any type
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        refused = isinstance(error, UnpicklingError) and not trust_pickle
        if refused and (wanted or zipfile.is_zipfile(file)):
            what = f"it asks for {wanted[1]}" if wanted else "it holds more than tensors"
            raise SourceError(
                f"{file.name} is a pickle that can run code when loaded: {what}",
                hint="If you made the file yourself, set model.trust_pickle: true; "
                "better, save model.state_dict() alone.",
            ) from error
        if isinstance(error, AttributeError | ImportError):
            raise SourceError(
                f"{file.name} needs a class that cannot be imported: {error}",
                hint="Save model.state_dict() alone: it needs no class.",
            ) from error
        first = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise SourceError(
            f"{file.name} is damaged or no PyTorch checkpoint: {first}",
            hint="Fetch or copy it again.",
        ) from error


def _state_dict(loaded: Any, file: Path) -> Mapping[str, torch.Tensor]:
    if isinstance(loaded, torch.nn.Module):
        return loaded.state_dict()
    if isinstance(loaded, Mapping):
        for key in _NESTED_KEYS:
            if isinstance(loaded.get(key), Mapping):
                return _state_dict(loaded[key], file)
        if loaded and all(isinstance(value, torch.Tensor) for value in loaded.values()):
            return loaded
    raise SourceError(
        f"{file.name} holds a {type(loaded).__name__}, not a state dict",
        hint="Save model.state_dict() with torch.save.",
    )


def _listed(what: str, names: Iterable[str]) -> list[str]:
    found = sorted(names)
    if not found:
        return []
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    prefix = f"{len(found)} {what}: " if what else ""
    return [prefix + ", ".join(found[:_SHOWN]) + more]
