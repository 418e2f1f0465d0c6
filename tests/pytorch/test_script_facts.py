"""What a TorchScript file says it is, read from its graph."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.pytorch.description import describe
from edgekit.pytorch.export import quiet_warnings
from edgekit.pytorch.script import save
from edgekit.pytorch.script_facts import inspect
from edgekit.recipe.schema import InputSpec
from edgekit.types import FloatOp

IDS = InputSpec("ids", (1, 6), "int64")


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30, 8)
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.heads = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 4)])

    def forward(self, ids: Tensor) -> Tensor:
        states, _ = self.rnn(self.words(ids))
        x = self.norm(states[:, -1])
        for head in self.heads:
            x = torch.tanh(head(x))
        return x


def written(module: nn.Module, folder: Path, **reasons: str) -> Path:
    file = folder / "model.ts"
    description = describe((IDS,), ("output",), kept_float=reasons)
    save(module.eval(), [(torch.zeros(1, 6, dtype=torch.long),)], description, file)
    return file


def test_a_float_file_is_float_throughout(tmp_path: Path) -> None:
    facts = inspect(written(Words(), tmp_path, words="left out"))
    assert facts.modules is not None
    assert [(m.name, m.type, m.compute, m.bytes, m.why) for m in facts.modules] == [
        ("words", "Embedding", "float", 4 * 30 * 8, "left out"),
        ("rnn", "LSTM", "float", 4 * (2 * 32 * 8 + 2 * 32), None),
        ("heads.0", "Linear", "float", 4 * (64 + 8), None),
        ("heads.1", "Linear", "float", 4 * (32 + 4), None),
    ]
    assert facts.float_ops is not None
    assert set(facts.float_ops) >= {
        FloatOp("lstm", "rnn"),
        FloatOp("layer_norm", "norm"),
        FloatOp("linear", "heads.0"),
        FloatOp("tanh", "the model itself"),
    }
    assert (facts.input_dtypes, facts.output_dtypes) == (("int64",), ("float32",))
    assert facts.macs is None


def test_dynamic_modules_are_known_by_their_operators(tmp_path: Path) -> None:
    from torch.ao.quantization import quantize_dynamic

    with quiet_warnings():
        module = quantize_dynamic(Words().eval(), {nn.LSTM, nn.Linear})
    facts = inspect(written(module, tmp_path))
    assert facts.modules is not None
    assert {m.name: m.compute for m in facts.modules} == {
        "words": "float",
        "rnn": "int8 dynamic",
        "heads.0": "int8 dynamic",
        "heads.1": "int8 dynamic",
    }
    bytes_of = {m.name: m.bytes for m in facts.modules}
    assert 64 < bytes_of["heads.0"] < 4 * 64
    assert bytes_of["rnn"] >= 2 * 32 * 8
    assert FloatOp("tanh", "the model itself") in (facts.float_ops or ())
    assert not [op for op in facts.float_ops or () if op.layer.startswith(("rnn", "heads"))]
