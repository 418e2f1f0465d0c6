"""A prepared graph is the float model still: norms folded, weights unshared, nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.pytorch.export import export
from edgekit.pytorch.modules import leaf_modules
from edgekit.pytorch.pt2e_graph import module_path
from edgekit.pytorch.pt2e_prepare import Prepared, prepare
from tests.pytorch import nets


class Shared(nn.Module):
    """One convolution under two norms: folding either changes the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.one, self.two = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(self.conv(x)) + self.two(self.conv(x * 0.5 + 1))


class Twice(nn.Module):
    """A whole block that is called twice: its weight is folded once."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nets.Block(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(self.block(x))


class Joined(nn.Module):
    """A concatenation, whose parts and whole are one range, and a sigmoid, whose range is known."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nets.Block(3, 4), nn.Conv2d(3, 4, 1)
        self.end = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.end(torch.cat([self.left(x), self.right(x)], 1)))


def _prepared(net: nn.Module) -> Prepared:
    program = export(net, nets.INPUTS)
    return prepare(program, "xnnpack", leaf_modules(net), {}, per_channel=True)


@pytest.mark.parametrize("made", [nets.Net, Shared, Twice, Joined])
def test_it_still_answers_as_the_float_model(made: type[nn.Module]) -> None:
    net = nets.trained(made())
    image = torch.randn(nets.INPUTS[0].shape)
    prepared = _prepared(net)
    assert not any("batch_norm" in str(node.target) for node in prepared.graph.graph.nodes)
    with torch.inference_mode():
        assert torch.allclose(prepared.graph(image), net(image), atol=1e-4)


def test_observers_are_called_after_the_modules() -> None:
    prepared = _prepared(nets.trained(nets.Net()))
    # A clamp speaks for the convolution before it; the sum is the network's own.
    assert [*prepared.observers] == ["x", "stem.act", "deep.act", "add", "pool", "head"]
    assert prepared.ends == {"x", "head"}


def test_what_is_joined_has_one_observer() -> None:
    prepared = _prepared(nets.trained(Joined()))
    assert [*prepared.observers] == ["x", "left.act", "end"]


def test_a_wrapped_model_that_is_a_layer_itself_has_no_name() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.model(x)
            return answer

    graph = export(Wrapper(), (nets.InputSpec("x", (1, 4)),)).graph
    (linear,) = (node for node in graph.nodes if "linear" in str(node.target))
    assert (module_path(linear), module_path(linear, "model.")) == ("model", "")
