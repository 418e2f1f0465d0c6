"""Fine-tuning through each method: better than without it, repeatable, and beside it."""

from __future__ import annotations

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from edgekit.artefact import open_artefact
from edgekit.data.arrays import ArrayDataset, open_arrays
from edgekit.errors import ConversionError
from edgekit.methods import load_method
from edgekit.methods.fine_tuning import WITHOUT
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.recipe.schema import InputSpec, ModuleRule, PreprocessSpec, QatSpec
from edgekit.sources.source import SourceModel
from edgekit.types import Array, Artefact, ModelKind, Role
from tests.methods.torch_jobs import torch_job

IMAGE = InputSpec("image", (1, 2, 6, 6), "float32", "NCHW")
TWO_BITS = (ModuleRule(name="*", weight_bits=2),)
QAT = QatSpec(steps=60, batch=16, learning_rate=5e-3)
METHODS = ("pt2e", "fx", "pt2e_tflite")


class Net(torch.nn.Module):
    """A convolution with a norm and a clamp, a depthwise one with a residual, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(
            torch.nn.Conv2d(2, 8, 3, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU6()
        )
        self.depthwise = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = torch.nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x)
        h = h + self.depthwise(h)
        scores: torch.Tensor = self.head(h.mean((2, 3)))
        return scores


class OneAtATime(Net):
    """Its code has the batch in it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(x).mean((2, 3)).reshape(1, 8))


def _pictures(rows: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Noise under one of four gratings."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, rows)
    grating = np.zeros((4, 2, 6, 6), np.float32)
    grating[0, 0, ::2] = grating[1, 0, :, ::2] = 1
    grating[2, 1, ::2] = grating[3, 1, :, ::2] = 1
    noise = random.normal(size=(rows, 2, 6, 6))
    return (grating[labels] + noise).astype(np.float32), labels


def _labelled(folder: Path) -> ArrayDataset:
    x, labels = _pictures(400, seed=0)
    np.savez(folder / "labelled.npz", image=x, labels=labels)
    kind = PreprocessSpec(kind="arrays")
    return open_arrays(folder / "labelled.npz", Role.CALIBRATION, (IMAGE,), kind, None)


@pytest.fixture(scope="session")
def trained() -> Net:
    """In eval mode, and right nearly always."""
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), 2e-2)
    for step in range(80):
        x, labels = _pictures(64, seed=100 + step)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(torch.tensor(x)), torch.tensor(labels)).backward()
        optimizer.step()
    return net.eval()


def _job(net: torch.nn.Module, folder: Path, method: str = "pt2e", **options: Any) -> QuantizeJob:
    given = {"modules": TWO_BITS, "qat": QAT, **options}
    if method == "pt2e_tflite":
        given |= {"input_dtype": "float32", "output_dtype": "float32"}
    job = torch_job(net, folder, method=method, inputs=(IMAGE,), **given)
    dataset = _labelled(folder)

    def open_training(samples: int) -> ArrayDataset:
        assert samples == min(given["qat"].samples, given["qat"].steps * given["qat"].batch)
        return dataset

    return dataclasses.replace(job, calibration=dataset, open_training=open_training)


def _quantized(job: QuantizeJob) -> Quantized:
    return load_method(job.options.method).quantize(job)


def _scores(artefact: Artefact, x: Array) -> Array:
    with open_artefact(artefact) as session:
        return np.concatenate(
            [session.run({"image": row[None].transpose(0, 2, 3, 1)})["output"] for row in x]
        )


def _loss(artefact: Artefact) -> float:
    """On pictures that nothing was fitted to."""
    x, labels = _pictures(100, seed=50)
    scores = torch.tensor(_scores(artefact, x))
    return float(torch.nn.functional.cross_entropy(scores, torch.tensor(labels)))


def _tensors(artefact: Artefact) -> dict[str, torch.Tensor]:
    program = torch.export.load(artefact.path)
    return {**program.state_dict, **program.constants}


@pytest.fixture(scope="session", params=METHODS)
def tuned(
    request: pytest.FixtureRequest, trained: Net, tmp_path_factory: pytest.TempPathFactory
) -> Quantized:
    folder = tmp_path_factory.mktemp(request.param)
    return _quantized(_job(trained, folder, request.param))


@pytest.mark.slow
def test_fine_tuning_wins_back_what_two_bits_lost(tuned: Quantized) -> None:
    before, after = _loss(tuned.alternatives[WITHOUT]), _loss(tuned.artefact)
    assert after < 0.5 * before
    notes = tuned.artefact.notes["fine_tuning"]
    assert (notes["steps"], notes["batch"]) == (60, 16)
    assert notes["loss_last"] < notes["loss_first"]
    assert "fine_tuning" not in tuned.alternatives[WITHOUT].notes


@pytest.mark.slow
def test_the_one_beside_it_is_what_the_recipe_gives_without_it(
    tuned: Quantized, trained: Net, tmp_path: Path
) -> None:
    method = tuned.artefact.method
    alone = _quantized(_job_without(trained, tmp_path, method))
    assert not alone.alternatives
    assert alone.artefact.path.name == tuned.artefact.path.name
    beside = tuned.alternatives[WITHOUT]
    assert beside.path.name == f"model.ptq{beside.path.suffix}"
    x, _ = _pictures(5, seed=3)
    np.testing.assert_array_equal(_scores(alone.artefact, x), _scores(beside, x))
    assert not np.array_equal(_scores(tuned.artefact, x), _scores(beside, x))


