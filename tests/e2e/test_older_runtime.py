"""tflite-runtime 2.14 itself, in its isolated environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import edgekit
from tests.e2e.conftest import Finished

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

CHECK = "runtime.tflite_runtime_2_14"
LIMIT_S = 800
"""The environment may have to be made first."""


def fashion(home: Path, method: str) -> Finished:
    """The small Keras network by ``method``."""
    lines = (
        "extends: fashion_int8",
        "name: fashion",
        f"quantize: {{method: {method}}}",
        "evaluate: {samples: 64, labelled: false}",
        "gate: {size_ratio_max: 0.5, top1_drop_max: null, tflite_runtime_2_14: true}",
        "latency: {enabled: false}",
    )
    (home / "fashion.yaml").write_text("\n".join(lines))
    arguments = ("quantize", "--recipe", "fashion.yaml", "--out", "run")
    return Finished(edgekit(*arguments, cwd=home, timeout_s=LIMIT_S), home / "run")


@pytest.mark.parametrize("method", ["litert_static", "tflite_int8"])
def test_a_full_integer_file_agrees_on_both_runtimes(tmp_path: Path, method: str) -> None:
    run = fashion(tmp_path, method)
    assert run.ran.code == 0, run.ran
    report = run.read("report.json")
    assert report["checks"][-1]["name"] == CHECK
    assert report["checks"][-1]["status"] == "pass"
    found = report["older_runtime"]
    assert found["runtime"] == "tflite-runtime 2.14.0"
    (output,) = found["outputs"].values()
    # Not LiteRT under another name: the kernels round differently.
    assert 25 < output["between_sqnr_db"] < 60
    assert found["same_class"] >= 15 / 16


def test_an_operator_that_is_too_new_fails_and_is_named(tmp_path: Path) -> None:
    run = fashion(tmp_path, "tflite_dynamic")
    assert run.ran.code == 1, run.ran
    assert "does not know FULLY_CONNECTED in version 12 (at logits)" in " ".join(
        run.ran.stdout.split()
    )
    assert run.read("report.json")["older_runtime"]["outputs"] == {}
