"""A folder as a PyTorch user has it: net.py, its weights, photos, and a recipe over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.tiny_runs import write_photos, write_recipe

NET = """
import pathlib
import torch


class Net(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU())
        self.head = torch.nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def make(classes=5):
    return Net(classes)
"""

RECIPE: dict[str, Any] = {
    "model": {
        "framework": "pytorch",
        "file": None,
        "factory": "net.py:make",
        "weights": ["file:weights.pth"],
        "inputs": [{"name": "image", "shape": [1, 3, 16, 16], "layout": "NCHW"}],
        "outputs": ["logits"],
    },
    "preprocess": {
        "kind": "image",
        "resize": {"shorter_side": 18},
        "crop": {"width": 16, "height": 16},
        "divisor": 127.5,
        "mean": 1,
    },
    "calibration": {"dataset": "photos", "samples": 20},
    "evaluate": {"dataset": "photos", "samples": 12},
    "gate": {"agreement_min": 0.5},
}


def module() -> torch.nn.Module:
    """The network of net.py with the same weights on every call."""
    namespace: dict[str, Any] = {}
    exec(compile(NET, "net.py", "exec"), namespace)
    torch.manual_seed(0)
    made: torch.nn.Module = namespace["make"]().eval()
    return made


def write_project(folder: Path, *changes: dict[str, Any]) -> Path:
    """Fill ``folder``; returns its recipe.yaml, with ``changes`` laid over ``RECIPE``."""
    (folder / "net.py").write_text(NET, encoding="utf-8")
    torch.save(module().state_dict(), folder / "weights.pth")
    write_photos(folder, classes=5)
    return write_recipe(folder, RECIPE, *changes)
