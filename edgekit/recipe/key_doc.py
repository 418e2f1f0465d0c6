"""What a key of a recipe carries beside its type; ``schema.py`` lists the names."""

from __future__ import annotations

from typing import Any


def key_doc(text: str, **limits: Any) -> dict[str, Any]:
    """Metadata of a field: ``text`` is its one line for people."""
    return {"doc": text, **limits}
