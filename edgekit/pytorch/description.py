"""What a saved PyTorch artefact says about itself: a small JSON file inside its archive.

Neither an ExportedProgram nor TorchScript records the layout of its inputs, the names of its
outputs, or why a module stayed float. Both formats carry extra files; torch ignores this one.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgekit.errors import SessionError, UsageError
from edgekit.recipe.schema import InputSpec

FILE = "edgekit.json"
"""Name of the extra file, the same in both formats."""
SCHEMA = 1


@dataclass(frozen=True)
class Description:
    """``inputs`` are in call order and in the artefact's own layout, ``kept_float`` gives the
    reason by module name, ``tools`` the versions that wrote the file, ``engine`` torch's quantized
    engine (``torch.backends.quantized``) that its kernels belong to, where it needs one;
    ``one_by_one`` says that a sample's answer depends on what else is in its batch, as where ranges
    are taken from all of a call."""

    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    kept_float: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    engine: str | None = None
    one_by_one: bool = False

    def to_json(self) -> str:
        """As ``from_json`` reads it."""
        return json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, sort_keys=True)


def describe(
    inputs: tuple[InputSpec, ...],
    outputs: tuple[str, ...],
    *,
    kept_float: Mapping[str, str],
    tools: tuple[str, ...] = ("torch",),
    engine: str | None = None,
    one_by_one: bool = False,
) -> Description:
    """A description by the installed ``tools``, named as their packages."""
    versions = {name: version(name) for name in tools}
    return Description(inputs, outputs, dict(kept_float), versions, engine, one_by_one)


def read_description(file: Path, kind: str) -> Description:
    """The description inside ``file``, an archive of either format; torch is not needed for it.

    ``kind`` is what the file should be, in words.

    Raises:
        UsageError: there is no such file.
        SessionError: it is damaged, or not one that edgekit wrote.
    """
    if not file.is_file():
        raise UsageError(f"there is no model file {file}")
    try:
        with zipfile.ZipFile(file) as archive:
            named = [name for name in archive.namelist() if name.endswith(f"/extra/{FILE}")]
            text = archive.read(named[0]).decode("utf-8") if named else ""
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise SessionError(
            f"{file.name} is damaged or no {kind}: {error}",
            hint="Copy it again, or make it again.",
        ) from error
    return from_json(text, file.name)


def from_json(text: str, file: str) -> Description:
    """What ``Description.to_json`` wrote into ``file``.

    Raises:
        SessionError: it is empty, damaged or of another schema.
    """
    if not text:
        raise SessionError(
            f"{file} does not say what its inputs and outputs are",
            hint="Only PyTorch artefacts that edgekit wrote can be opened by their file alone.",
        )
    try:
        fields: dict[str, Any] = json.loads(text)
        if fields.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        return Description(
            inputs=tuple(
                InputSpec(**{**entry, "shape": tuple(entry["shape"])})
                for entry in fields.pop("inputs")
            ),
            outputs=tuple(fields.pop("outputs")),
            **fields,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SessionError(f"the description inside {file} cannot be read: {error}") from error
