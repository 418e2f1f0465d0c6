"""``edgekit report``: a run rendered again, in every form, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgekit.pipeline import quantize
from edgekit.report.schema import first_problem
from tests import tiny_runs
from tests.cli.commands import edgekit, refused


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny network on pictures of noise, which some get wrong."""
    folder = tmp_path_factory.mktemp("report")
    tiny_runs.write_model(folder)
    tiny_runs.write_photos(folder, count=120, classes=3)
    recipe = tiny_runs.write_recipe(folder, tiny_runs.IMAGES)
    quantize(str(recipe), out=folder / "run")
    return folder / "run"


def test_the_run_folder_holds_every_form_and_the_manifest_lists_them(run: Path) -> None:
    outputs = json.loads((run / "manifest.json").read_text())["outputs"]
    for name in ("report.json", "evidence.json", "report.html", "report.md", "junit.xml"):
        assert outputs[name]["bytes"] == (run / name).stat().st_size
    assert first_problem(json.loads((run / "report.json").read_text()), "report") is None
    evidence = json.loads((run / "evidence.json").read_text())
    assert first_problem(evidence, "evidence") is None
    assert [each["use"] for each in evidence["changes"]] == ["labelled", "fidelity"]
    assert len(evidence["times"]["float_ms"]) == 4
    assert [each["layer"] for each in evidence["layers"]["layers"]][1] == "hidden"
    assert evidence["layers"]["role"] == "calibration"


@pytest.mark.parametrize(
    ("option", "name"), [("--html", "report.html"), ("--md", "report.md"), ("--junit", "junit.xml")]
)
def test_it_gives_again_what_the_run_wrote(run: Path, option: str, name: str) -> None:
    ran = edgekit("report", run, option, cwd=run.parent)
    assert (ran.code, ran.stderr) == (0, "")
    again = ran.stdout.replace(str(run), "run")
    assert again == (run / name).read_text().replace(str(run), "run")


def test_markdown_unless_asked_otherwise(run: Path) -> None:
    assert edgekit("report", "run", cwd=run.parent).stdout.startswith("## ✅ PASS: `tiny`")


def test_the_name_of_the_file_chooses_the_form(run: Path, tmp_path: Path) -> None:
    for name in ("a.html", "a.md", "a.xml", "a.json"):
        ran = edgekit("report", run, "-o", tmp_path / name, cwd=run.parent)
        assert (ran.code, ran.stdout) == (0, "")
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "a.md").read_text().startswith("## ")
    assert ElementTree.parse(tmp_path / "a.xml").getroot().tag == "testsuites"
    assert json.loads((tmp_path / "a.json").read_text())["recipe"] == "tiny"
    edgekit("report", run, "--junit", "-o", tmp_path / "a.txt", cwd=run.parent)
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "a.xml").read_text()


def test_json_is_the_report_and_the_schema_is_printed(run: Path) -> None:
    ran = edgekit("report", run / "report.json", "--json", cwd=run.parent)
    assert json.loads(ran.stdout) == json.loads((run / "report.json").read_text())
    schema = json.loads(edgekit("report", "--schema", cwd=run.parent).stdout)
    assert schema["properties"]["verdict"]["enum"] == ["pass", "fail", "inconclusive"]


def test_what_it_refuses(run: Path, tmp_path: Path) -> None:
    refused(edgekit("report", cwd=tmp_path), 2, "RUN_DIR is missing")
    refused(edgekit("report", "nowhere", cwd=tmp_path), 2, "there is no nowhere")
    refused(edgekit("report", ".", cwd=tmp_path), 2, "no run folder", "report.json")
    refused(edgekit("report", run, "-o", "a.doc", cwd=tmp_path), 2, "in what form", ".html")
    refused(edgekit("report", run, "-o", "no/a.md", cwd=tmp_path), 2, "there is no folder no")
    (tmp_path / "report.json").write_text('{"schema": 9}')
    refused(edgekit("report", ".", cwd=tmp_path), 2, "schema: must be 1, not 9", "--schema")
    assert not (tmp_path / "a.doc").exists()
