"""PT2E: what the INT8 program holds, what it was told, and what it answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchao  # noqa: F401 - registers the operators that a program is loaded with
from torch import nn

from edgekit.cache import Cache
from edgekit.errors import ConversionError, RecipeError
from edgekit.methods import METHODS, load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.pytorch.description import FILE, from_json
from edgekit.recipe.schema import InputSpec, ModuleRule
from edgekit.types import ModelKind
from tests.methods.torch_jobs import torch_job
from tests.pytorch import nets


def _quantized(job: QuantizeJob) -> Quantized:
    return load_method("pt2e").quantize(job)


def _program(quantized: Quantized) -> torch.export.ExportedProgram:
    return torch.export.load(quantized.artefact.path)


def _kept_float(quantized: Quantized) -> dict[str, str]:
    extra = {FILE: ""}
    torch.export.load(quantized.artefact.path, extra_files=extra)
    return dict(from_json(extra[FILE], "model.pt2").kept_float)


def _images(count: int = 40) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return (torch.randn(nets.INPUTS[0].shape, generator=generator) * 2 for _ in range(count))


def _sqnr_db(net: nn.Module, program: torch.export.ExportedProgram) -> float:
    module = program.module()
    with torch.inference_mode():
        pairs = [(net(image), module(image)) for image in _images()]
    signal = sum(float((before**2).sum()) for before, _ in pairs)
    noise = sum(float(((before - after) ** 2).sum()) for before, after in pairs)
    return float(10 * np.log10(signal / noise))


def _nodes(program: torch.export.ExportedProgram, text: str) -> list[Any]:
    return [node for node in program.graph.nodes if text in str(node.target)]


def _stored(quantized: Quantized) -> list[torch.Tensor]:
    program = _program(quantized)
    return [*program.state_dict.values(), *program.constants.values()]


def _weight(program: torch.export.ExportedProgram, module: str) -> torch.Tensor:
    """The stored weight of the module called ``module``, whatever the file calls it."""
    for node in program.graph.nodes:
        stack = [name for name, _ in (node.meta.get("nn_module_stack") or {}).values()]
        if stack[-1:] != [module] or ("conv" not in str(node.target) and "lin" not in node.name):
            continue
        source = node.args[1]
        while source.op == "call_function":
            source = source.args[0]
        signature = program.graph_signature
        name = (signature.inputs_to_buffers | signature.inputs_to_parameters)[source.name]
        return program.state_dict[name]
    raise AssertionError(f"no operator of {module}")


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return nets.trained(nets.Net())


@pytest.fixture(scope="module")
def quantized(net: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    return _quantized(nets.job(tmp_path_factory.mktemp("pt2e"), net, "pt2e"))


def test_it_answers_nearly_as_the_float_model(net: nn.Module, quantized: Quantized) -> None:
    assert _sqnr_db(net, _program(quantized)) > 25


def test_weights_are_stored_as_int8_and_float_ones_are_gone(quantized: Quantized) -> None:
    program = _program(quantized)
    stored = {**program.state_dict, **program.constants}
    matrices = {name: tensor.dtype for name, tensor in stored.items() if tensor.ndim > 1}
    assert len(matrices) == 3
    assert set(matrices.values()) == {torch.int8}
    assert (
        not _nodes(program, "quantize_per_channel.default")[0]
        .target.name()
        .startswith("quantized_decomposed::quantize")
    )
    assert program.example_inputs is None


def test_norms_are_folded_and_a_clamp_is_one_with_its_convolution(quantized: Quantized) -> None:
    program = _program(quantized)
    assert _nodes(program, "batch_norm") == []
    for conv in _nodes(program, "conv2d"):
        (reader,) = conv.users
        assert "hardtanh" in str(reader.target)  # nothing is quantized between the two


def test_the_baseline_is_the_float_program(net: nn.Module, quantized: Quantized) -> None:
    image = next(_images())
    assert torch.allclose(quantized.baseline.value.module()(image), net(image), atol=1e-5)
    assert quantized.baseline.size_bytes > 0
    assert quantized.artefact.notes["backend"] == "xnnpack"


def test_the_source_is_left_alone(net: nn.Module, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    _quantized(nets.job(tmp_path, net, "pt2e"))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert not net.training


def test_the_second_time_no_sample_is_run_and_the_tensors_are_the_same(
    net: nn.Module, quantized: Quantized, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache")
    folders = [tmp_path / "1", tmp_path / "2"]
    made = []
    for folder in folders:
        folder.mkdir()
        made.append(_quantized(nets.job(folder, net, "pt2e", cache=cache)))
    assert [one.calibration_cached for one in made] == [False, True]
    first, second = map(_program, made)
    assert str(first.graph) == str(second.graph)
    assert all(
        torch.equal(tensor, second.state_dict[name]) for name, tensor in first.state_dict.items()
    )


def test_the_estimator_decides_on_the_ranges(net: nn.Module, tmp_path: Path) -> None:
    scales = {}
    for estimator in ("minmax", "mean_minmax"):
        folder = tmp_path / estimator
        folder.mkdir()
        program = _program(_quantized(nets.job(folder, net, "pt2e", estimator=estimator)))
        scales[estimator] = [
            node.args[1] for node in _nodes(program, "quantize_per_tensor") if node.args[1]
        ]
    assert any(a > b for a, b in zip(scales["minmax"], scales["mean_minmax"], strict=True))
    for end in (0, -1):  # neither the model's input nor its output is clipped
        assert scales["minmax"][end] == scales["mean_minmax"][end]


def test_a_module_that_the_recipe_leaves_out_stays_float(net: nn.Module, tmp_path: Path) -> None:
    rules = (ModuleRule(name="deep", method="float"),)
    made = _quantized(nets.job(tmp_path, net, "pt2e", modules=rules))
    program = _program(made)
    assert _weight(program, "deep.conv").dtype is torch.float32
    assert _weight(program, "stem.conv").dtype is torch.int8
    assert "modules[0]" in _kept_float(made)["deep.conv"]


def test_fewer_bits_and_dynamic_modules(net: nn.Module, tmp_path: Path) -> None:
    rules = (
        ModuleRule(name="stem.conv", weight_bits=4),
        ModuleRule(type="Linear", method="dynamic"),
    )
    program = _program(_quantized(nets.job(tmp_path, net, "pt2e", modules=rules)))
    assert int(_weight(program, "stem.conv").abs().max()) == 7
    assert int(_weight(program, "deep.conv").abs().max()) == 127
    assert len(_nodes(program, "choose_qparams")) == 1
    assert _weight(program, "head").dtype is torch.int8


def test_a_model_of_dynamic_layers_alone_calibrates_nothing(tmp_path: Path) -> None:
    inputs = (InputSpec("rows", (1, 8)),)
    two = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
    rules = (ModuleRule(name="*", method="dynamic"),)
    made = _quantized(torch_job(two, tmp_path, method="pt2e", inputs=inputs, modules=rules))
    assert len(_nodes(_program(made), "choose_qparams")) == 2
    assert _nodes(_program(made), "quantize_per_tensor.default") == []


def test_one_scale_a_weight_where_the_recipe_says_so(net: nn.Module, tmp_path: Path) -> None:
    program = _program(_quantized(nets.job(tmp_path, net, "pt2e", per_channel=False)))
    assert _nodes(program, "per_channel") == []
    assert _weight(program, "stem.conv").dtype is torch.int8


def test_x86_wants_unsigned_activations(net: nn.Module, tmp_path: Path) -> None:
    made = _quantized(nets.job(tmp_path, net, "pt2e", backend="x86"))
    program = _program(made)
    assert {node.args[5] for node in _nodes(program, "quantize_per_tensor")} == {torch.uint8}
    assert made.artefact.notes["backend"] == "x86"
    assert _sqnr_db(net, program) > 25


def test_arm_has_one_scale_a_weight(net: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="one scale a weight"):
        _quantized(nets.job(tmp_path, net, "pt2e", backend="arm"))
    program = _program(
        _quantized(nets.job(tmp_path, net, "pt2e", backend="arm", per_channel=False))
    )
    assert {node.args[5] for node in _nodes(program, "quantize_per_tensor")} == {torch.int8}
    assert _weight(program, "head").dtype is torch.int8


def test_a_program_as_source_gives_the_same(
    net: nn.Module, quantized: Quantized, tmp_path: Path
) -> None:
    made = _quantized(nets.job(tmp_path, net, "pt2e", kind=ModelKind.EXPORTED_PROGRAM))
    assert _sqnr_db(net, _program(made)) == pytest.approx(_sqnr_db(net, _program(quantized)))


class Recurrent(nn.Module):
    """A layer without INT8 kernels between two that have them, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.GELU()
        self.front, self.back = nn.Linear(6, 8), nn.Linear(8, 5)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.spare = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(self.act(self.lstm(self.front(x))[0][:, -1]))


