"""The ladder on the real models: what the remedies are worth where nothing was chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import edgekit
from tests.e2e.conftest import Finished

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]


def best(recipe: str, home: Path) -> Any:
    """report.json of ``recipe`` by all remedies."""
    told = ("--set", "quantize.effort=best", "--json", "--out", "run", "-q")
    ran = edgekit("quantize", "--recipe", recipe, *told, cwd=home, timeout_s=590)
    assert ran.code == 0, ran
    return json.loads(ran.stdout)


def test_balanced_is_kept_by_its_figures_on_dev(mobilenet: Finished) -> None:
    report = mobilenet.read("report.json")
    (choice,) = report["choices"]
    assert (choice["of"], choice["on"]["role"], choice["on"]["samples"]) == ("rung", "dev", 48)
    found = {each["name"]: each for each in choice["candidates"]}
    assert list(found) == ["ranges", "equalized", "biases"]
    kept = found[choice["chosen"]]
    assert kept["sqnr_db"] > found["ranges"]["sqnr_db"] + 1
    assert kept["size_bytes"] < 1.005 * found["ranges"]["size_bytes"]
    assert report["fidelity"]["agreement"] >= 0.955
    assert report["fidelity"]["sqnr_db"] >= 17


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "agreement", "sqnr_db"),
    [("mobilenet_int8", 0.97, 21.0), ("efficientnet_lite0_int8", 0.985, 21.0)],
)
def test_best_keeps_nearly_all_answers(
    recipe: str, agreement: float, sqnr_db: float, tmp_path: Path
) -> None:
    """Limits a little below what was measured (docs/benchmarks.md): processors round apart."""
    report = best(recipe, tmp_path)
    assert report["fidelity"]["agreement"] >= agreement
    assert report["fidelity"]["sqnr_db"] >= sqnr_db
    assert report["artefact"]["float_ops"] == []
    assert report["artefact"]["int8_mac_fraction"] == 1.0


@pytest.mark.slow
def test_pictures_too_dark_for_plain_int8_are_recognised_with_layers_of_int16(
    tmp_path: Path,
) -> None:
    """`fashion_dark_int8` on a fifth of its eval pictures, without labels for the sake of time."""
    some = ("evaluate.samples=2000", "evaluate.labelled=false", "gate.top1_drop_max=null")
    plain = ("quantize.effort=fast", "quantize.estimator=minmax", "quantize.raise_to=none")

    def run(name: str, *changes: str) -> tuple[int, Any]:
        told = [part for change in (*some, *changes) for part in ("--set", change)]
        arguments = ("quantize", "--recipe", "fashion_dark_int8", *told, "--json", "-q")
        ran = edgekit(*arguments, "--out", name, cwd=tmp_path, timeout_s=290)
        return ran.code, json.loads(ran.stdout)

    code, report = run("plain", *plain)
    failed = {check["name"] for check in report["checks"] if check["status"] == "fail"}
    assert (code, failed) == (1, {"fidelity.agreement"})

    code, mended = run("mended")
    assert code == 0, mended["checks"]
    assert mended["artefact"]["raised"]["to"] == "int16"
    assert mended["artefact"]["float_ops"] == []
    assert mended["fidelity"]["agreement"] > report["fidelity"]["agreement"] + 0.02
