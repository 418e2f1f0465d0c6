"""A model as a graph, or a reason that a person can act on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.errors import ConversionError, SourceError
from edgekit.pytorch.export import example_inputs, export, export_source, torch_threads
from edgekit.recipe.schema import InputSpec
from edgekit.types import ModelKind
from tests.pytorch import nets

VECTOR = (InputSpec("x", (1, 4)),)


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return x
        return x + 1


class ReadsValues(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[: int(x[0, 0].item()) + 1]


class Breaks(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # What eager mode runs, but a tracer cannot: the values leave torch.
        return torch.from_numpy(x.numpy() + 1)


@pytest.mark.parametrize("net", [Branches(), ReadsValues()])
def test_a_path_that_depends_on_values_is_named_by_file_and_line(net: nn.Module) -> None:
    with pytest.raises(ConversionError, match=r"depends on the values.*test_export\.py:\d+") as why:
        export(net.eval(), VECTOR)
    assert "torch.where" in str(why.value.hint)
    # The dynamic methods trace the model: they would take one path and drop the other.
    assert "dynamic" not in str(why.value.hint)
    assert "Traceback" not in str(why.value)


class Selects(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Positive()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x).sum() * x


class Positive(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[x > 0]


def test_a_shape_that_depends_on_values_is_named_by_module_and_line() -> None:
    told = r"aten\.index\.Tensor in inner at .*test_export\.py:\d+ \(return x\[x > 0\]\)"
    with pytest.raises(ConversionError, match=told) as why:
        export(Selects().eval(), VECTOR)
    assert "torch.where" in str(why.value.hint)


class Scales(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x.sum().item()


def test_a_number_that_depends_on_values_is_no_shape() -> None:
    program = export(Scales().eval(), VECTOR)
    assert torch.equal(program.module()(torch.ones(1, 4)), torch.full((1, 4), 4.0))


def test_any_other_refusal_has_cause_place_and_way_out() -> None:
    with pytest.raises(ConversionError, match=r"could not follow .*test_export\.py:\d+ \(") as why:
        export(Breaks().eval(), VECTOR)
    assert "model.file" in str(why.value.hint)
    assert len(str(why.value)) < 900


def test_wrong_shapes_are_the_recipes_fault() -> None:
    with pytest.raises(SourceError, match=r"x \[1, 5\] float32.*RuntimeError") as why:
        export(nn.Linear(4, 2).eval(), (InputSpec("x", (1, 5)),))
    assert "model.inputs" in str(why.value.hint)


def test_a_program_with_free_axes_is_fixed() -> None:
    net = nn.Linear(4, 2).eval()
    free = torch.export.export(
        net, (torch.zeros(2, 4),), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
    )
    model = nets.source(net, VECTOR, kind=ModelKind.EXPORTED_PROGRAM)
    model.__dict__["value"] = free  # what its loader would give
    program = export_source(model)
    assert program.range_constraints == {}
    (name,) = program.graph_signature.user_inputs
    (shape,) = (node.meta["val"].shape for node in program.graph.nodes if node.name == name)
    assert tuple(shape) == (1, 4)


def test_the_source_is_not_changed() -> None:
    net = nets.trained(nets.Net())
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    program = export_source(nets.source(net))
    image = torch.randn(nets.INPUTS[0].shape)
    assert torch.equal(program.module()(image), net(image))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_examples_have_the_stated_types() -> None:
    (tokens,) = example_inputs((InputSpec("tokens", (1, 7), "int64"),))
    assert tokens.dtype is torch.int64
    assert tokens.shape == (1, 7)


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
