"""``bridge: auto`` on a real model: the ways over ONNX beside the direct one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.commands import edgekit
from tests.e2e.conftest import Finished

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1800)]

DIRECT = "litert_torch"
LIMIT_S = 1700
"""Two isolated environments may have to be made first."""


@pytest.fixture(scope="module")
def over_onnx(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    home = tmp_path_factory.mktemp("mobilenet_onnx")
    arguments = ("quantize", "--recipe", "mobilenet_onnx_int8", "--out", "run")
    return Finished(edgekit(*arguments, cwd=home, timeout_s=LIMIT_S), home / "run")


def candidates(run: Finished) -> dict[str, dict[str, Any]]:
    (choice,) = run.read("report.json")["choices"]
    return {each["name"]: each for each in choice["candidates"]}


def chosen(run: Finished) -> dict[str, Any]:
    (choice,) = run.read("report.json")["choices"]
    return candidates(run)[choice["chosen"]]


def test_every_way_is_made_verified_and_shown(over_onnx: Finished) -> None:
    assert over_onnx.ran.code == 0, over_onnx.ran
    found = candidates(over_onnx)
    assert set(found) == {DIRECT, "torch_onnx, onnx2tf", "torch_onnx, onnx_tf"}
    for name, each in found.items():
        assert "error" not in each, each
        assert [hop["bridge"] for hop in each["hops"]] == name.split(", ")
        assert all(hop["outputs"][0]["sqnr_db"] > 100 for hop in each["hops"])
        assert each["latency_ms"] > 0
        assert each["float_ops"] == 0
        assert name in over_onnx.ran.stdout or "onnx" in name  # headings may be wrapped
    report = over_onnx.read("report.json")
    assert [hop["bridge"] for hop in report["bridges"]] == [
        hop["bridge"] for hop in chosen(over_onnx)["hops"]
    ]


def test_the_chosen_way_is_no_worse_than_the_direct_one(over_onnx: Finished) -> None:
    best, direct = chosen(over_onnx), candidates(over_onnx)[DIRECT]
    assert best["transposes"] <= direct["transposes"]
    # Within the margin of the rule; a machine busy with other tests tells no less.
    assert best["latency_ms"] <= 1.25 * direct["latency_ms"]
    report = over_onnx.read("report.json")
    others = report["alternatives"]
    if best is not direct and DIRECT in others:
        gap = others[DIRECT]["fidelity"]["agreement"] - report["fidelity"]["agreement"]
        assert gap <= 0.01
