"""Dynamic INT8 by torch.ao: what is quantized, what stays float and why, how well it answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import ConversionError, MissingError, RecipeError
from edgekit.methods import load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.progress import SilentProgress
from edgekit.pytorch import dynamic_engine, engines
from edgekit.pytorch.dynamic_engine import (
    TRUSTED_DB,
    agreement_db,
    observed_products,
    trusted_engine,
)
from edgekit.pytorch.dynamic_modules import library, quantize_modules
from edgekit.pytorch.dynamic_plan import FLOAT_TABLES, plan_modules
from edgekit.pytorch.script_facts import inspect
from edgekit.recipe.schema import InputSpec, ModuleRule, QuantizeSpec
from edgekit.runtimes import open_session
from edgekit.runtimes.torchscript import on_engine, read_script_description
from edgekit.types import Array
from tests.methods.torch_jobs import TOKENS, answers, sqnr_db, torch_job

ROWS = InputSpec("rows", (1, 12, 16))
IDS = InputSpec("ids", (1, 12), "int64")
needs_x86 = pytest.mark.skipif(
    "x86" not in torch.backends.quantized.supported_engines, reason="no x86 engine in this torch"
)


class Recurrent(nn.Module):
    def __init__(self, kind: Callable[..., nn.Module], **options: Any) -> None:
        super().__init__()
        self.rnn = kind(16, 32, **options)
        self.head = nn.Linear(64 if options.get("bidirectional") else 32, 5)

    def forward(self, rows: Tensor) -> Tensor:
        states, _ = self.rnn(rows)
        answer: Tensor = self.head(states[:, -1])
        return answer


class Cell(nn.Module):
    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.cell = kind(16, 32)

    def forward(self, rows: Tensor) -> Tensor:
        state = self.cell(rows[:, 0])
        for step in range(1, rows.shape[1]):
            state = self.cell(rows[:, step], state)
        answer: Tensor = state[0] if isinstance(state, tuple) else state
        return answer


class Words(nn.Module):
    """A table, a bag that sums, a convolution, a norm, and two names for one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(40 * TOKENS, 32)
        self.bag = nn.EmbeddingBag(TOKENS, 32, mode="sum")
        self.mixer = nn.Conv1d(32, 32, 3, padding=1)
        self.norm = nn.LayerNorm(32)
        self.first = nn.Linear(32, 32)
        self.second = self.first
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(32, 5))

    def forward(self, ids: Tensor) -> Tensor:
        mixed = self.mixer(self.words(ids).transpose(1, 2)).mean(2)
        hidden = self.second(self.first(self.norm(mixed + self.bag(ids))))
        answer: Tensor = self.head(hidden)
        return answer


