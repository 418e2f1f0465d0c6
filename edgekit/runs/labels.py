"""Class names: a JSON list, a JSON object from index to name, one name a line, or a .tflite file's
own metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import DataError
from edgekit.fetch import fetch
from edgekit.progress import Progress
from edgekit.recipe.schema import LabelsSpec
from edgekit.tflite.metadata_read import read_metadata


@dataclass(frozen=True)
class Labels:
    """The names in class order, one line each, and the file they were read from."""

    file: Path
    names: tuple[str, ...]


def load_labels(spec: LabelsSpec, progress: Progress) -> Labels:
    """Fetch and read the names.

    Raises:
        DataError: not one of the four forms, or an index is missing.
        SourceError: a .tflite file that is damaged.
        FetchError: the file could not be fetched.
        IntegrityError: it is not the one the recipe promised.
    """
    file = fetch(spec.source, sha256=spec.sha256, progress=progress)
    if file.suffix == ".tflite":
        return Labels(file, _from_metadata(file))
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"labels: {file.name} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from error
    except OSError as error:
        raise DataError(f"labels: cannot read {file}: {error.strerror}") from error
    if file.suffix == ".json":
        return Labels(file, _from_json(text, file))
    return Labels(file, tuple(line.strip() for line in text.splitlines() if line.strip()))


def _from_json(text: str, file: Path) -> tuple[str, ...]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"labels: {file.name}:{error.lineno}: {error.msg}") from error
    if isinstance(data, dict) and all(key.isdecimal() for key in data):
        data = [data.get(str(index)) for index in range(len(data))]
    if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
        raise DataError(
            f"labels: {file.name} is neither a list of names nor an object from 0, 1, ... to names"
        )
    return tuple(" ".join(name.split()) for name in data)  # one line each


def _from_metadata(file: Path) -> tuple[str, ...]:
    """The labels of the first output that has any."""
    metadata = read_metadata(file)
    for output in metadata.outputs if metadata else ():
        if output.labels:
            return output.labels
    raise DataError(
        f"labels: {file.name} has no class names in its metadata",
        hint="Give a file with one name a line.",
    )


def check_label_count(labels: Labels, classes: int) -> None:
    """Refuse names that do not fit the model.

    Raises:
        DataError: says both counts.
    """
    if len(labels.names) != classes:
        raise DataError(
            f"{labels.file.name} has {len(labels.names)} labels for a model with {classes} classes",
            hint="Correct model.labels; some ImageNet lists hold a 'background' class in front.",
        )
