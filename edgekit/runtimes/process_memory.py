"""Resident memory of this process, as Linux tells it under /proc/self (proc(5))."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from edgekit.errors import UsageError

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"
_PACKAGES = {
    "litert": ("ai_edge_litert.interpreter",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "torchscript": ("torch",),
    "torch_export": ("torch", "torchao"),
}


def weigh_runtime(runtime: str) -> int:
    """Import the packages of ``runtime``, and return the bytes that are resident then. The peak is
    counted from here on.

    Raises:
        UsageError: this system does not tell.
    """
    for package in _PACKAGES.get(runtime, ()):
        if find_spec(package.partition(".")[0]) is not None:  # who needs it says what is missing
            import_module(package)
    try:
        _CLEAR.write_text(_FORGET_PEAK, encoding="ascii")
    except OSError as error:
        raise UsageError(
            f"this system does not tell the peak memory of a process: {error}"
        ) from error
    return _read("VmRSS")


def peak_bytes() -> int:
    """Bytes resident at most since ``weigh_runtime``."""
    return _read("VmHWM")


def _read(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise UsageError(f"this system does not tell {field} of a process")
    return int(found[1]) * 1024
