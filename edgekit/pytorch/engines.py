"""The quantized engines that this build of torch has, and which of them a recipe allows.

Imports torch; methods import it when they quantize.
"""

from __future__ import annotations

import platform

import torch

from edgekit.errors import MissingError

_PREFERENCE = {
    "x86": ("x86", "fbgemm", "onednn", "qnnpack"),
    "arm": ("qnnpack", "onednn"),
}


def supported_engines() -> tuple[str, ...]:
    """What this build of torch has on this machine."""
    return tuple(name for name in torch.backends.quantized.supported_engines if name != "none")


def candidates(backend: str) -> tuple[str, ...]:
    """The engines that ``quantize.backend`` allows here, the preferred first.

    Raises:
        MissingError: this build of torch does not have the one that was asked for.
    """
    supported = supported_engines()
    if backend == "auto":
        arm = platform.machine().lower() in ("arm64", "aarch64")
        return tuple(name for name in _PREFERENCE["arm" if arm else "x86"] if name in supported)
    if backend not in supported:
        raise MissingError(
            f"torch {torch.__version__} on this machine has no quantized engine {backend}; "
            f"it has {', '.join(supported)}",
            hint="Set quantize.backend to one of these, or to auto.",
        )
    return (backend,)