class Tied(nn.Module):
    """The output layer has the table's weights; with ``functional`` it reads them itself."""

    def __init__(self, *, functional: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(TOKENS, 32)
        self.functional = functional
        if not functional:
            self.out = nn.Linear(32, TOKENS, bias=False)
            self.out.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.words(ids).mean(1)
        if self.functional:
            return nn.functional.linear(hidden, self.words.weight)
        answer: Tensor = self.out(hidden)
        return answer


class _Notes(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def _quantized(job: QuantizeJob) -> Quantized:
    return load_method("dynamic").quantize(job)


def _answers(job: QuantizeJob, quantized: Quantized) -> Array:
    artefact = quantized.artefact
    return answers(open_session(artefact.path, runtime=artefact.runtime), job)


def _sqnr_db(job: QuantizeJob, quantized: Quantized) -> float:
    return sqnr_db(answers(job.model.open_session(1), job), _answers(job, quantized))


def _plan(module: nn.Module, *rules: ModuleRule, **options: Any) -> Any:
    spec = QuantizeSpec(method="dynamic", modules=rules, **options)
    return plan_modules(module, spec, library("x86"))


@pytest.mark.parametrize(
    ("module", "least_db"),
    [
        (Recurrent(nn.LSTM, batch_first=True), 30),
        (Recurrent(nn.LSTM, batch_first=True, num_layers=2, bidirectional=True), 30),
        (Recurrent(nn.GRU, batch_first=True), 30),
        (Cell(nn.LSTMCell), 30),
        (Cell(nn.GRUCell), 30),
        (Cell(nn.RNNCell), 30),
        (nn.Linear(16, 8), 33),
    ],
    ids=["lstm", "deep lstm", "gru", "lstm cell", "gru cell", "rnn cell", "the model itself"],
)
def test_recurrent_and_linear_layers_keep_their_answers(
    tmp_path: Path, module: nn.Module, least_db: float
) -> None:
    job = torch_job(module, tmp_path, method="dynamic", inputs=(ROWS,))
    assert _sqnr_db(job, _quantized(job)) > least_db


def test_the_file_is_int8_and_says_what_stayed_float(tmp_path: Path) -> None:
    job = torch_job(Words(), tmp_path, method="dynamic", inputs=(IDS,))
    quantized = _quantized(job)
    description = read_script_description(quantized.artefact.path)
    assert description.engine == quantized.artefact.notes["backend"]
    assert description.kept_float == {"mixer": "torch.ao has no dynamic INT8 kernel for Conv1d"}
    graph = str(torch.jit.load(quantized.artefact.path).inlined_graph)
    assert graph.count("quantized::linear_dynamic") == 3  # 'first' is called twice
    assert graph.count("quantized::embedding_byte") == 1
    assert graph.count("quantized::embedding_bag_byte") == 1
    assert graph.count("aten::linear") == 0
    assert _sqnr_db(job, quantized) > 28
    facts = inspect(quantized.artefact.path)
    assert facts.modules is not None
    assert {module.name: (module.type, module.compute) for module in facts.modules} == {
        "words": ("Embedding", "int8 weights"),
        "bag": ("EmbeddingBag", "int8 weights"),
        "mixer": ("Conv1d", "float"),
        "first": ("Linear", "int8 dynamic"),
        "head.1": ("Linear", "int8 dynamic"),
    }


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    module = Words()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    _quantized(torch_job(module, tmp_path, method="dynamic", inputs=(IDS,)))
    assert isinstance(module.words, nn.Embedding)
    assert not hasattr(module.first, "qconfig")
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_tables_are_an_option_and_their_worth_is_measured_beside(tmp_path: Path) -> None:
    job = torch_job(Words(), tmp_path / "on", method="dynamic", inputs=(IDS,))
    off = torch_job(
        job.model.value, tmp_path / "off", method="dynamic", inputs=(IDS,), embeddings=False
    )
    with_tables, without = _quantized(job), _quantized(off)
    assert set(with_tables.alternatives) == {FLOAT_TABLES}
    assert without.alternatives == {}
    kept = read_script_description(without.artefact.path).kept_float
    assert kept["words"] == kept["bag"] == "quantize.embeddings is false"
    alternative = with_tables.alternatives[FLOAT_TABLES].path
    assert "embedding_byte" not in str(torch.jit.load(alternative).inlined_graph)
    assert alternative.stat().st_size > with_tables.artefact.path.stat().st_size


def test_a_rule_brings_a_table_back(tmp_path: Path) -> None:
    plan = _plan(Words(), ModuleRule(name="words", method="dynamic"), embeddings=False)
    assert plan.tables == {"words": 8}


def test_the_same_job_gives_the_same_model(tmp_path: Path) -> None:
    """Not the same bytes: torch numbers the classes of a process's traces."""
    module = Recurrent(nn.LSTM, batch_first=True)
    jobs = [
        torch_job(module, tmp_path / run, method="dynamic", inputs=(ROWS,)) for run in ("a", "b")
    ]
    first, second = (_answers(job, _quantized(job)) for job in jobs)
    assert (first == second).all()


def test_a_sample_is_answered_as_if_alone(tmp_path: Path) -> None:
    job = torch_job(nn.Linear(16, 8), tmp_path, method="dynamic", inputs=(ROWS,))
    artefact = _quantized(job).artefact
    with open_session(artefact.path, runtime=artefact.runtime) as session:
        assert session.info.max_batch == 1


def test_one_scale_a_channel_is_better_than_one_for_all(tmp_path: Path) -> None:
    layer = nn.Linear(16, 8)
    with torch.no_grad():
        layer.weight.mul_(torch.logspace(-2, 0, 8)[:, None])
    fine = torch_job(layer, tmp_path / "c", method="dynamic", inputs=(ROWS,))
    coarse = torch_job(layer, tmp_path / "t", method="dynamic", inputs=(ROWS,), per_channel=False)
    wanted = answers(fine.model.open_session(1), fine)[..., 0]  # the smallest channel
    found = [sqnr_db(wanted, _answers(job, _quantized(job))[..., 0]) for job in (fine, coarse)]
    assert found[0] > found[1] + 10


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.Conv2d(3, 4, 3), "no dynamic INT8 kernel for Conv2d"),
        (nn.RNN(4, 4), "no dynamic INT8 kernel for RNN"),
        (nn.LSTM(4, 8, proj_size=2), "no projection"),
        (nn.LSTM(4, 8, bias=False), "needs biases"),
        (nn.GRUCell(4, 8, bias=False), "needs biases"),
        (nn.EmbeddingBag(9, 4), "always sums; this one has mode 'mean'"),
        (nn.EmbeddingBag(9, 4, mode="sum", padding_idx=0), "ignores padding_idx"),
        (nn.Embedding(9, 4, max_norm=1.0), "ignore max_norm"),
        (type("MyLinear", (nn.Linear,), {})(4, 4), "MyLinear is derived from Linear"),
        (nn.MultiheadAttention(4, 2), "reads its weights itself"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_torch_ao_would_get_wrong_stays_float(module: nn.Module, reason: str) -> None:
    model = nn.ModuleDict({"odd": module, "fine": nn.Linear(4, 4)})
    plan = _plan(model)
    assert set(plan.matmuls) == {"fine"}
    assert reason in plan.kept_float["odd"]
    with pytest.raises(ConversionError, match="nothing in the model can be quantized") as raised:
        _plan(nn.ModuleDict({"odd": module}))
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    "rule",
    [
        ModuleRule(type="Conv1d", method="dynamic"),
        ModuleRule(name="mixer", weight_bits=8),
        ModuleRule(type="LayerNorm", method="dynamic"),
    ],
)
def test_asking_for_a_type_that_would_be_ignored_is_an_error(rule: ModuleRule) -> None:
    with pytest.raises(RecipeError, match=r"quantize\.modules\[0\] asks for INT8") as raised:
        _plan(Words(), rule)
    assert "Linear, LSTM, GRU, LSTMCell, GRUCell, RNNCell, Embedding" in str(raised.value)


def test_a_rule_for_a_container_may_cover_what_has_no_weights() -> None:
    assert _plan(Words(), ModuleRule(name="head", method="dynamic", weight_bits=8)).matmuls == {
        "first": 7,
        "head.1": 8,
    }


def test_a_module_that_a_rule_leaves_out_stays_float(tmp_path: Path) -> None:
    rule = ModuleRule(place="last", method="float")
    job = torch_job(Words(), tmp_path, method="dynamic", inputs=(IDS,), modules=(rule,))
    kept = read_script_description(_quantized(job).artefact.path).kept_float
    assert kept["head.1"] == "the recipe leaves it out (quantize.modules[0])"


@pytest.mark.parametrize(
    "rule", [ModuleRule(type="Linear", weight_bits=4), ModuleRule(name="*", weight_bits=4)]
)
def test_rules_reach_a_model_that_is_a_layer_itself(rule: ModuleRule) -> None:
    assert _plan(nn.Linear(4, 4), rule).matmuls == {"": 4}
    with pytest.raises(RecipeError, match="asks for INT8 for the model \\(Conv1d\\)"):
        _plan(nn.Conv1d(4, 4, 1), rule if rule.name else ModuleRule(type="*", weight_bits=4))


def test_static_rules_are_refused() -> None:
    with pytest.raises(RecipeError, match="asks for static ranges for first"):
        _plan(Words(), ModuleRule(name="first", method="static"))


def test_a_model_without_anything_to_quantize_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="no weights to quantize"):
        _plan(nn.Sequential(nn.ReLU()))