def test_what_has_no_kernel_stays_float_and_says_why(tmp_path: Path) -> None:
    inputs = (InputSpec("x", (1, 4, 6)),)
    made = _quantized(nets.job(tmp_path, Recurrent().eval(), "pt2e", inputs=inputs))
    assert _kept_float(made) == {
        "lstm": "no INT8 kernel of xnnpack for LSTM",
        "spare": "the model does not call it",
    }
    assert _weight(_program(made), "front").dtype is torch.int8


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ((ModuleRule(name="lstm", weight_bits=4),), r"modules\[0\] .* INT8 for lstm \(LSTM\): no"),
        ((ModuleRule(type="LSTM", method="static"),), r"modules\[0\] .*no INT8 kernel of xnnpack"),
        ((ModuleRule(name="spare", method="dynamic"),), "spare .*: the model does not call it"),
        ((ModuleRule(type="GELU", method="static"),), r"act \(GELU\): no INT8 kernel"),
        ((ModuleRule(type="GELU", weight_bits=4),), "it has no weights"),
        (
            (ModuleRule(name="*a*", weight_bits=4), ModuleRule(type="GELU", method="static")),
            r"modules\[0\], quantize.modules\[1\] .*act ",
        ),
    ],
)
@pytest.mark.parametrize("backend", ["xnnpack", "x86"])
def test_a_rule_that_asks_for_int8_in_vain_is_an_error(
    rules: tuple[ModuleRule, ...], told: str, backend: str, tmp_path: Path
) -> None:
    inputs = (InputSpec("x", (1, 4, 6)),)
    if backend == "x86" and any(rule.method == "dynamic" for rule in rules):
        told = "cannot mix static and dynamic"
    job = nets.job(
        tmp_path, Recurrent().eval(), "pt2e", inputs=inputs, modules=rules, backend=backend
    )
    with pytest.raises(RecipeError, match=told.replace("xnnpack", backend)) as refused:
        _quantized(job)
    assert refused.value.hint
    assert not (tmp_path / "model.pt2").exists()


