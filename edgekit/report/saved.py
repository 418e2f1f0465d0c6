"""A finished run read back from its folder, for rendering it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError, Where
from edgekit.report.schema import Name, first_problem

REPORT_FILE = "report.json"
EVIDENCE_FILE = "evidence.json"
_NAMES: dict[Name, str] = {"report": "a report", "evidence": "an evidence file"}


@dataclass(frozen=True)
class Saved:
    """``report`` is report.json, ``evidence`` evidence.json (``None`` of a run that has none);
    both fit their schemas. ``name`` is how the run is called to the reader: its folder."""

    report: Mapping[str, Any]
    evidence: Mapping[str, Any] | None
    name: str


def read_run(folder: Path) -> Saved:
    """Read the run in ``folder``, or the one of which ``folder`` is the report.json.

    Raises:
        UsageError: no run, or files that are no reports of this edgekit.
    """
    if folder.is_file():
        file, folder = folder, folder.absolute().parent
    else:
        file = folder / REPORT_FILE
    if not file.exists():
        raise UsageError(
            f"{folder} is no run folder: it has no {REPORT_FILE}"
            if folder.exists()
            else f"there is no {folder}",
            hint="Give the folder that edgekit quantize made, or its report.json.",
        )
    evidence = folder / EVIDENCE_FILE
    return Saved(
        report=_read(file, "report"),
        evidence=_read(evidence, "evidence") if evidence.exists() else None,
        name=str(folder),
    )


def _read(file: Path, name: Name) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {error}", where=Where(str(file))) from error
    problem = first_problem(found, name)
    if problem is not None:
        raise UsageError(
            f"not {_NAMES[name]} that this edgekit reads: {problem}",
            where=Where(str(file)),
            hint="edgekit report --schema prints the schema it has to fit.",
        )
    return found  # type: ignore[no-any-return]


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number in JSON")
