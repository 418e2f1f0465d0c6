"""What methods do and say about quantization-aware fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgekit.methods.method import QuantizeJob
from edgekit.recipe.schema import InputSpec, QatSpec
from edgekit.types import Artefact

if TYPE_CHECKING:
    from edgekit.pytorch.pt2e_prepare import Prepared

WITHOUT = "without fine-tuning"
"""What the same model, quantized after training only, is called beside a fine-tuned one."""


def write_pt2e(
    job: QuantizeJob,
    prepared: Prepared,
    inputs: tuple[InputSpec, ...],
    prepare_at: Callable[[tuple[InputSpec, ...]], Prepared],
    write: Callable[[Prepared, str, Mapping[str, Any]], Artefact],
    notes: Mapping[str, Any],
) -> tuple[Artefact, Mapping[str, Artefact]]:
    """The artefact that ``write`` makes of ``prepared``, whose ranges are set, and none beside it.

    Where the recipe asks for fine-tuning, the artefact is of the trained graph, and the one of
    ``prepared`` stands beside it. ``prepare_at`` is as in ``qat.fine_tuned``; ``write`` is given a
    graph that it may use up, a file name without suffix, and notes.
    """
    qat = job.options.qat
    if qat is None:
        return write(prepared, "model", notes), {}
    from edgekit.pytorch.extremes import ranges_of, set_ranges
    from edgekit.pytorch.qat import fine_tuned

    trained, ranges, losses = fine_tuned(job, ranges_of(prepared.observers), inputs, prepare_at)
    set_ranges(trained.observers, ranges)
    beside = {WITHOUT: write(prepared, "model.ptq", notes)}
    return write(trained, "model", {**notes, **fine_tuning_notes(qat, losses)}), beside


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
