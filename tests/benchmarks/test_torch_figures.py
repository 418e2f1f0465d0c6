"""The benchmark of PyTorch's methods: what its direct calls make, how its figures come about."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import direct_torch
from benchmarks.direct import compare
from benchmarks.torch_calibration import calibration_cost
from benchmarks.torch_dynamic import accuracy, size, speed
from benchmarks.torch_job import TorchJob
from benchmarks.torch_run import Direct, drop, reported_drop
from benchmarks.torch_static import fidelity, program_size
from benchmarks.torch_tuned import tuned
from edgekit.measure.accuracy import measure_accuracy
from edgekit.methods import load_method
from edgekit.numerics.intervals import paired_difference
from edgekit.recipe.schema import EvaluateSpec, InputSpec, QuantizeSpec
from edgekit.runtimes.predict import Predictions
from tests.methods.torch_jobs import torch_job

IMAGE = InputSpec("image", (1, 3, 12, 12), layout="NCHW")
ROWS = InputSpec("rows", (1, 12, 16))
CLASSES = 5
NETWORK = """
from torch import nn

def network(width):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5),
    )
"""


@pytest.fixture(autouse=True)
def settings_of_torch():
    """The direct script sets what is the whole process's."""
    threads, engine = torch.get_num_threads(), torch.backends.quantized.engine
    yield
    torch.set_num_threads(threads)
    torch.backends.quantized.engine = engine


def describe(folder: Path, ways: dict[str, int | None], **options: Any) -> dict[str, Any]:
    """A job on a small network with norms to fold, 40 samples to calibrate on, 20 to compare."""
    (folder / "small_network.py").write_text(NETWORK)
    torch.manual_seed(0)
    namespace: dict[str, Any] = {}
    exec(NETWORK, namespace)
    torch.save(namespace["network"](8).state_dict(), folder / "weights.pt")
    rng = np.random.default_rng(0)
    for part, count in (("calibration", 40), ("evaluation", 20)):
        images = rng.normal(size=(count, 12, 12, 3)).astype(np.float32)
        np.savez(folder / f"{part}.npz", image=images)
    return {
        "network": {
            "folders": [str(folder)],
            "module": "small_network",
            "attribute": "network",
            "arguments": {"width": 8},
            "weights": str(folder / "weights.pt"),
        },
        "inputs": [["image", "NCHW"]],
        "calibration": str(folder / "calibration.npz"),
        "evaluation": str(folder / "evaluation.npz"),
        "ways": ways,
        "options": options,
        "threads": 1,
    }


