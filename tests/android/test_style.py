"""ktlint in its official style, over android_demo and over what an export generates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgekit.android.kotlin import contract_source, contract_test_source
from tests.android import kotlin
from tests.android.test_core import CONTRACTS, run_files

pytestmark = [pytest.mark.slow, kotlin.needs_kotlin]


def test_the_demo_is_clean() -> None:
    assert kotlin.lint(kotlin.DEMO) == ""


def test_what_is_generated_is_clean_for_every_contract(tmp_path: Path) -> None:
    shutil.copy(kotlin.DEMO / ".editorconfig", tmp_path)
    for name in CONTRACTS:
        files, _ = run_files(tmp_path, name)
        contract = json.loads(json.dumps(files.contract))
        folder = tmp_path / name
        folder.mkdir()
        for suffix, source in (
            ("", contract_source("com.example", contract, run="a/b", model_sha256="0")),
            ("Test", contract_test_source("com.example", run="a/b")),
        ):
            (folder / f"ModelContract{suffix}.kt").write_text(source, encoding="utf-8")
    assert kotlin.lint(tmp_path) == ""


def test_what_is_not_clean_is_told(tmp_path: Path) -> None:
    (tmp_path / "Wrong.kt").write_text("fun  f( ) :Int=1")
    assert "Wrong.kt:1" in kotlin.lint(tmp_path)