@pytest.mark.parametrize("bits", [2, 4, 7, 8])
def test_fewer_bits_mean_fewer_codes(bits: int) -> None:
    layer = nn.Linear(16, 8)
    plan = _plan(nn.Sequential(layer), ModuleRule(type="Linear", weight_bits=bits))
    engine = torch.backends.quantized.engine
    made: Any = quantize_modules(nn.Sequential(layer), plan, per_channel=True, engine=engine)[0]
    assert int(made.weight().int_repr().abs().max()) == 2 ** (bits - 1) - 1


def test_tied_weights_are_quantized_in_both_places(tmp_path: Path) -> None:
    progress = _Notes()
    job = torch_job(Tied(), tmp_path, method="dynamic", inputs=(IDS,), progress=progress)
    quantized = _quantized(job)
    graph = str(torch.jit.load(quantized.artefact.path).inlined_graph)
    assert "linear_dynamic" in graph
    assert "embedding_byte" in graph
    assert _sqnr_db(job, quantized) > 28
    assert progress.lines == ["out, words share weights; each has an INT8 copy of its own"]


def test_code_that_reads_another_modules_weights_is_refused_with_a_way_out(tmp_path: Path) -> None:
    module = nn.Sequential(Tied(functional=True), nn.Linear(TOKENS, 4))
    job = torch_job(module, tmp_path / "a", method="dynamic", inputs=(IDS,))
    with pytest.raises(ConversionError, match="no longer runs: TypeError") as raised:
        _quantized(job)
    assert "method: float" in str(raised.value)
    rule = ModuleRule(name="0.words", method="float")
    job = torch_job(module, tmp_path / "b", method="dynamic", inputs=(IDS,), modules=(rule,))
    assert _sqnr_db(job, _quantized(job)) > 28


