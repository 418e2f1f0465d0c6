"""The Fashion-MNIST nets, and the weights of theirs that ship."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.recipe import load_recipe
from edgekit.sources import locate
from edgekit.types import Role
from edgekit.zoo.fashion_lstm import fashion_lstm
from edgekit.zoo.fashion_mobilenet_v3 import (
    InvertedResidualV3,
    SqueezeExcite,
    fashion_mobilenet_v3,
)
from edgekit.zoo.fashion_net import fashion_net
from edgekit.zoo.mobilenet_v2 import InvertedResidual
from edgekit.zoo.train_fashion import PLANS, load_pictures, top1

NETS = {
    "fashion_net": fashion_net,
    "fashion_lstm": fashion_lstm,
    "fashion_dark": fashion_mobilenet_v3,
}
RECIPES = {
    "fashion_net": "fashion_qat",
    "fashion_lstm": "fashion_lstm_dynamic",
    "fashion_dark": "fashion_dark_int8",
}
LARGEST_BYTES = {
    "fashion_net": 450_000,
    "fashion_lstm": 600_000,
    "fashion_dark": 1_000_000,
}
TOP1 = {
    "fashion_net": 0.90,
    "fashion_lstm": 0.88,
    "fashion_dark": 0.867,
}
"""Of 1,000 dev pictures: two standard errors below the 0.921, 0.898 and 0.890 of all 10,000."""


def shipped(name: str, repository: Path) -> nn.Module:
    net = NETS[name]()
    file = repository / "recipes" / "weights" / f"{name}.pt"
    net.load_state_dict(torch.load(file, weights_only=True), strict=True)
    return net.eval()


def test_fashion_net_has_the_size_and_the_names_it_is_known_by() -> None:
    net = fashion_net()
    assert sum(parameter.numel() for parameter in net.parameters()) == 93_802
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert {name.split(".")[0] for name in shapes} == {"stem", "blocks", "head", "classifier"}
    for name, shape in {
        "stem.0.weight": (16, 1, 3, 3),
        "blocks.0.conv.0.0.weight": (32, 16, 1, 1),
        "blocks.1.conv.1.0.weight": (48, 1, 3, 3),
        "blocks.6.conv.2.weight": (64, 192, 1, 1),
        "head.1.running_var": (160,),
        "classifier.weight": (10, 160),
    }.items():
        assert shapes[name] == shape
    blocks = [block for block in net.blocks if isinstance(block, InvertedResidual)]
    assert [block.residual for block in blocks] == [True, False, True, True, False, True, False]


def test_fashion_mobilenet_v3_has_the_size_and_the_names_it_is_known_by() -> None:
    net = fashion_mobilenet_v3()
    assert sum(parameter.numel() for parameter in net.parameters()) == 195_218
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert {name.split(".")[0] for name in shapes} == {"stem", "blocks", "head", "classifier"}
    for name, shape in {
        "stem.0.weight": (16, 1, 3, 3),
        "blocks.0.conv.0.0.weight": (16, 1, 3, 3),
        "blocks.1.conv.0.0.weight": (72, 16, 1, 1),
        "blocks.4.conv.1.0.weight": (240, 1, 5, 5),
        "blocks.4.conv.2.squeeze.weight": (64, 240, 1, 1),
        "blocks.4.conv.2.excite.bias": (240,),
        "blocks.6.conv.3.1.running_var": (48,),
        "head.0.weight": (288, 48, 1, 1),
        "classifier.0.weight": (160, 288),
        "classifier.3.weight": (10, 160),
    }.items():
        assert shapes[name] == shape
    blocks = [block for block in net.blocks if isinstance(block, InvertedResidualV3)]
    assert [block.residual for block in blocks] == [True, False, True, False, True, False, True]


def test_fashion_mobilenet_v3_has_the_gates_and_the_hard_swish_of_its_paper() -> None:
    net = fashion_mobilenet_v3().eval()
    with torch.inference_mode():
        inside = net.blocks(net.stem(torch.rand(1, 1, 28, 28)))
        assert inside.shape == (1, 48, 4, 4)
    gated = [
        any(isinstance(part, SqueezeExcite) for part in block.modules()) for block in net.blocks
    ]
    assert gated == [True, False, False, True, True, True, True]
    # Stem, two a block from the fourth on, head and classifier.
    assert sum(isinstance(part, nn.Hardswish) for part in net.modules()) == 1 + 2 * 4 + 2


def test_squeeze_excite_squeezes_to_a_quarter_in_steps_of_eight() -> None:
    widths = {16: 8, 72: 24, 96: 24, 120: 32, 144: 40, 240: 64}
    made = {channels: SqueezeExcite(channels).squeeze.out_channels for channels in widths}
    assert made == widths


def test_squeeze_excite_scales_each_channel_by_its_gate() -> None:
    layer, x = SqueezeExcite(16), torch.rand(2, 16, 5, 5)
    nn.init.zeros_(layer.excite.weight)
    with torch.no_grad():
        layer.excite.bias.copy_(torch.linspace(-6, 6, 16))
    with torch.inference_mode():
        gates = ((layer.excite.bias + 3) / 6).clamp(0, 1)
        torch.testing.assert_close(layer(x), x * gates[:, None, None])


def test_fashion_lstm_has_the_names_it_is_known_by() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in fashion_lstm().state_dict().items()}
    assert shapes == {
        "lstm.weight_ih_l0": (512, 28),
        "lstm.weight_hh_l0": (512, 128),
        "lstm.bias_ih_l0": (512,),
        "lstm.bias_hh_l0": (512,),
        "classifier.weight": (10, 128),
        "classifier.bias": (10,),
    }


def test_the_lstm_reads_rows_from_the_top() -> None:
    net, picture = fashion_lstm().eval(), torch.rand(1, 1, 28, 28)
    with torch.inference_mode():
        _, (last, _) = net.lstm(picture[:, 0])
        torch.testing.assert_close(net(picture), net.classifier(last[0]))
        assert not torch.allclose(net(picture.transpose(2, 3)), net(picture))


@pytest.mark.parametrize("name", NETS)
def test_a_traced_an_exported_and_a_channels_last_one_answer_alike(name: str) -> None:
    net, picture = NETS[name](7).eval(), torch.rand(1, 1, 28, 28)
    with torch.inference_mode():
        expected = net(picture)
        assert expected.shape == (1, 7)
        assert net(torch.rand(3, 1, 28, 28)).shape == (3, 7)
        torch.testing.assert_close(torch.jit.trace(net, picture)(picture), expected)
        last = picture.expand(2, 1, 28, 28).contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(net(last)[:1], expected)
    exported = torch.export.export(net, (picture,)).module()
    torch.testing.assert_close(exported(picture), expected)


@pytest.mark.parametrize("build", [fashion_net, fashion_mobilenet_v3])
def test_a_mobilenet_can_be_traced_symbolically(build: Callable[[], nn.Module]) -> None:
    net, picture = build().eval(), torch.rand(2, 1, 28, 28)
    with torch.inference_mode():
        torch.testing.assert_close(torch.fx.symbolic_trace(net)(picture), net(picture))


@pytest.mark.parametrize("name", NETS)
def test_the_shipped_weights_are_a_plain_small_state_dict(name: str, repository: Path) -> None:
    file = repository / "recipes" / "weights" / f"{name}.pt"
    assert file.stat().st_size <= LARGEST_BYTES[name]
    state = torch.load(file, weights_only=True)
    assert all(tensor.is_contiguous() for tensor in state.values())
    floats = [tensor for tensor in state.values() if tensor.is_floating_point()]
    assert all(tensor.dtype == torch.float32 for tensor in floats)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in floats)


@pytest.mark.parametrize("name", NETS)
def test_a_recipe_finds_its_weights(name: str, repository: Path) -> None:
    recipe = load_recipe(RECIPES[name])
    source = locate(recipe.model)
    expected = shipped(name, repository).state_dict()
    assert expected.keys() == source.value.state_dict().keys()
    for key, tensor in source.value.state_dict().items():
        assert torch.equal(tensor, expected[key]), key


@pytest.mark.network
@pytest.mark.parametrize("name", NETS)
def test_the_shipped_weights_know_the_dev_pictures(name: str, repository: Path) -> None:
    pictures = load_pictures(Role.DEV, 1000, dataset=PLANS[name].dataset)
    assert top1(shipped(name, repository), pictures) >= TOP1[name]
