"""Figures in a reader's units."""

from __future__ import annotations


def size_text(count: int) -> str:
    """Bytes as MB or kB (powers of ten)."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
