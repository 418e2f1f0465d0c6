"""torchao's quantizers for Inductor (x86, Arm), with our observers and the recipe's rules."""

from __future__ import annotations

from collections.abc import Mapping

from torchao.quantization.pt2e.quantizer import Quantizer
from torchao.quantization.pt2e.quantizer.arm_inductor_quantizer import ArmInductorQuantizer
from torchao.quantization.pt2e.quantizer.utils import QuantizationConfig
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import X86InductorQuantizer

from edgekit.errors import RecipeError
from edgekit.pytorch.modules import Treatment
from edgekit.pytorch.pt2e_specs import Specs


def inductor_quantizer(backend: str, specs: Specs, found: Mapping[str, Treatment]) -> Quantizer:
    """The quantizer of ``backend``, ``x86`` or ``arm``; ``found`` are treatments by module name,
    containers included.

    Raises:
        RecipeError: an option that this backend has no kernels for.
    """
    if backend == "arm" and specs.per_channel:
        raise RecipeError(
            "quantize.backend arm has kernels for one scale a weight only",
            hint="Write quantize.per_channel: false, or take backend xnnpack.",
        )
    quantizer = X86InductorQuantizer() if backend == "x86" else ArmInductorQuantizer()
    quantizer.set_global(_config(specs, 8))
    for name, treatment in found.items():
        if treatment.method == "dynamic":
            raise RecipeError(
                f"{treatment.rule}: quantize.backend {backend} cannot mix static and dynamic "
                f"modules ({name})",
                hint="Take backend xnnpack, or method: float for these modules.",
            )
        if treatment.method == "float":
            quantizer.set_module_name_qconfig(name, None)
        elif treatment.weight_bits:
            quantizer.set_module_name_qconfig(name, _config(specs, treatment.weight_bits))
    return quantizer


def _config(specs: Specs, bits: int) -> QuantizationConfig:
    activation = specs.activation()
    return QuantizationConfig(
        input_activation=activation,
        output_activation=activation,
        weight=specs.weight(0, bits),
        bias=None,
    )
