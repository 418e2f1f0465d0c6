"""Static INT8 by FX: engines held to their reference, ReLU6, weights that cannot overflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekit.calibrate.statistics import Range
from edgekit.errors import ConversionError, MissingError, RecipeError
from edgekit.methods import load_method
from edgekit.pytorch.description import read_description
from edgekit.pytorch.fx_graph import convert, prepare
from edgekit.pytorch.modules import Treatment
from edgekit.pytorch.script_facts import inspect
from edgekit.recipe.schema import InputSpec, ModuleRule
from edgekit.runtimes import open_session
from tests.methods.torch_jobs import answers, sqnr_db, torch_job

IMAGE = InputSpec("image", (1, 3, 16, 16), "float32", "NCHW")
ENGINES = torch.backends.quantized.supported_engines


class Net(nn.Module):
    """ReLU6 behind a folded norm, behind a depthwise layer, and one module used twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.clip = nn.ReLU6()
        self.deep = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.point = nn.Conv2d(16, 24, 1)
        self.head = nn.Linear(24, 10)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4)

    def forward(self, image: Tensor) -> Tensor:
        hidden = self.clip(self.norm(self.stem(image)))
        hidden = self.clip(self.deep(hidden))
        answer: Tensor = self.head(self.point(hidden).mean((2, 3)))
        return answer


