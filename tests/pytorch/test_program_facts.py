"""The facts of programs made by torchao itself, each form beside the float one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.sources.pytorch import require_torch

torch = require_torch()
from torch import nn  # noqa: E402
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # noqa: E402
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86  # noqa: E402

from edgekit.errors import SessionError  # noqa: E402
from edgekit.inspection import inspect as look_into  # noqa: E402
from edgekit.pytorch.description import describe  # noqa: E402
from edgekit.pytorch.program import save_program  # noqa: E402
from edgekit.pytorch.program_facts import graph_facts, inspect  # noqa: E402
from edgekit.types import ModuleFact  # noqa: E402
from tests.pytorch.nets import INPUTS, Net, trained  # noqa: E402

EXAMPLES = (torch.zeros(1, 3, 12, 12),)
STEM_MACS = 16 * 12 * 12 * 3 * 9
DEEP_MACS = 16 * 12 * 12 * 9
HEAD_MACS = 16 * 5


def exported(module: nn.Module, examples: tuple[torch.Tensor, ...] = EXAMPLES) -> object:
    return torch.export.export(module, examples)


def quantized(quantizer: x86.X86InductorQuantizer, *, dynamic: bool = False) -> object:
    """``Net`` by torchao's own quantizer and observers."""
    net = trained(Net())
    prepared = prepare_pt2e(exported(net).module(), quantizer)  # type: ignore[attr-defined]
    if not dynamic:
        for _ in range(3):
            prepared(torch.randn(1, 3, 12, 12))
    return exported(convert_pt2e(prepared))


@pytest.fixture(scope="module")
def static_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    quantizer.set_module_name_qconfig("head", None)
    file = tmp_path_factory.mktemp("static") / "model.pt2"
    description = describe(
        INPUTS, ("scores",), kept_float={"head": "left out"}, tools=("torch", "torchao")
    )
    save_program(quantized(quantizer), file, description)  # type: ignore[arg-type]
    return file


def test_a_float_program_is_all_float() -> None:
    facts = graph_facts(exported(trained(Net())).graph, {})  # type: ignore[attr-defined]
    assert facts.modules is not None
    assert [(module.name, module.type, module.compute) for module in facts.modules] == [
        ("stem.conv", "Conv2d", "float"),
        ("deep.conv", "Conv2d", "float"),
        ("head", "Linear", "float"),
    ]
    assert [module.bytes for module in facts.modules] == [16 * 27 * 4, 16 * 9 * 4, (80 + 5) * 4]
    assert facts.float_ops is not None
    assert facts.ops == len(facts.float_ops)
    assert facts.macs == STEM_MACS + DEEP_MACS + HEAD_MACS
    assert facts.int8_mac_fraction == 0
    assert (facts.input_dtypes, facts.output_dtypes) == (("float32",), ("float32",))


def test_the_file_of_a_static_program_is_looked_into(static_file: Path) -> None:
    found = look_into(static_file)
    assert found.kind.startswith("mixed INT8 and float: ")
    assert [(end.name, end.shape, end.dtype) for end in found.file.inputs] == [
        (INPUTS[0].name, (1, 3, 12, 12), "float32")
    ]
    assert [end.name for end in found.file.outputs] == ["scores"]
    assert found.file.facts == inspect(static_file)
    macs = {each.layer: each.macs for each in found.file.operators if each.macs}
    assert macs == {"stem.conv": STEM_MACS, "deep.conv": DEEP_MACS, "head": HEAD_MACS}
    by_layer = {each.layer: each.compute for each in found.file.operators if each.macs}
    assert by_layer == {"stem.conv": "int8", "deep.conv": "int8", "head": "float"}
    assert found.file.metadata["kept float"] == "head"
    assert "head" in {layer for island in found.islands for layer in island.layers}


def test_a_static_program_and_the_module_left_out_of_it(static_file: Path) -> None:
    facts = inspect(static_file)
    assert facts.modules is not None
    stem, deep, head = facts.modules
    assert [stem.compute, deep.compute] == ["int8", "int8"]
    assert head == ModuleFact("head", "Linear", "float", (80 + 5) * 4, "left out")
    # One byte a weight; bias and scale float32, zero point int64 for each of 16 channels.
    assert stem.bytes == 16 * 27 + 16 * (4 + 4 + 8)
    assert facts.macs == STEM_MACS + DEEP_MACS + HEAD_MACS
    assert facts.int8_mac_fraction == (STEM_MACS + DEEP_MACS) / facts.macs
    assert facts.float_ops is not None
    assert ("aten.linear.default", "head") in {(op.op, op.layer) for op in facts.float_ops}
    # A clamp behind a convolution is computed on what it accumulated.
    assert {op.op for op in facts.float_ops}.isdisjoint(
        {"aten.conv2d.default", "aten.hardtanh.default"}
    )


def test_ranges_taken_at_run_time_are_told_apart() -> None:
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_module_type_qconfig(
        nn.Linear, x86.get_default_x86_inductor_quantization_config(is_dynamic=True)
    )
    facts = graph_facts(quantized(quantizer, dynamic=True).graph, {})  # type: ignore[attr-defined]
    assert facts.modules is not None
    assert {module.name: module.compute for module in facts.modules} == {
        "stem.conv": "float",
        "deep.conv": "float",
        "head": "int8 dynamic",
    }
    assert facts.int8_mac_fraction == HEAD_MACS / (STEM_MACS + DEEP_MACS + HEAD_MACS)


