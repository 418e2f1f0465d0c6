"""Dynamic INT8 by torchao: plain tensors in the file, a range for each token."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import ConversionError, RecipeError
from edgekit.methods import load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.pytorch.description import FILE, from_json
from edgekit.pytorch.dynamic_plan import FLOAT_TABLES, plan_modules
from edgekit.pytorch.dynamic_torchao import Int8Embedding, library
from edgekit.recipe.schema import InputSpec, ModuleRule, QuantizeSpec
from edgekit.runtimes.torch_module import TorchSession
from edgekit.types import Array
from tests.e2e.torch_project import write_project
from tests.methods.torch_jobs import TOKENS, answers, sqnr_db, torch_job

IDS = InputSpec("ids", (1, 12), "int64")
UNTIMED = {"latency": {"enabled": False}}
_SHARED = ("first", "second")


class Words(nn.Module):
    """A table, a convolution, a norm, and two names for one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(40 * TOKENS, 32)
        self.mixer = nn.Conv1d(32, 32, 3, padding=1)
        self.norm = nn.LayerNorm(32)
        self.first = nn.Linear(32, 32)
        self.second = self.first
        self.head = nn.Linear(32, 5, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        mixed = self.mixer(self.words(ids).transpose(1, 2)).transpose(1, 2)
        answer: Tensor = self.head(self.second(self.first(self.norm(mixed)).relu()))
        return answer


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def job(tmp_path: Path) -> QuantizeJob:
    return torch_job(Words(), tmp_path, method="dynamic_torchao", inputs=(IDS,))


def _quantized(job: QuantizeJob) -> Quantized:
    return load_method("dynamic_torchao").quantize(job)


def _answers(file: Path, job: QuantizeJob) -> Array:
    module = torch.export.load(file).module()
    return answers(TorchSession(module, (IDS,), ("output",), 1), job)


def test_it_answers_as_the_float_model_does(job: QuantizeJob) -> None:
    quantized = _quantized(job)
    wanted = answers(job.model.open_session(1), job)
    assert sqnr_db(wanted, _answers(quantized.artefact.path, job)) > 32
    baseline = _answers(quantized.baseline.files["model"], job)
    np.testing.assert_allclose(baseline, wanted, atol=1e-5)


def test_the_file_holds_plain_int8_tensors(job: QuantizeJob) -> None:
    quantized = _quantized(job)
    program = torch.export.load(quantized.artefact.path)
    types = {name: tensor.dtype for name, tensor in program.state_dict.items()}
    int8 = {name for name, dtype in types.items() if dtype is torch.int8}
    # Of the two names of a layer torch.export keeps one.
    assert int8 in ({"words.weight", f"{name}.weight", "head.weight"} for name in _SHARED)
    assert all(type(tensor) in (Tensor, nn.Parameter) for tensor in program.state_dict.values())
    with zipfile.ZipFile(quantized.artefact.path) as archive:
        (entry,) = (name for name in archive.namelist() if name.endswith(f"/{FILE}"))
        described = from_json(archive.read(entry).decode(), "model.pt2")
    assert described.kept_float == {"mixer": "torchao has no dynamic INT8 kernel for Conv1d"}
    assert set(described.tools) == {"torch", "torchao"}


def test_tables_are_an_option_and_their_worth_is_measured_beside(
    job: QuantizeJob, tmp_path: Path
) -> None:
    quantized = _quantized(job)
    alternative = quantized.alternatives[FLOAT_TABLES].path
    assert alternative.stat().st_size > 2 * quantized.artefact.path.stat().st_size
    off = torch_job(
        job.model.value, tmp_path / "off", method="dynamic_torchao", inputs=(IDS,), embeddings=False
    )
    without = _quantized(off)
    assert without.alternatives == {}
    wanted = _answers(alternative, job)
    np.testing.assert_array_equal(_answers(without.artefact.path, job), wanted)


@pytest.mark.slow
def test_another_process_loads_it_with_torch_and_torchao_alone(job: QuantizeJob) -> None:
    file = _quantized(job).artefact.path
    code = (
        "import sys, torch, torchao\n"
        f"program = torch.export.load({str(file)!r})\n"
        "print(program.module()(torch.zeros(1, 12, dtype=torch.int64)).shape)\n"
        "assert not any(name.startswith('edgekit') for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False
    )
    assert "torch.Size([1, 12, 5])" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_quiet_run_prints_nothing_of_torchaos(tmp_path: Path) -> None:
    recipe = write_project(tmp_path, {"quantize": {"method": "dynamic_torchao"}, **UNTIMED})
    code = "import sys; from edgekit.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "quantize", "-q", "--recipe", str(recipe)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "EDGEKIT_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout


def test_the_model_is_left_as_it_was(job: QuantizeJob) -> None:
    module = job.model.value
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    _quantized(job)
    assert isinstance(module.first, nn.Linear)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_rows_of_a_table_have_scales_of_their_own() -> None:
    table = nn.Embedding(3, 8)
    with torch.no_grad():
        table.weight.mul_(torch.tensor([[1e-3], [1.0], [1e3]]))
    ids = torch.tensor([[0, 1, 2]])
    ratio = (Int8Embedding(table)(ids) - table(ids)).norm(dim=2) / table(ids).norm(dim=2)
    assert float(ratio.detach().max()) < 0.01


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (ModuleRule(type="Conv1d", method="dynamic"), "no dynamic INT8 kernel for Conv1d"),
        (ModuleRule(name="first", method="static"), "asks for static ranges for first"),
        (ModuleRule(name="first", weight_bits=4), "weights of 4 bits for first"),
    ],
)
def test_what_torchao_cannot_do_is_refused(rule: ModuleRule, message: str) -> None:
    spec = QuantizeSpec(method="dynamic_torchao", modules=(rule,))
    with pytest.raises(RecipeError, match=message):
        plan_modules(Words(), spec, library())


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.EmbeddingBag(9, 4, mode="sum"), "no dynamic INT8 kernel for EmbeddingBag"),
        (nn.Embedding(9, 4, max_norm=1.0), "cannot be renormalized"),
        (nn.LSTM(4, 4), "no dynamic INT8 kernel for LSTM"),
        (nn.Bilinear(4, 4, 4), "no dynamic INT8 kernel for Bilinear"),
    ],
)
def test_what_has_no_kernel_stays_float(module: nn.Module, reason: str) -> None:
    spec = QuantizeSpec(method="dynamic_torchao")
    plan = plan_modules(nn.ModuleDict({"odd": module, "fine": nn.Linear(4, 4)}), spec, library())
    assert reason in plan.kept_float["odd"]
    with pytest.raises(ConversionError, match="nothing in the model can be quantized"):
        plan_modules(nn.ModuleDict({"odd": module}), spec, library())


def test_a_subclass_with_a_forward_of_its_own_stays_float() -> None:
    class Doubling(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * 2

    spec = QuantizeSpec(method="dynamic_torchao")
    plan = plan_modules(nn.Sequential(Doubling(4, 4), nn.Linear(4, 4)), spec, library())
    assert "forward of its own" in plan.kept_float["0"]
