"""Class names: a JSON list, a JSON object from index to name, or one name a line."""

from __future__ import annotations

import json
from pathlib import Path

from edgekit.errors import DataError
from edgekit.fetch import fetch
from edgekit.progress import Progress
from edgekit.recipe.schema import LabelsSpec


def load_labels(spec: LabelsSpec, base: Path | None, progress: Progress) -> tuple[str, ...]:
    """The names in class order.

    Raises:
        DataError: not one of the three forms, or an index is missing.
        FetchError: the file could not be fetched.
    """
    file = fetch(spec.source, sha256=spec.sha256, base=base, progress=progress)
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        return _from_json(text, file)
    return tuple(line.strip() for line in text.splitlines() if line.strip())


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
    return tuple(name.replace("\n", " ") for name in data)


def check_label_count(labels: tuple[str, ...], classes: int) -> None:
    """Refuse names that do not fit the model.

    Raises:
        DataError: says both counts.
    """
    if len(labels) != classes:
        raise DataError(
            f"there are {len(labels)} labels for a model with {classes} classes",
            hint="Correct model.labels; some ImageNet lists hold a 'background' class in front.",
        )
