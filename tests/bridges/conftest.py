"""One tiny network, taken over the bridge once from each form it can have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.recipe.schema import InputSpec
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind, Sample

IMAGE = InputSpec("image", (1, 3, 8, 8), "float32", "NCHW")
OUTPUTS = ("features", "scores")


class Net(torch.nn.Module):
    """Channels-first; returns a feature map [N, 4, 8, 8] and scores [N, 5]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
        )
        self.head = torch.nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body(x)
        return features, self.head(features.mean((2, 3)))


def network(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net().eval()


def source_of(
    module: torch.nn.Module,
    inputs: tuple[InputSpec, ...] = (IMAGE,),
    outputs: tuple[str, ...] = OUTPUTS,
    fingerprint: str = "network",
) -> SourceModel:
    """``module`` as a located source."""
    from edgekit.sources.pytorch import _open

    return SourceModel(
        kind=ModelKind.TORCH_MODULE,
        inputs=inputs,
        outputs=outputs,
        fingerprint=fingerprint,
        files={},
        loader=lambda: module,
        opener=_open,
    )


def inputs(count: int = 4) -> list[Sample]:
    """Channels-last, as every session takes them."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(1, 8, 8, 3)).astype(np.float32) for _ in range(count)]
    return [Sample(str(i), str(i), {"image": array}) for i, array in enumerate(arrays)]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.pt2, free.pt2 (dynamic batch) and net.ts."""
    folder = tmp_path_factory.mktemp("network")
    net, x = network(), torch.zeros(1, 3, 8, 8)
    torch.export.save(torch.export.export(net, (x,)), folder / "net.pt2")
    batch = torch.export.Dim("batch")
    free = torch.export.export(net, (x.repeat(2, 1, 1, 1),), dynamic_shapes=({0: batch},))
    torch.export.save(free, folder / "free.pt2")
    torch.jit.trace(net, x).save(str(folder / "net.ts"))
    return folder
