"""Small PyTorch networks with what quantizers trip over, and sources and jobs made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgekit.cache import Cache, content_key
from edgekit.data.arrays import ArrayDataset, open_arrays
from edgekit.methods.method import Goal, QuantizeJob
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, PreprocessSpec, QuantizeSpec
from edgekit.runtimes.torch_module import TorchSession
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind, Role

INPUTS = (InputSpec("image", (1, 3, 12, 12), layout="NCHW"),)
OUTPUTS = ("scores",)


class Block(nn.Module):
    """Convolution, norm, ReLU6: what is folded and fused."""

    def __init__(self, before: int, after: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(after)
        self.act = nn.ReLU6()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(x)))


class Net(nn.Module):
    """A residual network of 3x12x12 images, 5 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 16)
        self.deep = Block(16, 16, groups=16)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.deep(x)
        return self.head(self.pool(x).flatten(1))


def trained(net: nn.Module, shape: tuple[int, ...] = (32, 3, 12, 12)) -> nn.Module:
    """``net`` as if trained: norms have met data, so that folding them matters."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            spread = 0.3 if parameter.ndim > 1 else 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
        net.train()
        for _ in range(20):
            net(torch.randn(shape, generator=generator) * 2)
    return net.eval()


def source(
    net: nn.Module,
    inputs: tuple[InputSpec, ...] = INPUTS,
    outputs: tuple[str, ...] = OUTPUTS,
    kind: ModelKind = ModelKind.TORCH_MODULE,
) -> SourceModel:
    """``net`` as a located model; its fingerprint is that of its weights and class."""
    weights = {name: tensor.numpy().tobytes() for name, tensor in net.state_dict().items()}
    examples = tuple(torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in inputs)

    def load() -> Any:
        program = kind is ModelKind.EXPORTED_PROGRAM
        return torch.export.export(net, examples) if program else net

    def open_session(model: SourceModel, threads: int) -> TorchSession:
        return TorchSession(net, model.inputs, model.outputs, threads)

    return SourceModel(
        kind=kind,
        inputs=inputs,
        outputs=outputs,
        fingerprint=content_key({"weights": weights, "net": type(net).__name__}),
        files={},
        loader=load,
        opener=open_session,
    )


def dataset(
    folder: Path, inputs: tuple[InputSpec, ...] = INPUTS, rows: int = 24, scale: float = 2.0
) -> ArrayDataset:
    """Half of ``rows`` random inputs, in the calibration role."""
    random = np.random.default_rng(0)
    arrays = {}
    for spec in inputs:
        arrays[spec.name] = (random.normal(size=(rows, *spec.shape[1:])) * scale).astype(np.float32)
    file = folder / "inputs.npz"
    np.savez(file, **arrays)
    return open_arrays(file, Role.CALIBRATION, inputs, PreprocessSpec(kind="arrays"), None)


def refuse(*_: Any) -> ArrayDataset:
    """For the datasets that a job must not open."""
    raise AssertionError("this method chooses and trains nothing")


def job(
    folder: Path,
    net: nn.Module,
    method: str,
    *,
    calibration: Any = None,
    cache: Cache | None = None,
    inputs: tuple[InputSpec, ...] = INPUTS,
    outputs: tuple[str, ...] = OUTPUTS,
    kind: ModelKind = ModelKind.TORCH_MODULE,
    open_dev: Callable[[], Any] = refuse,
    **options: Any,
) -> QuantizeJob:
    """A job on ``net`` that writes into ``folder``, which must exist."""
    return QuantizeJob(
        model=source(net, inputs, outputs, kind),
        goal=Goal(outputs[0], classification=True),
        options=QuantizeSpec(method=method, **options),
        calibration=dataset(folder, inputs) if calibration is None else calibration,
        open_dev=open_dev,
        open_training=refuse,
        folder=folder,
        cache=cache or Cache(folder / "cache"),
        progress=SilentProgress(),
        threads=1,
    )
