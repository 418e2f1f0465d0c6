"""A value flows one way: no room imports one that comes after it, and frameworks stay lazy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

# From the ground up; a room may import its own row and the rows above it.
ROWS: tuple[tuple[str, ...], ...] = (
    ("version", "errors", "types", "progress", "capture", "resources", "entry"),
    ("cache",),
    ("fetch",),
    ("recipe", "bridges", "methods", "calibrate", "sources"),  # their tables; see below
    (
        "data",
        "tflite",
        "pytorch",
        "tensorflow",
        "onnx",
        "environments",
        "numerics",
        "optimize",
        "zoo",
        "runtimes",
    ),
    ("artefact", "tasks", "choose"),
    ("runs",),
    ("measure",),
    ("gate",),
    ("report",),
    (
        "starter",
        "starter_yaml",
        "doctor",
        "plan",
        "reach",
        "trial",
        "conversion",
        "debug",
        "android",
        "bench",
        "inspection",
        "comparison",
        "given",
    ),
    ("pipeline",),
    ("cli",),
)
RANK = {room: rank for rank, row in enumerate(ROWS) for room in row}
# The stages of a run, first to last: none reaches forward.
STAGES = ("sources", "bridges", "methods", "measure", "gate", "report")
HEAVY = {
    "torch",
    "torchao",
    "tensorflow",
    "keras",
    "tf_keras",
    "litert_torch",
    "ai_edge_litert",
    "ai_edge_quantizer",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnxslim",
    "tf2onnx",
    "tokenizers",
    "transformers",
}


def modules(repository: Path) -> Iterator[tuple[str, str, ast.Module]]:
    """Room, dotted name and tree of every module of edgekit."""
    for file in sorted((repository / "edgekit").rglob("*.py")):
        parts = file.relative_to(repository).with_suffix("").parts
        if len(parts) > 1 and parts[1] != "__init__" and parts[1] != "__main__":
            yield parts[1], ".".join(parts), ast.parse(file.read_text(encoding="utf-8"))


def imports(tree: ast.AST, *, everywhere: bool) -> Iterator[str]:
    """Dotted names a module imports; those for type checkers only are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node, everywhere=everywhere)


def test_every_room_has_a_place(repository: Path) -> None:
    assert {room for room, _, _ in modules(repository)} <= RANK.keys()


def test_no_stage_imports_a_later_one(repository: Path) -> None:
    forward = [
        f"{name} imports {imported}"
        for room, name, tree in modules(repository)
        if room in STAGES
        for imported in imports(tree, everywhere=True)
        for later in STAGES[STAGES.index(room) + 1 :]
        if imported.startswith(f"edgekit.{later}")
    ]
    assert forward == []


def test_nothing_but_the_command_line_knows_the_pipeline(repository: Path) -> None:
    knowing = [
        name
        for room, name, tree in modules(repository)
        if any(
            imported.startswith("edgekit.pipeline") for imported in imports(tree, everywhere=True)
        )
    ]
    assert all(name.startswith("edgekit.cli.") for name in knowing)


@pytest.mark.parametrize("ground", ROWS[0] + ROWS[1])
def test_the_ground_stands_on_nothing_above_it(repository: Path, ground: str) -> None:
    above = [
        imported
        for room, _, tree in modules(repository)
        if room == ground
        for imported in imports(tree, everywhere=True)
        if imported.startswith("edgekit.") and RANK[imported.split(".")[1]] > RANK[ground]
    ]
    assert above == []


def test_frameworks_are_imported_where_they_are_used(repository: Path) -> None:
    # A module that is itself imported only once its framework is needed may import it on top.
    own = {
        "edgekit.zoo",
        "edgekit.sources.torch_weights",
        "edgekit.bridges.channels_last",
        "edgekit.optimize",
        "edgekit.pytorch",
    }
    early = [
        f"{name} imports {imported}"
        for _, name, tree in modules(repository)
        if not any(name.startswith(prefix) for prefix in own)
        for imported in imports(tree, everywhere=False)
        if imported.split(".")[0] in HEAVY
    ]
    assert early == []
