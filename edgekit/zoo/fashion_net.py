"""A small MobileNetV2 for 28x28 grey pictures: inverted residuals (Sandler et al. 2018,
arXiv:1801.04381) at the sizes of Fashion-MNIST, trained by ``edgekit.zoo.train_fashion``."""

from __future__ import annotations

from torch import Tensor, nn

from edgekit.zoo.mobilenet_v2 import InvertedResidual, conv_bn_relu6

_STEM = 16
# (expansion, output channels, stride), one row a block; the stem leaves 14x14, the second 7x7.
_BLOCKS = (
    (2, 16, 1),
    (3, 32, 2),
    (4, 32, 1),
    (4, 32, 1),
    (4, 48, 1),
    (4, 48, 1),
    (4, 64, 1),
)
_HEAD = 160


class FashionNet(nn.Module):
    """Input ``[N, 1, 28, 28]`` float32, output logits ``[N, num_classes]``."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = conv_bn_relu6(1, _STEM, stride=2)
        blocks: list[nn.Module] = []
        channels = _STEM
        for expansion, outputs, stride in _BLOCKS:
            blocks.append(InvertedResidual(channels, outputs, stride, expansion))
            channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = conv_bn_relu6(channels, _HEAD, kernel=1)
        self.classifier = nn.Linear(_HEAD, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.blocks(self.stem(x)))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


def fashion_net(num_classes: int = 10) -> FashionNet:
    """A FashionNet with random weights; load a state dict into it."""
    return FashionNet(num_classes)
