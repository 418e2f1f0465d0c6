"""``edgekit gate`` on real models: what is sound passes, what is damaged fails, what twenty photos
cannot decide is left open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.damage.files import damaged
from tests.cli.commands import edgekit
from tests.e2e.conftest import Finished

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]


def gate(recipe: str, model: Path, home: Path, *changes: str) -> tuple[int, Any]:
    """Exit code and report.json."""
    told = [part for change in ("latency.enabled=false", *changes) for part in ("--set", change)]
    arguments = ("gate", model, "--recipe", recipe, *told, "--json", "-q", "--out", "gated")
    ran = edgekit(*arguments, cwd=home, timeout_s=290)
    assert ran.stdout, ran
    return ran.code, json.loads(ran.stdout)


def failed(report: Any) -> set[str]:
    return {check["name"] for check in report["checks"] if check["status"] == "fail"}


def test_ten_thousand_pictures_pass_what_is_not_damaged(fashion: Finished, tmp_path: Path) -> None:
    code, report = gate("fashion_int8", fashion.folder / "model.tflite", tmp_path)
    assert (code, report["verdict"]) == (0, "pass")
    assert report["accuracy"]["top1"]["n"] == 10_000
    assert report["accuracy"] == fashion.read("report.json")["accuracy"]


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("per-tensor weights", 16),
        ("one layer's scale off", 1.0),
        ("normalisation wrong", 0.3),
        ("labels swapped", 0.2),
        ("polarity inverted", 1.0),
        ("noise on the biases", 0.3),
    ],
)
def test_ten_thousand_pictures_fail_what_is_damaged(
    fashion: Finished, tmp_path: Path, name: str, severity: float
) -> None:
    whole = (fashion.folder / "model.tflite").read_bytes()
    file = tmp_path / "damaged.tflite"
    file.write_bytes(damaged(whole, name, severity, seed=1))
    code, report = gate("fashion_int8", file, tmp_path)
    assert (code, report["verdict"]) == (1, "fail")
    assert failed(report) == {"fidelity.agreement", "accuracy.top1.drop"}


def test_twenty_photos_leave_one_point_open(mobilenet: Finished, tmp_path: Path) -> None:
    model = mobilenet.folder / "model.tflite"
    limits = ("gate.top1_drop_max=0.01", "gate.speedup_min=null")
    code, report = gate("mobilenet_int8", model, tmp_path, *limits)
    assert (code, report["verdict"]) == (3, "inconclusive")
    (check,) = (each for each in report["checks"] if each["name"] == "accuracy.top1.drop")
    assert check["status"] == "inconclusive"
    assert "20 labelled samples; about" in check["why"]
    assert failed(report) == set()
