"""``import edgekit``: the promised names, and nothing heavy behind them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edgekit
from edgekit.cli.main import VERBS

HEAVY = {
    "torch",
    "tensorflow",
    "numpy",
    "rich",
    "yaml",
    "PIL",
    "importlib.metadata",
    "edgekit.errors",
}


def modules_after(program: str, *arguments: str) -> set[str]:
    child = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(*sorted(__import__('sys').modules))", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(child.stdout.split())


def test_all_is_sorted_and_has_no_twins() -> None:
    assert edgekit.__all__ == sorted(set(edgekit.__all__))


def test_all_is_what_the_type_checker_sees(repository: Path) -> None:
    tree = ast.parse((repository / "edgekit" / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgekit.")
        for alias in node.names
    }
    assert imported == set(edgekit.__all__)


@pytest.mark.parametrize("name", edgekit.__all__)
def test_every_name_is_there(name: str) -> None:
    value = getattr(edgekit, name)
    assert value is getattr(edgekit, name)
    if isinstance(value, type) or callable(value):
        assert value.__name__ == name
        assert value.__doc__
    assert name in dir(edgekit)


def test_a_name_that_is_not_promised_is_refused() -> None:
    with pytest.raises(AttributeError, match="'quantise'"):
        _ = edgekit.quantise


def test_import_loads_nothing_heavy() -> None:
    assert not modules_after("import edgekit") & HEAVY


def test_help_loads_nothing_heavy_and_no_verb() -> None:
    loaded = modules_after(
        "import sys; from edgekit.cli.main import main; assert main(['--help']) == 0"
    )
    assert not loaded & HEAVY
    assert not loaded & {target.partition(":")[0] for target, _ in VERBS.values()}


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_loads_no_framework(verb: str) -> None:
    loaded = modules_after(
        f"import sys; from edgekit.cli.main import main; assert main(['{verb}', '--help']) == 0"
    )
    assert not loaded & {"torch", "tensorflow", "ai_edge_litert", "ai_edge_quantizer"}