def run_script(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    direct_torch.main(str(file), str(folder))
    return json.loads((folder / "result.json").read_text())


def test_the_direct_script_runs_every_static_way(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    engines = torch.backends.quantized.supported_engines
    scripted = {f"fx_{engine}": None for engine in ("x86", "onednn") if engine in engines}
    ways = {"pt2e": None, "pt2e_per_channel": 7, **scripted}
    result = run_script(describe(tmp_path, ways), tmp_path)
    reference = np.load(tmp_path / "float.npy")
    assert reference.shape == (20, CLASSES)
    found = {way: np.load(tmp_path / f"{way}.npy") for way in ways}
    assert len(found["pt2e_per_channel"]) == 7
    sqnr = {way: compare(reference[: len(each)], each)["sqnr_db"] for way, each in found.items()}
    assert min(sqnr.values()) > 15
    for way in ("pt2e", "pt2e_per_channel"):
        # A slice of all samples as example input takes all of them into the file.
        held = result["ways"][way]
        assert held["bytes"] - held["bytes_own_example"] > 38 * 12 * 12 * 3 * 4


@pytest.mark.slow  # torchao looks for norms to fold for half a minute, however small the network
def test_the_direct_script_trains(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    limit = {"weight_limit": 7}
    ways = dict.fromkeys(("pt2e", "pt2e_qat"))
    job = describe(tmp_path, ways, pt2e=limit, pt2e_qat=dict(limit))
    rng = np.random.default_rng(1)
    labels = np.arange(20) % CLASSES
    colours = 3 * rng.normal(size=(CLASSES, 1, 1, 3))[labels]
    images = (colours + rng.normal(size=(20, 12, 12, 3))).astype(np.float32)
    for part in ("training", "evaluation"):
        np.savez(tmp_path / f"{part}.npz", image=images)
    job["options"]["pt2e_qat"]["training"] = {
        "file": str(tmp_path / "training.npz"),
        "input": "image",
        "labels": labels.tolist(),
        "steps": 60,
        "batch": 8,
        "learning_rate": 0.02,
    }
    run_script(job, tmp_path)
    right = {
        way: (np.load(tmp_path / f"{way}.npy").argmax(1) == labels).mean() for way in job["ways"]
    }
    assert right["pt2e_qat"] > right["pt2e"] + 0.2


def test_the_direct_script_has_nothing_of_edgekit(repository):
    loaded = (
        "import benchmarks.direct_torch, sys; "
        "print([name for name in sys.modules if name.split('.')[0] == 'edgekit'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", loaded], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_calls_take_turns():
    order: list[str] = []
    calls = {"a": (lambda: order.append("a"), 2), "b": (lambda: order.append("b"), 1)}
    times = direct_torch.time_in_turns(calls, rounds=2)
    assert "".join(order) == "aab" + "aab" + "baa"
    assert times["a"].shape == (2, 2)
    assert times["b"].shape == (2, 1)
    assert (times["a"] >= 0).all()


def test_a_drop_is_what_a_report_says_of_the_same_answers():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 60)
    reference = rng.normal(size=(60, CLASSES)) + 2 * np.eye(CLASSES)[labels]
    answers = (reference + rng.normal(size=reference.shape))[:50]
    found = drop(reference, answers, labels)
    ids = tuple(map(str, range(50)))
    scored = measure_accuracy(
        EvaluateSpec(dataset="any"),
        Predictions(outputs={"y": reference[:50]}, ids=ids, labels=labels[:50]),
        Predictions(outputs={"y": answers}, ids=ids, labels=labels[:50]),
        primary="y",
    )["top1"]
    assert found == reported_drop({"top1": scored.to_dict()})
    assert found.n == 50
    assert found.points == pytest.approx(100 * scored.drop)
    assert f"drop {100 * scored.drop:.2f} [" in str(found)


def test_calibration_is_timed_beside_torchao(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    made = torch_job(module, tmp_path, method="pt2e", inputs=(IMAGE,))
    np.savez(
        tmp_path / "calibration.npz",
        image=np.concatenate([sample.feeds["image"] for sample in made.calibration]),
    )
    recipe = SimpleNamespace(name="small", quantize=QuantizeSpec(method="pt2e"))
    direct = {"calibration": str(tmp_path / "calibration.npz"), "inputs": [["image", "NCHW"]]}
    data = SimpleNamespace(calibration=made.calibration)
    figure = calibration_cost(TorchJob(recipe, made.model, data, direct, tmp_path, None))
    assert figure.ci[0] <= figure.value <= figure.ci[1]
    ((name, beside),) = figure.beside
    assert "torchao" in name
    # A histogram of every tensor is more work than its two extremes, whatever the machine does.
    assert beside > figure.value > 0


REPORT = {
    "fidelity": {"agreement": 0.96, "sqnr_db": 17.0, "n": 4},
    "size": {"float_bytes": 1000, "bytes": 294, "ratio": 0.294},
    "artefact": {"backend": "xnnpack", "observer": "minmax", "format": "pt2"},
    "accuracy": {
        "top1": {"float": 0.75, "quantized": 0.75, "ci_low": -0.4, "ci_high": 0.4, "n": 4}
    },
    "alternatives": {},
}
LABELS = np.array([0, 1, 1, 1])
RIGHT = np.eye(2)[LABELS]


def direct_result(**answers: np.ndarray) -> Direct:
    reference = np.eye(2)[[0, 1, 1, 0]]
    ways = {way: {"bytes": 790, "bytes_own_example": 500} for way in answers}
    return Direct(reference, answers, ways, float_bytes=1000)


def test_static_figures_stand_beside_the_direct_calls():
    direct = direct_result(pt2e=RIGHT, pt2e_per_channel=np.eye(2)[[1, 0, 0, 1]])
    agreement, sqnr = fidelity("mobilenet_pt2e", REPORT, direct)
    assert (agreement.value, agreement.verdict) == (0.96, "reached")
    assert [value for _, value in agreement.beside] == [0.75, 0.0]
    assert sqnr.value == 17.0
    assert sqnr.beside[0][1] == pytest.approx(10 * np.log10(4 / 2))
    held = program_size("mobilenet_pt2e", REPORT, direct)
    assert (held.value, held.verdict) == (0.294, "reached")
    assert [value for _, value in held.beside] == [0.79, 0.5]


def test_dynamic_figures_stand_beside_the_direct_calls():
    job = TorchJob(SimpleNamespace(name="texts"), None, None, {}, Path(), LABELS)
    direct = direct_result(dynamic_linear=RIGHT, torchao=np.eye(2)[[0, 0]])
    direct.ways["dynamic_linear"]["script_bytes"] = 800
    lost = accuracy(job, REPORT, direct, limit=1.0)
    assert (lost.value, lost.ci, lost.verdict) == (0.0, (-40.0, 40.0), "reached")
    assert [value for _, value in lost.beside] == [-25.0, 50.0]
    interval = paired_difference(1, 0, 2)
    assert f"[{100 * interval.low:.2f}, {100 * interval.high:.2f}] points, n = 2" in lost.notes[2]
    report = {**REPORT, "alternatives": {"float embeddings": {"size": {"ratio": 0.64}}}}
    held = size(job, report, direct, limit=0.29)
    assert (held.value, held.verdict) == (0.294, "missed")
    assert [value for _, value in held.beside] == [0.64, 0.79, 0.8, 0.79]
    assert "TorchScript" in held.beside[2][0]


def test_the_speed_of_a_file_is_measured_in_a_plain_loop_too(tmp_path):
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(16, 32)
            self.head = nn.Linear(32, CLASSES)

        def forward(self, rows: Tensor) -> Tensor:
            answer: Tensor = self.head(self.rnn(rows)[0][:, -1])
            return answer

    made = torch_job(Recurrent(), tmp_path, method="dynamic", inputs=(ROWS,))
    quantized = load_method("dynamic").quantize(made)
    samples = np.concatenate([sample.feeds["rows"] for sample in made.calibration])
    np.savez(tmp_path / "evaluation.npz", rows=samples)
    host = {"speedup": 1.2, "ci_low": 1.1, "ci_high": 1.3, "rounds": 15, "float_ms": 2.0}
    host |= {"quantized_ms": 1.7, "quantized_engine": "torchscript"}
    report = {
        "latency": {"host": host},
        "artefact": {"backend": quantized.artefact.notes["backend"]},
    }
    direct = {"evaluation": str(tmp_path / "evaluation.npz"), "inputs": [["rows", None]]}
    recipe = SimpleNamespace(name="rows", latency=SimpleNamespace(threads=1))
    job = TorchJob(recipe, made.model, None, direct, tmp_path, None)
    engine = torch.backends.quantized.engine
    figure = speed(job, report, made.folder, ["dynamic_lstm"], target=None)
    assert torch.backends.quantized.engine == engine
    assert (figure.value, figure.ci) == (1.2, (1.1, 1.3))
    assert [name for name, _ in figure.beside] == [
        "quantize_dynamic, LSTM and Linear",
        "edgekit's file, plain loop",
    ]
    assert all(value > 0 for _, value in figure.beside)


def test_fine_tuning_stands_beside_doing_without():
    training = {"steps": 3, "batch": 2, "learning_rate": 0.01}
    plain = {"options": {"pt2e_qat": {"training": training, "weight_limit": 3}}}
    job = TorchJob(SimpleNamespace(name="tuned"), None, None, plain, Path(), LABELS)
    before = {"float": 0.75, "quantized": 0.5, "ci_low": -0.1, "ci_high": 0.6, "n": 4}
    report = {**REPORT, "alternatives": {"without fine-tuning": {"accuracy": {"top1": before}}}}
    direct = direct_result(pt2e=np.eye(2)[[1, 0, 0, 1]], pt2e_qat=RIGHT)
    figure = tuned(job, report, direct)
    assert figure.value == 0.0
    assert [value for _, value in figure.beside] == [25.0, -25.0, 50.0]
    assert figure.notes[-1].startswith("3 steps of 2 on both sides, Adam at 0.01; weights from -3")


def test_the_command_explains_itself(repository):
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.torch_methods", "--help"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for option in ("--part", "mobilenet", "minilm", "lstm", "qat", "all", "--json"):
        assert option in ran.stdout