def test_a_rule_for_all_may_cover_what_is_not_called_or_has_no_weights(tmp_path: Path) -> None:
    inputs = (InputSpec("x", (1, 4, 6)),)
    rules = (ModuleRule(name="*", weight_bits=4), ModuleRule(name="lstm", method="float"))
    job = nets.job(tmp_path, Recurrent().eval(), "pt2e", inputs=inputs, modules=rules)
    program = _program(_quantized(job))
    assert [int(_weight(program, name).abs().max()) for name in ("front", "back")] == [7, 7]


class Attention(nn.Module):
    """Its operators belong to a container, which reads the weights of the leaf in it itself."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(x, x, x, need_weights=False)[0].mean(1))


def test_a_rule_for_an_attention_reaches_its_products(tmp_path: Path) -> None:
    inputs = (InputSpec("x", (1, 4, 8)),)
    rules = (ModuleRule(name="mix", weight_bits=4),)
    job = nets.job(tmp_path, Attention().eval(), "pt2e", inputs=inputs, modules=rules)
    made = _quantized(job)
    stored = [tensor for tensor in _stored(made) if tensor.ndim > 1]
    tops = {tuple(tensor.shape): int(tensor.abs().max()) for tensor in stored}
    assert tops == {(24, 8): 7, (8, 8): 7, (5, 8): 127}
    assert _kept_float(made) == {}


def test_torchaos_quantizer_for_x86_does_not_reach_them(tmp_path: Path) -> None:
    inputs = (InputSpec("x", (1, 4, 8)),)
    rules = (ModuleRule(name="mix", weight_bits=4),)
    job = nets.job(
        tmp_path, Attention().eval(), "pt2e", inputs=inputs, modules=rules, backend="x86"
    )
    with pytest.raises(RecipeError, match=r"INT8 for mix\.out_proj .*no INT8 kernel of x86"):
        _quantized(job)


def test_an_attention_that_is_left_out_says_so_under_its_own_name(tmp_path: Path) -> None:
    inputs = (InputSpec("x", (1, 4, 8)),)
    rules = (ModuleRule(name="mix", method="float"),)
    job = nets.job(tmp_path, Attention().eval(), "pt2e", inputs=inputs, modules=rules)
    kept = _kept_float(_quantized(job))
    assert [*kept] == ["mix"]
    assert "modules[0]" in kept["mix"]


def test_nothing_to_quantize_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="found nothing to quantize"):
        _quantized(nets.job(tmp_path, nn.Sequential(nn.Flatten(), nn.ReLU()).eval(), "pt2e"))
    assert not (tmp_path / "model.pt2").exists()


def test_samples_that_overflow_are_refused_by_the_modules_name(tmp_path: Path) -> None:
    huge = nn.Sequential(nn.Flatten(), nn.Linear(432, 5)).eval()
    with torch.no_grad():
        huge[1].weight.fill_(3e38)
    with pytest.raises(ConversionError, match="samples make NaN or infinity at '1'"):
        _quantized(nets.job(tmp_path, huge, "pt2e"))


FRESH = """
import sys, torch, torchao
print(torch.export.load(sys.argv[1]).module()(torch.ones(1, 3, 12, 12)).shape)
"""


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1200)
def test_it_runs_where_only_torch_and_torchao_are(
    quantized: Quantized, tmp_path: Path, repository: Path
) -> None:
    python = tmp_path / "fresh" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "fresh"], check=True)
    install = [python, "-m", "pip", "install", "-q", "-c", repository / "constraints.txt"]
    subprocess.run([*install, "torch", "torchao"], check=True)
    ran = subprocess.run(
        [python, "-c", FRESH, quantized.artefact.path],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
    )
    assert ran.stdout.strip() == "torch.Size([1, 5])", ran.stderr


def test_nothing_is_printed(
    net: nn.Module, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _quantized(nets.job(tmp_path, net, "pt2e"))
    assert capfd.readouterr() == ("", "")


def test_the_table_of_methods_says_what_the_method_makes(quantized: Quantized) -> None:
    entry = METHODS["pt2e"]
    assert quantized.artefact.format is entry.produces
    assert quantized.artefact.path.name == f"model.{entry.produces.value}"
