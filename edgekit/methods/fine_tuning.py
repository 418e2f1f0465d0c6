"""What methods say of quantization-aware fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgekit.recipe.schema import QatSpec

WITHOUT = "without fine-tuning"
"""What the same model, quantized after training only, is called beside a fine-tuned one."""


def fine_tuning_notes(spec: QatSpec, losses: Sequence[float]) -> dict[str, Any]:
    """For ``Artefact.notes``; the losses are means over the first and the last tenth of steps."""
    tenth = max(1, len(losses) // 10)
    return {
        "fine_tuning": {
            "steps": spec.steps,
            "batch": spec.batch,
            "learning_rate": spec.learning_rate,
            "loss_first": sum(losses[:tenth]) / tenth,
            "loss_last": sum(losses[-tenth:]) / tenth,
        }
    }
