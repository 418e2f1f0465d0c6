"""A MobileNetV3 for 28x28 grey pictures, trained by ``edgekit.zoo.train_fashion``: the first rows
of MobileNetV3-Small (Howard et al. 2019, arXiv:1905.02244, table 2) at the sizes of Fashion-MNIST.

Hard-swish has no upper bound, and the gates of squeeze-and-excitation (Hu et al. 2018,
arXiv:1709.01507) multiply activations by one another.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class _Row:
    """A row of the paper's table, one block."""

    kernel: int
    expanded: int
    outputs: int
    gated: bool
    activation: type[nn.Module]
    stride: int = 1


@dataclass(frozen=True)
class _Table:
    """``stem``, ``head`` and ``hidden`` are channels: of the first convolution, of the last one and
    of the layer before the logits."""

    stem: int
    rows: tuple[_Row, ...]
    head: int
    hidden: int


# Rows 2 to 6, 8 and 9 of table 2, with its strides but for the first block's: its pictures are
# eight times as wide. The stem leaves 14x14, the second block 7x7, the fourth 4x4.
_SMALL = _Table(
    stem=16,
    rows=(
        _Row(3, 16, 16, True, nn.ReLU),
        _Row(3, 72, 24, False, nn.ReLU, stride=2),
        _Row(3, 88, 24, False, nn.ReLU),
        _Row(5, 96, 40, True, nn.Hardswish, stride=2),
        _Row(5, 240, 40, True, nn.Hardswish),
        _Row(5, 120, 48, True, nn.Hardswish),
        _Row(5, 144, 48, True, nn.Hardswish),
    ),
    head=6 * 48,  # six times the channels before it, as in the table
    hidden=160,
)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate in 0..1 that all channels' means decide on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _multiple_of_8(channels / 4)
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.relu = nn.ReLU()
        self.excite = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3), keepdim=True)
        gates: Tensor = self.gate(self.excite(self.relu(self.squeeze(means))))
        return x * gates


class InvertedResidualV3(nn.Module):
    """Expand (1x1), filter (depthwise), gate, project (1x1, linear)."""

    def __init__(self, inputs: int, row: _Row) -> None:
        super().__init__()
        self.residual = row.stride == 1 and inputs == row.outputs
        layers: list[nn.Module] = []
        if row.expanded != inputs:
            layers.append(_conv_bn(inputs, row.expanded, row.activation))
        layers.append(
            _conv_bn(
                row.expanded,
                row.expanded,
                row.activation,
                kernel=row.kernel,
                stride=row.stride,
                groups=row.expanded,
            )
        )
        if row.gated:
            layers.append(SqueezeExcite(row.expanded))
        layers.append(_conv_bn(row.expanded, row.outputs))
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class FashionMobileNetV3(nn.Module):
    """Input ``[N, 1, 28, 28]`` float32, output logits ``[N, num_classes]``."""

    def __init__(self, table: _Table, num_classes: int) -> None:
        super().__init__()
        self.stem = _conv_bn(1, table.stem, nn.Hardswish, kernel=3, stride=2)
        blocks: list[nn.Module] = []
        channels = table.stem
        for row in table.rows:
            blocks.append(InvertedResidualV3(channels, row))
            channels = row.outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = _conv_bn(channels, table.head, nn.Hardswish)
        self.classifier = nn.Sequential(
            nn.Linear(table.head, table.hidden),
            nn.Hardswish(),
            nn.Dropout(0.2),
            nn.Linear(table.hidden, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.blocks(self.stem(x)))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


def fashion_mobilenet_v3(num_classes: int = 10) -> FashionMobileNetV3:
    """Seven blocks of MobileNetV3-Small, random weights; load a state dict into it."""
    return FashionMobileNetV3(_SMALL, num_classes)


def _conv_bn(
    inputs: int,
    outputs: int,
    activation: type[nn.Module] | None = None,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        # The paper's momentum, and the eps of its published TensorFlow code.
        nn.BatchNorm2d(outputs, eps=0.001, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def _multiple_of_8(channels: float) -> int:
    """The nearest one, not more than a tenth below ``channels`` (as MobileNet's authors round)."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
