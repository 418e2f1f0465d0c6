"""A saved program holds its graph, the tensors that are read, and its description; no more."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.cache import Cache
from edgekit.pytorch.baseline import float_baseline
from edgekit.pytorch.description import FILE, Description, describe, from_json
from edgekit.pytorch.export import export
from edgekit.pytorch.program import save_program
from edgekit.runtimes.torch_export import RUNTIME
from edgekit.types import ArtefactFormat
from tests.methods.torch_jobs import torch_source
from tests.pytorch import nets


class Hoarder(nn.Module):
    """Reads a view of a large tensor, and has a parameter that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.unread = nn.Parameter(torch.ones(50_000))
        self.register_buffer("row", torch.arange(100_000.0)[:5])
        self.head = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x + self.row)


INPUTS = (nets.InputSpec("x", (1, 5)),)
DESCRIPTION = describe(INPUTS, ("y",), kept_float={"head": "asked for"})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    net, file = Hoarder().eval(), tmp_path_factory.mktemp("program") / "model.pt2"
    save_program(export(net, INPUTS), file, DESCRIPTION)
    return net, file


def test_it_answers_as_before(saved: tuple[nn.Module, Path]) -> None:
    net, file = saved
    x = torch.randn(1, 5)
    assert torch.equal(torch.export.load(file).module()(x), net(x))


def test_neither_examples_nor_unread_nor_hidden_tensors_are_saved(
    saved: tuple[nn.Module, Path],
) -> None:
    program = torch.export.load(saved[1])
    assert program.example_inputs is None
    assert {*program.state_dict, *program.constants} == {"head.weight", "head.bias", "row"}
    assert saved[1].stat().st_size < 20_000


def test_nodes_keep_the_name_of_their_module_and_no_source_path(
    saved: tuple[nn.Module, Path],
) -> None:
    program = torch.export.load(saved[1])
    (linear,) = (node for node in program.graph.nodes if "linear" in str(node.target))
    assert [name for name, _ in linear.meta["nn_module_stack"].values()] == ["", "head"]
    assert "stack_trace" not in linear.meta
    assert str(Path(__file__).parent).encode() not in saved[1].read_bytes()


def test_the_description_is_inside(saved: tuple[nn.Module, Path]) -> None:
    extra = {FILE: ""}
    torch.export.load(saved[1], extra_files=extra)
    assert from_json(extra[FILE], "model.pt2") == DESCRIPTION


def test_the_same_model_gives_the_same_tensors_and_graph(
    saved: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    again = tmp_path / "again.pt2"
    save_program(export(saved[0], INPUTS), again, DESCRIPTION)
    first, second = torch.export.load(saved[1]), torch.export.load(again)
    assert str(first.graph) == str(second.graph)
    assert all(
        torch.equal(tensor, second.state_dict[name]) for name, tensor in first.state_dict.items()
    )
    assert list(tmp_path.iterdir()) == [again]


def test_the_float_baseline_is_made_once_for_whoever_asks(tmp_path: Path) -> None:
    net = Hoarder().eval()
    source = torch_source(net, INPUTS)
    write = partial(save_program, export(net, INPUTS))
    cache = Cache(tmp_path)
    made = float_baseline(source, ArtefactFormat.PT2, RUNTIME, write, cache=cache)
    again = float_baseline(source, ArtefactFormat.PT2, RUNTIME, _never, cache=cache)
    assert again.files == made.files
    assert made.size_bytes == made.files["model"].stat().st_size < 20_000
    x = torch.randn(1, 5)
    assert torch.equal(made.value.module()(x), net(x))


def _never(path: Path, description: Description) -> None:
    pytest.fail(f"{path.name} is written again")
