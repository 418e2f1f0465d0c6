"""An LSTM that reads a 28x28 picture row by row, trained by ``edgekit.zoo.train_fashion``."""

from __future__ import annotations

from torch import Tensor, nn

_ROW = 28
_HIDDEN = 128


class FashionLSTM(nn.Module):
    """Input ``[N, 1, 28, 28]`` float32, 28 steps of one row each; output logits ``[N, classes]``.

    The picture keeps its channel axis, so that the data of any image model feeds this one.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_ROW, _HIDDEN, batch_first=True)
        self.classifier = nn.Linear(_HIDDEN, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x.squeeze(1))
        logits: Tensor = self.classifier(states[:, -1])
        return logits


def fashion_lstm(num_classes: int = 10) -> FashionLSTM:
    """A FashionLSTM with random weights; load a state dict into it."""
    return FashionLSTM(num_classes)
