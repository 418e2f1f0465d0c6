"""What goes wrong in real life, by the real command: one sentence that names it, a way out, the
right exit code, no traceback, and nothing left that looks finished."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import tflite_models as models
from tests.cli.commands import EDGEKIT, edgekit, environment, refused
from tests.e2e.torch_project import RECIPE, module, write_project
from tests.tiny_runs import IMAGES, write_arrays, write_model, write_photos, write_recipe

QUANTIZE = ("quantize", "--recipe", "recipe.yaml", "--out", "out")


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def fails(home: Path, code: int, *words: str) -> None:
    refused(edgekit(*QUANTIZE, cwd=home), code, *words)
    assert not (home / "out").exists()
    assert hidden(home) == []


# A PyTorch model and its weights ----------------------------------------------------------------


def missing(home: Path) -> dict[str, Any]:
    (home / "weights.pth").unlink()
    return {}


def corrupted(home: Path) -> dict[str, Any]:
    content = (home / "weights.pth").read_bytes()
    (home / "weights.pth").write_bytes(content[: len(content) // 2])
    return {}


def another_sha256(home: Path) -> dict[str, Any]:
    return {"model": {"sha256": "ab" * 32}}


def another_network(home: Path) -> dict[str, Any]:
    return {"model": {"factory_args": {"classes": 7}}}


def other_keys(home: Path) -> dict[str, Any]:
    torch.save({"body.0.weight": torch.zeros(4, 3, 3, 3), "extra": torch.zeros(1)}, home / "w.pth")
    return {"model": {"weights": ["file:w.pth"]}}


def nan(home: Path) -> dict[str, Any]:
    state = module().state_dict()
    state["head.bias"][2] = float("nan")
    torch.save(state, home / "weights.pth")
    return {}


def code_in_a_pickle(home: Path) -> dict[str, Any]:
    torch.save({"weight": torch.zeros(1), "made by": Path("x")}, home / "weights.pth")
    return {}


def wrong_channels(home: Path) -> dict[str, Any]:
    x = np.random.default_rng(0).normal(size=(40, 4, 16, 16))
    np.savez(home / "data.npz", image=x.astype(np.float32))
    return {
        "model": {"inputs": [{"name": "image", "shape": [1, 4, 16, 16], "layout": "NCHW"}]},
        "preprocess": {"kind": "arrays"},
        "calibration": {"dataset": "data.npz"},
        "evaluate": {"dataset": "data.npz"},
    }


def no_such_factory(home: Path) -> dict[str, Any]:
    return {"model": {"factory": "net.py:mak"}}


def no_labels(home: Path) -> dict[str, Any]:
    return {"model": {"labels": {"source": "file:labels.txt"}}}


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (missing, 2, ("recipe.yaml", "there is no file", "weights.pth")),
        (corrupted, 2, ("weights.pth is damaged", "copy it again")),
        (another_sha256, 2, ("weights.pth", "abab", "sha256")),
        (another_network, 2, ("does not fit Net", "head.weight [5, 4] instead of [7, 4]")),
        (other_keys, 2, ("w.pth does not fit Net", "missing in the file: body.0.bias", "extra")),
        (nan, 2, ("NaN or infinity", "head.bias", "earlier checkpoint")),
        (code_in_a_pickle, 2, ("weights.pth is a pickle that can run code", "trust_pickle")),
        (wrong_channels, 1, ("[1, 4, 16, 16] to have 3 channels", "Check model.inputs")),
        (no_such_factory, 2, ("net.py:mak", "Did you mean 'make'?")),
        (no_labels, 2, ("there is no file", "labels.txt")),
    ],
)
def test_a_model_that_cannot_be_had(
    tmp_path: Path, spoil: Callable[[Path], dict[str, Any]], code: int, words: tuple[str, ...]
) -> None:
    write_project(tmp_path)
    write_recipe(tmp_path, RECIPE, spoil(tmp_path))
    fails(tmp_path, code, *words)


# Data -------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """recipe.yaml over net.tflite and photos/."""
    write_model(tmp_path)
    write_photos(tmp_path)
    write_recipe(tmp_path, IMAGES, {"gate": {"agreement_min": 0.3}})
    return tmp_path


def test_a_broken_photo_is_named(home: Path) -> None:
    (home / "photos" / "holiday.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    fails(home, 2, "holiday.png")


def test_a_broken_photo_may_be_skipped(home: Path) -> None:
    skip = {"on_broken": "skip"}
    write_recipe(
        home, IMAGES, {"calibration": skip, "evaluate": skip, "gate": {"agreement_min": 0.3}}
    )
    (home / "photos" / "holiday.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    ran = edgekit(*QUANTIZE, cwd=home)
    assert ran.code == 0, ran
    assert "1 broken sample was skipped: holiday.png" in ran.stderr
    assert "holiday.png" in ran.stdout


def test_values_that_are_no_numbers(home: Path) -> None:
    write_recipe(home)
    x = np.random.default_rng(0).normal(size=(60, 4, 4, 3)).astype(np.float32)
    x[::7] = np.nan
    np.savez(home / "data.npz", x=x)
    fails(home, 2, "data.nan", "data.npz[")


def test_photos_that_are_nowhere(home: Path) -> None:
    write_recipe(home, IMAGES, {"calibration": {"dataset": "photo/"}})
    fails(home, 2, "recipe.yaml", "calibration.dataset", "no file or folder")


def test_a_quantized_model_as_the_source(home: Path) -> None:
    write_model(home, models.int8_model())
    fails(home, 2, "quantized already")


def test_inputs_that_are_not_the_files(home: Path) -> None:
    write_arrays(home)
    entry = {"name": "x", "shape": [1, 8, 8, 3], "layout": "NHWC"}
    write_recipe(home, {"model": {"inputs": [entry]}})
    fails(home, 2, "x [1, 8, 8, 3] float32", "x [1, 4, 4, 3] float32", "edgekit init")


# The folder -------------------------------------------------------------------------------------


def test_no_room_for_the_run(home: Path) -> None:
    """A limit of the file size stands for a full disk: write() fails in the same place."""
    assert edgekit(*QUANTIZE, cwd=home).code == 0  # what it computes is in the cache now
    ran = subprocess.run(
        [*EDGEKIT, *QUANTIZE[:-1], "second"],
        cwd=home,
        env=environment(),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        timeout=60,
    )
    assert ran.returncode == 2, ran
    assert "Traceback" not in ran.stderr
    assert f"cannot write the run to {home / 'second'}: File too large" in ran.stderr
    assert "Free some space" in ran.stderr
    assert not (home / "second").exists()
    assert hidden(home) == []


def test_no_room_for_the_cache(home: Path) -> None:
    ran = edgekit(*QUANTIZE, cwd=home, env={"EDGEKIT_CACHE_DIR": "/proc/cache"})
    refused(ran, 2, "the cache folder /proc/cache", "EDGEKIT_CACHE_DIR")
    assert not (home / "out").exists()
    assert hidden(home) == []
