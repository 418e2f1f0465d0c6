"""A PyTorch model as the ``.tflite`` will be: channels-last, its outputs in the recipe's order.

Imports torch; the bridge imports it when it converts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from edgekit.recipe.schema import InputSpec


class ChannelsLast(torch.nn.Module):
    """Takes NHWC where ``model`` takes NCHW; if any input is NCHW, gives 4-axis outputs as NHWC.

    A class of the module's own, not a local one: its name is the root of every tensor's name.
    """

    def __init__(
        self, model: Callable[..., Any], inputs: tuple[InputSpec, ...], outputs: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.model = model
        self.permuted = tuple(spec.layout == "NCHW" for spec in inputs)
        self.names = outputs
        # Not eval(), which also calls it on an exported module, and that has none.
        self.training = False

    def forward(self, *tensors: torch.Tensor) -> Any:
        answer = self.model(
            *(
                tensor.permute(0, 3, 1, 2) if permute else tensor
                for tensor, permute in zip(tensors, self.permuted, strict=True)
            )
        )
        if isinstance(answer, Mapping):
            known = set(answer) == set(self.names)
            answer = [answer[name] for name in (self.names if known else answer)]
        if isinstance(answer, tuple | list):
            return tuple(self._images_last(output) for output in answer)
        return self._images_last(answer)

    def _images_last(self, output: torch.Tensor) -> torch.Tensor:
        return output.permute(0, 2, 3, 1) if any(self.permuted) and output.dim() == 4 else output
