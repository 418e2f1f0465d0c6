"""State dicts: read without running code, fitted strictly, checked for NaN."""

from __future__ import annotations

import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from edgekit.errors import MissingError, SourceError

_NESTED_KEYS = ("state_dict", "model", "model_state_dict")
# Came with torch 0.4.1 and plays no part in inference; torch itself fills it in for older files.
_LATER_BUFFER = ".num_batches_tracked"
_SHOWN = 5


def load_into(
    module: torch.nn.Module, *files: Path, trust_pickle: bool, unused: Sequence[str] = ()
) -> None:
    """Load the checkpoints ``files``, which together are one state, into ``module``.

    Every key must fit, except those that a glob of ``unused`` names. A file may be a safetensors
    file or anything that ``torch.load`` reads.

    Raises:
        SourceError: unreadable, needs a pickle that may run code, or does not fit.
        MissingError: a safetensors file without the package that reads it.
    """
    state = _merged([(file, _state_dict(_read(file, trust_pickle), file)) for file in files])
    name = " with ".join(file.name for file in files)
    _leave_out(state, unused, name)
    wanted = module.state_dict()
    missing = {key for key in wanted.keys() - state.keys() if not key.endswith(_LATER_BUFFER)}
    unknown = state.keys() - wanted.keys()
    misshapen = [
        f"{key} {list(state[key].shape)} instead of {list(wanted[key].shape)}"
        for key in sorted(state.keys() & wanted.keys())
        if state[key].shape != wanted[key].shape
    ]
    problems = [
        *_listed("missing in the file", missing),
        *_listed("unknown to the model", unknown),
        *_listed("of another shape", misshapen),
    ]
    if problems:
        too_many = unknown and not missing and not misshapen
        raise SourceError(
            f"{name} does not fit {type(module).__name__}:\n  " + "\n  ".join(problems),
            hint="Name the keys that the model has no use for in model.unused_weights."
            if too_many
            else "Check model.factory and model.factory_args (number of classes, width).",
        )
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


def _merged(
    parts: Sequence[tuple[Path, Mapping[str, torch.Tensor]]],
) -> OrderedDict[str, torch.Tensor]:
    """One state of all ``parts``, with the versions that modules convert old states by."""
    state: OrderedDict[str, torch.Tensor] = OrderedDict()
    versions: dict[str, Any] = {}
    for file, part in parts:
        if twice := _listed("", state.keys() & part.keys()):
            raise SourceError(
                f"{file.name} holds keys that the weights before it hold, too: {twice[0]}",
                hint="Of several state dicts every key may be in one only.",
            )
        state.update(part)
        versions.update(getattr(part, "_metadata", None) or {})
    state._metadata = versions  # type: ignore[attr-defined]  # where torch looks for them
    return state


def _leave_out(state: dict[str, torch.Tensor], unused: Sequence[str], name: str) -> None:
    for pattern in unused:
        matching = [key for key in state if fnmatchcase(key, pattern)]
        if not matching:
            near = get_close_matches(pattern, list(state), n=1)
            raise SourceError(
                f"model.unused_weights: {pattern!r} matches no key of {name}",
                hint=f"Did you mean {near[0]!r}?" if near else "Remove it.",
            )
        for key in matching:
            del state[key]


def _is_safetensors(file: Path) -> bool:
    """By its beginning: the length of a JSON text, eight bytes, little-endian; then that text."""
    try:
        with file.open("rb") as stream:
            head = stream.read(9)
        room = file.stat().st_size - 8
    except OSError:
        return False  # said when it is read
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= room


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingError(
            f"{file.name} is a safetensors file, and the package safetensors is not installed",
            hint="pip install 'edgekit[torch]'",
        ) from error
    try:
        return load_file(file, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise SourceError(
            f"{file.name} is a damaged safetensors file: {error}", hint="Fetch or copy it again."
        ) from error


def _read(file: Path, trust_pickle: bool) -> Any:
    if _is_safetensors(file):
        return _read_safetensors(file)
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
