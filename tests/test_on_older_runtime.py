"""``gate.tflite_runtime_2_14`` in whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import edgekit
from edgekit.cache import Cache
from edgekit.environments import Environment
from edgekit.errors import MissingError
from edgekit.measure import measurements
from edgekit.report import Report
from tests.stand_in_runtime import stand_in_runtime
from tests.tiny_runs import write_arrays, write_model, write_recipe

Opened = list[str]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Opened:
    """The environments that were opened; each is a stand-in."""
    names: Opened = []

    def open_environment(name: str, progress: object) -> Environment:
        names.append(name)
        return stand_in_runtime(tmp_path)

    monkeypatch.setattr(measurements, "open_environment", open_environment)
    return names


def run(home: Path, gate: dict[str, Any]) -> tuple[Report, Any]:
    """The report, and report.json."""
    write_model(home)
    write_arrays(home)
    recipe = write_recipe(home, {"gate": gate, "latency": {"enabled": False}})
    report = edgekit.quantize(str(recipe), out=home / "out", cache=Cache(home / "cache"))
    return report, json.loads((home / "out" / "report.json").read_text(encoding="utf-8"))


def test_a_required_check_of_the_file_on_both_runtimes(tmp_path: Path, opened: Opened) -> None:
    report, written = run(tmp_path, {"tflite_runtime_2_14": True})
    assert opened == ["onnx-tf"]
    assert report.exit_code == 0
    check = written["checks"][-1]
    assert (check["name"], check["required"]) == ("runtime.tflite_runtime_2_14", True)
    assert check["status"] == "pass"
    found = written["older_runtime"]
    assert (found["runtime"], found["n"]) == ("tflite-runtime 2.14.0", 16)
    assert found["outputs"]["scores"]["between_sqnr_db"] == 200
    # Held against the float model in its own framework, on the first of the evaluation samples.
    assert found["outputs"]["scores"]["sqnr_db"] == pytest.approx(report.fidelity.sqnr_db, abs=6)
    assert "older runtime" in [stage["name"] for stage in written["stages"]]


def test_nothing_is_opened_unasked(tmp_path: Path, opened: Opened) -> None:
    report, written = run(tmp_path, {})
    assert (opened, report.older_runtime, written["older_runtime"]) == ([], None, None)
    assert "runtime.tflite_runtime_2_14" not in [check["name"] for check in written["checks"]]


@pytest.mark.parametrize(("required", "exit_code"), [(True, 3), (False, 0)])
def test_an_environment_that_cannot_be_made_leaves_the_check_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, required: bool, exit_code: int
) -> None:
    def open_environment(name: str, progress: object) -> Environment:
        raise MissingError("pip could not reach its index", hint="edgekit bridge setup onnx-tf")

    monkeypatch.setattr(measurements, "open_environment", open_environment)
    report, written = run(tmp_path, {"tflite_runtime_2_14": required})
    assert report.exit_code == exit_code
    check = written["checks"][-1]
    assert (check["status"], check["required"]) == ("not_measured", required)
    assert check["why"] == "pip could not reach its index; edgekit bridge setup onnx-tf"
    assert written["older_runtime"] == {"measured": False, "why": check["why"]}
