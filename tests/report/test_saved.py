"""Runs read back: old ones too, and what is none says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.errors import UsageError
from edgekit.report.html import html
from edgekit.report.saved import read_run
from tests.report.evidence_sample import evidence
from tests.report.sample import report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "report.json").write_text(json.dumps(report().to_dict()))
    (tmp_path / "evidence.json").write_text(json.dumps(evidence()))
    return tmp_path


def test_a_folder_or_its_report(folder: Path) -> None:
    saved = read_run(folder)
    assert saved.report["recipe"] == "mobilenet_int8"
    assert saved.evidence == json.loads(json.dumps(evidence()))
    assert read_run(folder / "report.json") == saved


def test_a_run_made_before_there_was_evidence(folder: Path) -> None:
    (folder / "evidence.json").unlink()
    old = json.loads((folder / "report.json").read_text())
    for key in ("older_runtime", "alternatives", "choices", "notes", "data", "bridges"):
        del old[key]
    (folder / "report.json").write_text(json.dumps(old))
    saved = read_run(folder)
    assert saved.evidence is None
    assert "PASS" in html(saved.report, None, saved.name)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("report.json", "{", "not JSON"),
        ("report.json", "[" * 100_000, "not JSON"),
        ("report.json", '{"schema": NaN}', "NaN is no number"),
        ("report.json", '{"schema": 2}', "schema: must be 1, not 2"),
        ("evidence.json", "{}", "not an evidence"),
    ],
)
def test_what_is_no_run_says_so(folder: Path, file: str, content: str, words: str) -> None:
    (folder / file).write_text(content)
    with pytest.raises(UsageError, match=words):
        read_run(folder)


def test_a_folder_without_a_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"it has no report\.json"):
        read_run(tmp_path)
    with pytest.raises(UsageError, match="there is no"):
        read_run(tmp_path / "nowhere")
