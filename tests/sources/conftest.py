"""A tiny PyTorch network, in every form a source can have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgekit.recipe.schema import InputSpec

IMAGE = InputSpec("image", (1, 3, 8, 8), "float32", "NCHW")
MODULE_TEXT = """\
import torch


class Net(torch.nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
        )
        self.head = torch.nn.Linear(4, classes)

    def forward(self, x):
        h = self.body(x)
        return h, self.head(h.mean((2, 3)))


def build(classes=5):
    return Net(classes)
"""


class Net(torch.nn.Module):
    """The network of MODULE_TEXT: a feature map and scores."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
        )
        self.head = torch.nn.Linear(4, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.body(x)
        return h, self.head(h.mean((2, 3)))


def seeded(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net().eval()


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.pt2, free.pt2 (dynamic batch), net.ts, net.pth and model.py."""
    folder = tmp_path_factory.mktemp("saved")
    net, x = seeded(), torch.zeros(1, 3, 8, 8)
    torch.export.save(torch.export.export(net, (x,)), folder / "net.pt2")
    batch = torch.export.Dim("batch")
    free = torch.export.export(net, (x.repeat(2, 1, 1, 1),), dynamic_shapes=({0: batch},))
    torch.export.save(free, folder / "free.pt2")
    torch.jit.trace(net, x).save(str(folder / "net.ts"))
    torch.save(net.state_dict(), folder / "net.pth")
    (folder / "model.py").write_text(MODULE_TEXT)
    return folder


@pytest.fixture(scope="session")
def keras_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that ``tests.keras_models`` writes."""
    from tests.keras_models import write_models

    folder = tmp_path_factory.mktemp("keras")
    write_models(folder)
    return folder