class Clipped(nn.Module):
    """A ReLU6 that no layer can absorb: it follows an addition."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.clip = nn.ReLU6()

    def forward(self, image: Tensor) -> Tensor:
        hidden = self.conv(image)
        answer: Tensor = self.clip(hidden + hidden).mean((2, 3))
        return answer


class Branching(nn.Module):
    """Values decide, or sizes."""

    def __init__(self, sizes: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.part = Sizes() if sizes else Values()

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = self.part(self.conv(image))
        return answer


class Values(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.isnan().any():
            x = x * 0
        answer: Tensor = self.head(x.mean((2, 3)))
        return answer


class Sizes(Values):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] > 100:
            x = x * 0
        answer: Tensor = self.head(x.mean((2, 3)))
        return answer


def made(module: nn.Module, folder: Path, **options: Any) -> tuple[Any, Any]:
    job = torch_job(module, folder, method="fx", inputs=(IMAGE,), **options)
    return job, load_method("fx").quantize(job)


@pytest.mark.parametrize("backend", ENGINES)
def test_every_engine_answers_like_the_float_model(backend: str, tmp_path: Path) -> None:
    job, result = made(Net(), tmp_path, backend=backend)
    wanted = answers(job.model.open_session(1), job)
    file = result.artefact.path
    found = answers(open_session(file, runtime="torchscript"), job)
    assert sqnr_db(wanted, found) > 25
    assert result.artefact.notes["backend"] == backend
    np.testing.assert_allclose(answers(result.baseline.open_session(1), job), wanted, atol=1e-4)
    facts = inspect(file)
    assert facts.modules is not None
    assert [(fact.name, fact.compute) for fact in facts.modules] == [
        (name, "int8") for name in ("stem", "deep", "point", "head")
    ]
    assert facts.float_ops == ()
    assert file.stat().st_size < result.baseline.size_bytes * 2  # both are all archive here


def test_a_second_run_takes_the_statistics_from_the_cache(tmp_path: Path) -> None:
    job, first = made(Net(), tmp_path)
    before = first.artefact.path.read_bytes()
    again = load_method("fx").quantize(job)
    assert (first.calibration_cached, again.calibration_cached) == (False, True)
    with open_session(again.artefact.path, runtime="torchscript") as session:
        feeds = next(iter(job.calibration)).feeds
        found = session.run(feeds)["output"]
    first.artefact.path.write_bytes(before)
    with open_session(first.artefact.path, runtime="torchscript") as session:
        np.testing.assert_array_equal(session.run(feeds)["output"], found)


@pytest.mark.parametrize("place", ["twice", "functional", "fed elsewhere too"])
def test_relu6_is_kept_wherever_it_stands(place: str, tmp_path: Path) -> None:
    class Places(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            nn.init.normal_(self.conv.weight, std=2.0)
            self.clip = nn.ReLU6()

        def forward(self, image: Tensor) -> Tensor:
            if place == "functional":
                return nn.functional.relu6(self.conv(image)).mean((2, 3))
            hidden = self.conv(image)
            if place == "twice":
                return self.clip(self.conv(self.clip(hidden))).mean((2, 3))
            return (self.clip(hidden) + hidden).mean((2, 3))

    job, result = made(Places(), tmp_path)
    wanted = answers(job.model.open_session(1), job)
    found = answers(open_session(result.artefact.path, runtime="torchscript"), job)
    # Where no layer absorbs it, ReLU6 shares the coarse range of what it clips.
    assert sqnr_db(wanted, found) > 15


def test_an_engine_that_disagrees_with_its_reference_is_refused(tmp_path: Path) -> None:
    """QNNPACK of torch 2.13 clamps a channels-last tensor into the wrong places."""
    if "qnnpack" not in ENGINES:
        pytest.skip("no qnnpack in this torch")
    with pytest.raises(ConversionError, match=r"qnnpack \(.* dB from its reference") as caught:
        made(Clipped(), tmp_path, backend="qnnpack")
    assert caught.value.exit_code == 1
    assert "backend" in str(caught.value.hint)


def test_an_engine_this_torch_lacks_is_named_with_those_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.pytorch.engines.supported_engines", lambda: ("x86", "onednn"))
    with pytest.raises(MissingError, match="no quantized engine qnnpack; it has x86, onednn"):
        made(Net(), tmp_path, backend="qnnpack")


def test_rules_leave_modules_float_or_give_them_other_bits(tmp_path: Path) -> None:
    rules = (
        ModuleRule(place="first", method="float"),
        ModuleRule(name="head", method="dynamic"),
        ModuleRule(name="point", weight_bits=4),
    )
    _, result = made(Net(), tmp_path, modules=rules)
    facts = inspect(result.artefact.path)
    assert facts.modules is not None
    assert {fact.name: (fact.compute, fact.why) for fact in facts.modules} == {
        "stem": ("float", "the recipe leaves it out (quantize.modules[0])"),
        "deep": ("int8", None),
        "point": ("int8", None),
        "head": ("int8 dynamic", None),
    }
    assert {fact.name: fact.bits for fact in facts.modules} == {
        "stem": None,
        "deep": 8,
        "point": 4,
        "head": 8,
    }
    assert facts.float_ops is not None
    assert "stem" in {op.layer for op in facts.float_ops}
    point = torch.jit.load(str(result.artefact.path)).point
    codes = torch.ops.quantized.conv2d_unpack(point._packed_params)[0].int_repr()
    assert int(codes.min()) >= -8
    assert int(codes.max()) <= 7


def test_only_linear_can_be_dynamic(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"modules\[0\].*only Linear.*stem is a Conv2d"):
        made(Net(), tmp_path, modules=(ModuleRule(name="stem", method="dynamic"),))


def test_a_type_without_an_int8_kernel_stays_float_and_says_so(tmp_path: Path) -> None:
    class Odd(Net):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Bilinear(10, 10, 10)

        def forward(self, image: Tensor) -> Tensor:
            x = super().forward(image)
            answer: Tensor = self.mix(x, x)
            return answer

    _, result = made(Odd(), tmp_path)
    facts = inspect(result.artefact.path)
    assert facts.modules is not None
    (mix,) = [fact for fact in facts.modules if fact.name == "mix"]
    assert (mix.compute, mix.why) == ("float", "FX has no static INT8 kernel for Bilinear")
    assert mix.bytes == 4 * (1000 + 10)


def test_control_flow_is_refused_with_its_line_and_the_way_out_works(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"depends on.*test_fx\.py:\d+ \(if x.sh") as caught:
        made(Branching(sizes=True), tmp_path / "a")
    assert "method: dynamic" not in str(caught.value.hint)
    rule = ModuleRule(name="part", method="float")
    _, result = made(Branching(sizes=True), tmp_path / "b", modules=(rule,))
    facts = inspect(result.artefact.path)
    assert facts.modules is not None
    assert {fact.name: fact.compute for fact in facts.modules} == {
        "conv": "int8",
        "part.head": "float",
    }
    assert "if x.shape[2] > 100" in result.artefact.notes["fixed_by_trace"]


def test_a_path_that_values_choose_is_refused_in_a_float_part_too(tmp_path: Path) -> None:
    rule = ModuleRule(name="part", method="float")
    with pytest.raises(ConversionError, match=r"values of its input at .*\(if x.isnan\(\)"):
        made(Branching(sizes=False), tmp_path, modules=(rule,))


def test_a_model_with_dynamic_layers_answers_each_sample_by_itself(tmp_path: Path) -> None:
    _, result = made(Net(), tmp_path, modules=(ModuleRule(name="head", method="dynamic"),))
    with open_session(result.artefact.path, runtime="torchscript") as session:
        assert session.info.max_batch == 1


def test_an_observer_that_saw_no_data_is_named(tmp_path: Path) -> None:
    class Empty(Net):
        def forward(self, image: Tensor) -> Tensor:
            answer: Tensor = self.head(super().forward(image)[:0, :10].repeat(1, 3)[:, :24])
            return answer

    with pytest.raises(ConversionError, match="no sample reached"):
        made(Empty(), tmp_path)


class Odds(nn.Module):
    """What FX has no kernel for, a kernel that is wrong, and a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.slopes = nn.PReLU(8)
        self.gelu = nn.GELU()
        self.relu = nn.ReLU()
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.never = nn.Linear(8, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, image: Tensor) -> Tensor:
        rows = self.gelu(self.slopes(self.conv(image))).mean(3).transpose(1, 2)
        states, _ = self.rnn(rows)
        answer: Tensor = self.relu(self.head(states[:, -1]))
        return answer


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (ModuleRule(name="rnn", weight_bits=4), r"rnn \(LSTM\): FX has no .* of 4 bits"),
        (ModuleRule(type="GELU", method="static"), r"gelu \(GELU\): FX has no static"),
        (ModuleRule(name="never", weight_bits=4), r"never \(Linear\): the model does not call it"),
        (ModuleRule(name="slopes", method="static"), r"slopes \(PReLU\): .*wrong on every engine"),
    ],
)
def test_a_rule_that_cannot_be_met_is_an_error(
    rule: ModuleRule, message: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        made(Odds(), tmp_path, modules=(rule,))


def test_a_prelu_stays_float_and_a_fused_relu_may_be_named(tmp_path: Path) -> None:
    rule = ModuleRule(name="relu", method="static")
    job, result = made(Odds(), tmp_path, modules=(rule,))
    wanted = answers(job.model.open_session(1), job)
    found = answers(open_session(result.artefact.path, runtime="torchscript"), job)
    assert sqnr_db(wanted, found) > 20
    kept = read_description(result.artefact.path, "TorchScript file").kept_float
    assert "wrong on every engine" in kept["slopes"]
    assert kept["never"] == "the model does not call it"


class Slopes(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.slope, self.head = nn.Conv2d(3, 8, 3), nn.PReLU(count), nn.Linear(8, 4)

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = self.head(self.slope(self.conv(image)).mean((2, 3)))
        return answer


@pytest.mark.parametrize("count", [1, 8])
def test_a_prelu_between_int8_layers_stays_float(count: int, tmp_path: Path) -> None:
    job, result = made(Slopes(count), tmp_path)
    wanted = answers(job.model.open_session(1), job)
    found = answers(open_session(result.artefact.path, runtime="torchscript"), job)
    assert sqnr_db(wanted, found) > 20
    kept = read_description(result.artefact.path, "TorchScript file").kept_float
    assert list(kept) == ["slope"]


LOWERED = (
    nn.LeakyReLU(),
    nn.ELU(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Softmax(1),
    nn.LayerNorm(6),
    nn.InstanceNorm2d(4, affine=True),
)


@pytest.mark.parametrize("between", LOWERED, ids=lambda module: type(module).__name__)
def test_what_is_left_out_is_computed_in_float(
    between: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FX takes these by their types, between INT8 layers, whatever their configuration."""
    net = nn.Sequential(nn.Conv2d(4, 4, 1), between, nn.Conv2d(4, 4, 1)).eval()
    x = torch.randn(2, 4, 6, 6)
    monkeypatch.setattr(torch.backends.quantized, "engine", "x86")
    on_float = {}
    choices: tuple[dict[str, Treatment], ...] = ({}, {"1": Treatment(method="float")})
    for found in choices:
        prepared = prepare(net, (x,), ("x",), "x86", found, per_channel=True)
        int8 = convert(prepared, dict.fromkeys(prepared.observers, Range(-3.0, 3.0)))
        (node,) = (node for node in int8.graph.nodes if node.target == "1")
        on_float[len(found)] = node.all_input_nodes[0].target == "dequantize"
    assert on_float == {0: False, 1: True}
    assert type(between).__module__.startswith("torch.nn")  # the model itself stays as it was


def test_no_engine_is_trusted_for_want_of_a_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an observer of torch's own saw is not in the cache that the second engine reads."""
    monkeypatch.setattr("edgekit.pytorch.fx_graph.unsound", lambda model: {})
    monkeypatch.setattr("edgekit.pytorch.fx_faults.unsound", lambda model: {})
    with pytest.raises(ConversionError, match="most at slope, a PReLU"):
        made(Slopes(1), tmp_path)


def test_a_refusal_names_the_module_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.pytorch.fx_graph.unsound", lambda model: {})
    monkeypatch.setattr("edgekit.pytorch.fx_faults.unsound", lambda model: {})
    with pytest.raises(ConversionError, match="most at slopes, a PReLU") as caught:
        made(Odds(), tmp_path)
    assert "[{name: slopes, method: float}]" in str(caught.value.hint)