def _job_without(net: torch.nn.Module, folder: Path, method: str) -> QuantizeJob:
    job = _job(net, folder, method)
    return dataclasses.replace(job, options=dataclasses.replace(job.options, qat=None))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("pt2e", {"backend": "xnnpack"}),
        ("pt2e", {"backend": "x86", "modules": ()}),
        ("pt2e", {"per_channel": False}),
        ("fx", {"backend": "onednn"}),
    ],
)
def test_training_starts_from_what_calibration_alone_gives(
    trained: Net, tmp_path: Path, method: str, options: dict[str, Any]
) -> None:
    whole = QatSpec(steps=1, batch=200)  # all that the calibration role has
    job = _job(trained, tmp_path, method, qat=whole, **options)
    made = _quantized(job)
    assert len(job.calibration) == 200
    x = np.concatenate([sample.feeds["image"] for sample in job.calibration])
    labels = torch.tensor([sample.label for sample in job.calibration])
    scores = torch.tensor(_scores(made.alternatives[WITHOUT], x.transpose(0, 3, 1, 2)))
    loss = float(torch.nn.functional.cross_entropy(scores, labels))
    assert made.artefact.notes["fine_tuning"]["loss_first"] == pytest.approx(loss, rel=0.02)


def test_the_source_stays_as_it_was(trained: Net, tmp_path: Path) -> None:
    before = copy.deepcopy(trained.state_dict())
    few = dataclasses.replace(QAT, steps=2)
    for method in ("pt2e", "fx"):
        (tmp_path / method).mkdir()
        _quantized(_job(trained, tmp_path / method, method, qat=few))
    assert not trained.training
    for name, tensor in trained.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_seed_gives_the_same_tensors(trained: Net, tmp_path: Path) -> None:
    few = dataclasses.replace(QAT, steps=6)
    found = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(_tensors(_quantized(_job(trained, folder, qat=few, seed=seed)).artefact))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0] | found[1])
    assert any(not torch.equal(found[0][name], found[2][name]) for name in found[0])


def test_weights_are_on_a_grid_of_two_bits(trained: Net, tmp_path: Path) -> None:
    tensors = _tensors(_quantized(_job(trained, tmp_path)).artefact)
    weights = [tensor for tensor in tensors.values() if tensor.dtype == torch.int8]
    assert sorted(weight.numel() for weight in weights) == [8 * 4, 8 * 9, 8 * 2 * 9]
    assert {int(weight.abs().max()) for weight in weights} == {1}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_ranges_are_taken_again_when_they_freeze(
    trained: Net, tmp_path: Path, share: float
) -> None:
    job = _job(trained, tmp_path, qat=dataclasses.replace(QAT, freeze_after=share))
    made = _quantized(job)
    scales = [_scales(made.alternatives[WITHOUT]), _scales(made.artefact)]
    same = [before == after for before, after in zip(*scales, strict=True)]
    assert all(same) if share == 0 else not all(same[1:])
    assert same[0]  # of the input, which no weight changes


def _scales(artefact: Artefact) -> list[float]:
    """Of the activations, in graph order."""
    return [
        node.args[1]
        for node in torch.export.load(artefact.path).graph.nodes
        if str(node.target) == "quantized_decomposed.quantize_per_tensor.default"
    ]


def test_a_model_for_one_sample_only(tmp_path: Path) -> None:
    torch.manual_seed(0)
    job = _job(OneAtATime().eval(), tmp_path)
    with pytest.raises(ConversionError, match="no graph for a batch of 16") as caught:
        _quantized(job)
    assert "quantize.qat.batch: 1" in str(caught.value.hint)
    one = dataclasses.replace(QAT, steps=4, batch=1)
    (tmp_path / "one").mkdir()
    made = _quantized(_job(OneAtATime().eval(), tmp_path / "one", qat=one))
    assert made.artefact.path.is_file()


def test_a_program_that_was_exported_elsewhere(trained: Net, tmp_path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    example = torch.zeros(2, *IMAGE.shape[1:])
    free = torch.export.export(trained, (example,), dynamic_shapes=({0: batch},))
    job = _job(trained, tmp_path)
    source = SourceModel(
        ModelKind.EXPORTED_PROGRAM,
        job.model.inputs,
        job.model.outputs,
        "program",
        {},
        lambda: free,
        job.model.opener,
    )
    made = _quantized(dataclasses.replace(job, model=source))
    assert _loss(made.artefact) < 0.5 * _loss(made.alternatives[WITHOUT])


def test_the_training_step_of_the_guide(trained: Net, tmp_path: Path, repository: Path) -> None:
    guide = (repository / "docs" / "your-own-model.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(# finetune\.py\n.*?)```", guide, re.DOTALL)
    (section,) = re.findall(r"```yaml\n(quantize:\n[^`]*  qat:\n.*?)```", guide, re.DOTALL)
    (tmp_path / "finetune.py").write_text(code, encoding="utf-8")
    keys = yaml.safe_load(section)["quantize"]["qat"]
    keys["training_step"] = str(tmp_path / keys["training_step"])
    made = _quantized(_job(trained, tmp_path, qat=QatSpec(**{**keys, "steps": 20})))
    notes = made.artefact.notes["fine_tuning"]
    assert notes["learning_rate"] == keys["learning_rate"]
    assert notes["loss_last"] < notes["loss_first"]
