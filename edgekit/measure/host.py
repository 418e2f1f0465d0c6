"""The machine the host latency was taken on, as far as it matters to INT8."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# One instruction that multiplies int8 and accumulates int32; without one INT8 kernels widen to
# int16 first and gain little over float FMA. x86: Intel SDM, VNNI; Arm: FEAT_DotProd.
_DOT_PRODUCT_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


@dataclass(frozen=True)
class Host:
    """``int8_dot_product`` is ``None`` where the machine does not say."""

    cpu: str
    int8_dot_product: bool | None


def this_host(cpuinfo: Path = _CPUINFO) -> Host:
    """Read from the kernel's list of CPU features; other systems are named, not examined."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Host(cpu=platform.processor() or platform.machine(), int8_dot_product=None)
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features"))
    return Host(
        cpu=fields.get("model name") or platform.processor() or platform.machine(),
        int8_dot_product=None if flags is None else bool(_DOT_PRODUCT_FLAGS & set(flags.split())),
    )