def test_a_transformer_layer_runs(tmp_path: Path) -> None:
    module = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    job = torch_job(module, tmp_path, method="dynamic", inputs=(ROWS,))
    quantized = _quantized(job)
    assert "linear_dynamic" in str(torch.jit.load(quantized.artefact.path).inlined_graph)
    assert _sqnr_db(job, quantized) > 25
    assert torch.backends.mha.get_fastpath_enabled()


def test_an_engine_this_torch_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "supported_engines", lambda: ("x86",))
    assert engines.candidates("auto") == ("x86",)
    with pytest.raises(MissingError, match="no quantized engine qnnpack; it has x86"):
        engines.candidates("qnnpack")


@needs_x86
def test_seven_bits_of_weights_leave_activations_all_of_theirs() -> None:
    """The claim of dynamic_modules: exact on x86, and nearer to float than torch's own choice."""
    torch.manual_seed(1)
    layer = nn.Linear(64, 32)
    model, x = nn.Sequential(layer), torch.randn(200, 64)
    found = {}
    for bits in (7, 8):
        plan = _plan(model, ModuleRule(type="Linear", weight_bits=bits))
        with on_engine("x86", "the test"), torch.inference_mode():
            made = quantize_modules(model, plan, per_channel=True, engine="x86")
            found[bits] = sqnr_db(model(x).numpy(), made(x).numpy())
        (product,) = observed_products(model, ("0",), [(x,)])
        assert agreement_db(product, bits, "x86", per_channel=True) > 50
    assert found[7] > found[8] + 1


@needs_x86
def test_an_engine_that_disagrees_with_its_reference_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    product = observed_products(nn.Linear(64, 32), ("",), [(torch.randn(9, 64),)])
    bits = {"x86": {"": 7}, "fbgemm": {"": 7}}
    trusted = partial(trusted_engine, products=product, bits=bits, per_channel=True)
    assert trusted(("x86", "fbgemm")) == "x86"
    right = dynamic_engine.agreement_db
    broken = {"x86"}
    monkeypatch.setattr(
        dynamic_engine,
        "agreement_db",
        lambda *of, **how: TRUSTED_DB - 1 if of[2] in broken else right(*of, **how),
    )
    assert trusted(("x86", "fbgemm")) == "fbgemm"
    with pytest.raises(ConversionError, match=r"x86 \(39 dB at the model\)"):
        trusted(("x86",))


def test_every_matrix_of_a_recurrent_layer_is_tried() -> None:
    model = nn.LSTM(16, 32, num_layers=2, bidirectional=True, batch_first=True)
    products = observed_products(model, ("",), [(torch.randn(1, 9, 16),)])
    wanted = [model.get_parameter(key) for key in dict(model.named_parameters()) if "weight" in key]
    assert len(wanted) == len(products) == 8
    for weight, product in zip(wanted, products, strict=True):
        assert torch.equal(weight, product.weight)
        assert product.activations.shape == (9, weight.shape[1])


@needs_x86
def test_an_engine_is_tried_on_the_scales_that_it_will_have() -> None:
    layer = nn.Linear(64, 32)
    (product,) = observed_products(layer, ("",), [(torch.randn(9, 64),)])
    found = [agreement_db(product, 7, "x86", per_channel=each) for each in (True, False)]
    assert found[0] != found[1]
    assert min(found) > TRUSTED_DB


def test_an_engine_that_nothing_could_test_is_said_to_be_untested(tmp_path: Path) -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(TOKENS, 8)
            self.unused = nn.Linear(8, 8)

        def forward(self, ids: Tensor) -> Tensor:
            answer: Tensor = self.words(ids)
            return answer

    progress = _Notes()
    _quantized(torch_job(Idle(), tmp_path, method="dynamic", inputs=(IDS,), progress=progress))
    (line,) = progress.lines
    assert "is not checked against its reference" in line
