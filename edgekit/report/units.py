"""Figures in a reader's units."""

from __future__ import annotations


def size_text(count: int) -> str:
    """Bytes as MB or kB (powers of ten)."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def latency_text(value_ms: float) -> str:
    """Milliseconds, with three digits where it is less than one."""
    return f"{value_ms:.2f} ms" if value_ms >= 1 else f"{value_ms:.3g} ms"
