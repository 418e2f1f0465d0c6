"""The benchmark behind the choices of PyTorch's methods, on networks made here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.torch_choices import by_litert_torch, kernels
from benchmarks.torch_dev import DevModel, quality, quality_of, quality_table, quantized
from edgekit.recipe.schema import InputSpec, QuantizeSpec
from edgekit.runtimes.predict import predict
from tests.methods.torch_jobs import torch_job

IMAGE = InputSpec("image", (1, 3, 12, 12), layout="NCHW")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DevModel:
    """A network whose ReLU6 cuts most of its convolution off; it has no dev role of its own."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )
    with torch.no_grad():
        network[0].weight *= 60
    job = torch_job(network, tmp_path_factory.mktemp("job"), method="pt2e", inputs=(IMAGE,))
    with job.model.open_session(1) as session:
        found = predict(session, job.calibration)
    recipe = SimpleNamespace(
        quantize=QuantizeSpec(method="pt2e"), model=SimpleNamespace(outputs=("output",))
    )
    reference = found.outputs["output"]
    data = job.calibration
    return DevModel(recipe, job.model, data, data, data, reference, reference.argmax(1))


def test_a_recipe_is_quantized_with_other_options(
    model: DevModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE_DIR", str(tmp_path / "cache"))
    by_channel = quality(model, quantized(model, tmp_path / "a").artefact)
    whole = quality(model, quantized(model, tmp_path / "b", per_channel=False).artefact)
    assert by_channel.n == whole.n == 20
    assert by_channel.sqnr_db > 20
    assert by_channel.sqnr_db != whole.sqnr_db
    assert by_channel.lost is not None
    assert by_channel.lost.before == 1.0
    table = quality_table("Both", {"by channel": by_channel, "whole": whole})
    assert list(table.columns[0].cells) == ["by channel", "whole"]
    assert next(iter(table.columns[2].cells)) == f"{by_channel.sqnr_db:.1f}"


def test_the_other_quantizer_gains_by_a_fused_clamp(model: DevModel) -> None:
    apart, fused = (
        quality_of(model, by_litert_torch(model, fuse_clamps=fuse)).sqnr_db
        for fuse in (False, True)
    )
    assert fused > apart + 6


def test_wrong_kernels_are_told_from_sound_ones() -> None:
    table = kernels()
    columns = [list(column.cells) for column in table.columns]
    levels = dict(zip(columns[0], np.array(columns[1:], float).T, strict=True))
    assert max(levels["PReLU()"].max(), levels["PReLU(16)"].max()) < 20
    assert levels["ConvTranspose2d(16, 16, 2, stride=2, groups=16)"].min() > 40


def test_the_command_explains_itself(repository: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.torch_choices", "--help"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for option in ("--part", "fx", "pt2e", "lite0", "dynamic", "qat", "all"):
        assert option in ran.stdout
