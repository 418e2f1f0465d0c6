"""Dynamic INT8 modules made by torchao's ``quantize_``, in a form that exports to plain tensors.

``quantize_`` puts an ``Int8Tensor`` in the place of a weight. Saved so, a program needs that class,
as it was, to be loaded. Here its codes and scales become buffers, and the class is put together
again while the program is traced: what is saved are tensors and operators.

Imports torch and torchao; the method imports it when it quantizes.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchao.quantization import (
    Int8DynamicActivationInt8WeightConfig,
    Int8Tensor,
    MappingType,
    PerRow,
    quantize_,
)

from edgekit.pytorch.dynamic_plan import DynamicPlan, Kernel, Library, replace_modules

# A range of its own for each token, and an asymmetric one: what follows a GELU or ReLU would waste
# half of a symmetric one.
_CONFIG = Int8DynamicActivationInt8WeightConfig(
    act_mapping_type=MappingType.ASYMMETRIC, set_inductor_config=False
)


class Int8Linear(nn.Module):
    """A Linear whose weight torchao has quantized: ``weight`` int8 ``[rows, columns]``, ``scale``
    float32 ``[rows, 1]``. Each vector of activations is quantized as it comes."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        quantized: Any = linear.weight
        self.register_buffer("weight", quantized.qdata)
        self.register_buffer("scale", quantized.scale)
        self.bias = linear.bias
        self._activations = quantized.act_quant_kwargs
        self._block_size = list(quantized.block_size)
        self._dtype = quantized.dtype

    def forward(self, x: Tensor) -> Tensor:
        weight: Any = Int8Tensor(
            self.weight,
            self.scale,
            self._block_size,
            self._dtype,
            act_quant_kwargs=self._activations,
        )
        return functional.linear(x, weight, self.bias)


class Int8Embedding(nn.Module):
    """A table of int8 rows ``[rows, width]``, each with a scale. Rows are looked up first and made
    float after; torchao's own makes the whole table float for each call."""

    weight: Tensor
    scale: Tensor

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        quantized = Int8Tensor.from_hp(table.weight.detach(), granularity=PerRow())
        self.register_buffer("weight", quantized.qdata)
        self.register_buffer("scale", quantized.scale)

    def forward(self, indices: Tensor) -> Tensor:
        codes = functional.embedding(indices, self.weight)
        return codes.to(self.scale.dtype) * functional.embedding(indices, self.scale)


def library() -> Library:
    """What torchao can quantize dynamically."""
    return Library(
        name="torchao (int8 dynamic)",
        types=("Linear", "Embedding"),
        find=_find,
        bits=(8,),
        default_bits=lambda module: 8,
    )


def quantize_modules(model: nn.Module, plan: DynamicPlan) -> nn.Module:
    """A copy of ``model`` with the modules of ``plan`` in INT8."""
    duplicate = copy.deepcopy(model)
    quantize_(duplicate, _CONFIG, filter_fn=lambda module, name: name in plan.matmuls)
    made: dict[str, nn.Module] = {}
    for name in plan.matmuls:
        linear: Any = duplicate.get_submodule(name)
        made[name] = Int8Linear(linear)
    for name in plan.tables:
        table: Any = duplicate.get_submodule(name)
        made[name] = Int8Embedding(table)
    return replace_modules(duplicate, made).eval()


def _find(module: nn.Module) -> Kernel | str:
    kind = type(module)
    if isinstance(
        module, nn.MultiheadAttention | nn.modules.linear.NonDynamicallyQuantizableLinear
    ):
        return "nn.MultiheadAttention reads its weights itself, past any INT8 kernel"
    for base, kernel in ((nn.Linear, Kernel.MATMUL), (nn.Embedding, Kernel.TABLE)):
        if isinstance(module, base):
            if kind.forward is not base.forward:
                return f"{kind.__name__} has a forward of its own, unlike {base.__name__}"
            if getattr(module, "max_norm", None) is not None:
                return "an INT8 table cannot be renormalized (max_norm)"
            return kernel
    return f"torchao has no dynamic INT8 kernel for {kind.__name__}"
