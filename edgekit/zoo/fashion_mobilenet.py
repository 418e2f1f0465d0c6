"""A small MobileNetV2 in Keras for 28x28 grey pictures: inverted residuals (Sandler et al. 2018,
arXiv:1801.04381) at the sizes of Fashion-MNIST, trained by ``edgekit.zoo.train_fashion_keras``."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

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
_HEAD = 192
# The mean over some 20 batches: an epoch has too few for Keras' 0.99.
_MOMENTUM = 0.95


def fashion_mobilenet(num_classes: int = 10) -> Any:
    """A ``keras.Model`` with random weights: input ``image`` float32 ``[N, 28, 28, 1]``, output
    ``logits`` float32 ``[N, num_classes]``."""
    image = layers.Input((28, 28, 1), name="image")
    x = _conv(image, _STEM, "stem", kernel=3, stride=2)
    channels = _STEM
    for number, (expansion, outputs, stride) in enumerate(_BLOCKS, 1):
        name = f"block{number}"
        y = _conv(x, channels * expansion, f"{name}_expand")
        y = layers.DepthwiseConv2D(
            3, stride, padding="same", use_bias=False, name=f"{name}_filter_conv"
        )(y)
        y = _norm_relu6(y, f"{name}_filter")
        y = layers.Conv2D(outputs, 1, use_bias=False, name=f"{name}_project_conv")(y)
        y = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_project_bn")(y)
        residual = stride == 1 and outputs == channels
        x = layers.Add(name=f"{name}_add")([x, y]) if residual else y
        channels = outputs
    x = _conv(x, _HEAD, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(num_classes, name="logits")(x), name="fashion_mobilenet")


def _conv(x: Any, filters: int, name: str, kernel: int = 1, stride: int = 1) -> Any:
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(
        x
    )
    return _norm_relu6(x, name)


def _norm_relu6(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x)
