"""A .tflite file cut short or with flipped bytes, by the real command: never a crash of edgekit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import tflite_models as models
from tests.cli.commands import edgekit, refused
from tests.tiny_runs import write_arrays, write_model, write_recipe

RUN = ("quantize", "--recipe", "recipe.yaml", "--out", "out")


def cut(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: rng.integers(0, len(data) - 1)]


def flipped(rng: np.random.Generator, data: bytes) -> bytes:
    """Flips where the structure is: a weight that changed is another model, no damage."""
    changed = bytearray(data)
    for _ in range(12):
        changed[rng.integers(0, len(data))] ^= int(rng.integers(1, 256))
    return bytes(changed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("damage", [cut, flipped])
def test_one_line_that_says_so(tmp_path: Path, damage: object, seed: int) -> None:
    assert callable(damage)
    data = damage(np.random.default_rng(seed), models.float_model())
    write_model(tmp_path, data)
    write_arrays(tmp_path)
    write_recipe(tmp_path)
    ran = edgekit(*RUN, cwd=tmp_path)
    assert ran.code in (1, 2), ran
    refused(ran, ran.code, "net.tflite" if ran.code == 2 else "")
    assert len([line for line in ran.stderr.splitlines() if "error: " in line]) == 1
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_crash_of_the_interpreter_ends_the_run_and_nothing_else(tmp_path: Path) -> None:
    write_model(tmp_path, models.crashing_model())
    np.savez(tmp_path / "data.npz", x=np.ones((100, 4, 4, 4), np.float32))
    x = {"name": "x", "shape": [1, 4, 4, 4], "layout": "NHWC"}
    write_recipe(tmp_path, {"model": {"inputs": [x], "outputs": ["y"]}})
    refused(edgekit(*RUN, cwd=tmp_path), 2, "net.tflite does not run: the interpreter crashed")
    assert not (tmp_path / "out").exists()