class Integers(nn.Module):
    """A dynamic product on the integers themselves, and an int8 table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = IntegerTable()
        self.product = IntegerProduct()

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        return self.product(self.table(indices))


class IntegerTable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(20, 32, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(20, 1))

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        codes = nn.functional.embedding(indices, self.weight)
        return codes.to(torch.float32) * nn.functional.embedding(indices, self.scale)


class IntegerProduct(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(8, 32, dtype=torch.int8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = [1, x.shape[-1]]
        scale, zero = torch.ops.torchao.choose_qparams_affine(
            x, "SYMMETRIC", size, torch.int8, -127, 127, 1e-7, torch.float32, torch.int8
        )
        codes = torch.ops.torchao.quantize_affine(x, size, scale, zero, torch.int8, -127, 127)
        return torch._int_mm(codes, self.weight.t()).to(torch.float32) * scale.reshape(-1, 1)


def test_products_of_integers_and_tables_of_integers() -> None:
    program = exported(Integers().eval(), (torch.zeros(17, dtype=torch.int64),))
    facts = graph_facts(program.graph, {})  # type: ignore[attr-defined]
    assert facts.modules is not None
    assert [(module.name, module.compute, module.bytes) for module in facts.modules] == [
        ("table", "int8 weights", 20 * 32 + 20 * 4),
        ("product", "int8 dynamic", 8 * 32),
    ]
    assert facts.macs == 17 * 8 * 32
    assert facts.int8_mac_fraction == 1
    assert facts.input_dtypes == ("int64",)


class Mixed(nn.Module):
    """One weight in two calls, a permutation, attention, recurrence."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(8, 8)
        self.lstm = nn.LSTM(8, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shared(self.shared(x))
        x = nn.functional.scaled_dot_product_attention(x, x, x)
        return self.lstm(x)[0].transpose(1, 2)


def test_counts_of_products_that_are_no_layers() -> None:
    facts = graph_facts(
        exported(Mixed().eval(), (torch.zeros(1, 6, 8),)).graph,  # type: ignore[attr-defined]
        {},
    )
    attention = 6 * 6 * (8 + 8)
    recurrence = 6 * (4 * 4) * (8 + 4)
    assert facts.macs == 2 * 6 * 8 * 8 + attention + recurrence
    assert facts.transposes == 1
    assert facts.modules is not None
    assert [(module.name, module.bytes) for module in facts.modules] == [
        ("shared", (64 + 8) * 4),
        ("lstm", (16 * 8 + 16 * 4 + 16 + 16) * 4),
    ]


def test_a_graph_of_any_depth_is_walked_without_recursion() -> None:
    deep = nn.Sequential(*(nn.ReLU() for _ in range(1200)), nn.Linear(4, 2)).eval()
    facts = graph_facts(exported(deep, (torch.zeros(1, 4),)).graph, {})  # type: ignore[attr-defined]
    assert facts.ops == 1201


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.pt2"
    file.write_bytes(b"not a zip")
    with pytest.raises(SessionError, match=r"model\.pt2 is damaged or no ExportedProgram"):
        inspect(file)


class Uncommon(nn.Module):
    """Layers that no list of the usual operators names."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose1d(3, 4, 2)
        self.up3 = nn.ConvTranspose3d(2, 5, 2)
        self.cell = nn.GRUCell(6, 6)
        self.pair = nn.Bilinear(6, 6, 2)
        self.norm = nn.LayerNorm([3, 5])
        self.place = nn.Embedding(3, 5)
        self.register_buffer("places", torch.arange(3)[None])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.up(self.norm(x + self.place(self.places)))
        x = self.cell(x[0])
        x = self.pair(x, x)
        return x, self.up3(x.reshape(1, 2, 2, 2, 1))


def test_whatever_computes_with_a_matrix_of_constants_is_a_module() -> None:
    program = exported(Uncommon().eval(), (torch.zeros(1, 3, 5),))
    facts = graph_facts(program.graph, {"never": "not called"})  # type: ignore[attr-defined]
    assert facts.modules is not None
    assert [(module.name, module.type, module.compute) for module in facts.modules] == [
        ("place", "Embedding", "float"),
        ("norm", "LayerNorm", "float"),
        ("up", "ConvTranspose1d", "float"),
        ("cell", "GRUCell", "float"),
        ("pair", "Bilinear", "float"),
        ("up3", "ConvTranspose3d", "float"),
        ("never", "", "float"),
    ]
    assert facts.modules[-1] == ModuleFact("never", "", "float", 0, "not called")
    up, cell = 3 * 5 * 4 * 2, 4 * 2 * (6 * 18)
    pair, up3 = 4 * 2 * 36, 8 * 5 * 8
    assert facts.macs == up + cell + pair + up3


class Positive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x[x > 0][:, None]).mean(0)


def test_work_on_shapes_that_only_values_decide_is_not_counted() -> None:
    facts = graph_facts(exported(Positive().eval(), (torch.ones(4),)).graph, {})  # type: ignore[attr-defined]
    assert facts.macs is None
    assert facts.int8_mac_fraction is None
    assert facts.modules is not None
    assert [module.name for module in facts.modules] == ["head"]


def test_bits_are_those_that_the_codes_use(tmp_path: Path) -> None:
    net = Integers().eval()
    net.product.weight.fill_(-7)
    net.table.weight.fill_(-128)
    program = exported(net, (torch.zeros(17, dtype=torch.int64),))
    save_program(program, tmp_path / "m.pt2", describe((), ("y",), kept_float={}))  # type: ignore[arg-type]
    facts = inspect(tmp_path / "m.pt2")
    assert facts.modules is not None
    assert {module.name: module.bits for module in facts.modules} == {"table": 8, "product": 4}
