"""The architecture that torchvision's published weights belong to."""

from __future__ import annotations

import pytest
import torch

from edgekit.zoo.mobilenet_v2 import InvertedResidual, mobilenet_v2


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return mobilenet_v2().eval()


def test_it_has_the_parameters_of_the_published_one(model: torch.nn.Module) -> None:
    assert sum(parameter.numel() for parameter in model.parameters()) == 3_504_872


def test_its_state_dict_has_torchvisions_names_and_shapes(model: torch.nn.Module) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert len(shapes) == 314  # 52 convolutions, 52 batch norms of 5, one linear of 2
    for name, shape in {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.0.1.running_var": (32,),
        # The first block has no expansion, so its depthwise convolution comes first.
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.1.conv.2.num_batches_tracked": (),
        "features.2.conv.0.0.weight": (96, 16, 1, 1),
        "features.2.conv.1.0.weight": (96, 1, 3, 3),
        "features.2.conv.2.weight": (24, 96, 1, 1),
        "features.2.conv.3.bias": (24,),
        "features.17.conv.2.weight": (320, 960, 1, 1),
        "features.18.0.weight": (1280, 320, 1, 1),
        "classifier.1.weight": (1000, 1280),
        "classifier.1.bias": (1000,),
    }.items():
        assert shapes[name] == shape
    assert not [name for name in shapes if "conv.0.0.bias" in name]


def test_strides_and_residuals_are_table_2_of_the_paper(model: torch.nn.Module) -> None:
    blocks = [m for m in model.modules() if isinstance(m, InvertedResidual)]
    assert len(blocks) == 17
    assert [i for i, block in enumerate(blocks, 1) if block.residual] == [
        3, 5, 6, 8, 9, 10, 12, 13, 15, 16,
    ]  # fmt: skip
    sizes = []
    x = torch.zeros(1, 3, 224, 224)
    with torch.inference_mode():
        for layer in model.features:  # type: ignore[union-attr]
            x = layer(x)
            sizes.append((x.shape[1], x.shape[2]))
    assert sizes[0] == (32, 112)
    assert sizes[1] == (16, 112)
    assert sizes[3] == (24, 56)
    assert sizes[6] == (32, 28)
    assert sizes[10] == (64, 14)
    assert sizes[13] == (96, 14)
    assert sizes[16] == (160, 7)
    assert sizes[17] == (320, 7)
    assert sizes[18] == (1280, 7)


def test_a_residual_block_adds_its_input() -> None:
    block = InvertedResidual(8, 8, stride=1, expansion=2).eval()
    x = torch.rand(1, 8, 5, 5)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), x + block.conv(x))
        assert InvertedResidual(8, 8, stride=2, expansion=2).eval()(x).shape == (1, 8, 3, 3)


def test_another_number_of_classes() -> None:
    with torch.inference_mode():
        assert mobilenet_v2(num_classes=7).eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 7)
