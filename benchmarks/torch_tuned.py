"""Fine-tuning with the rounding in view: what it wins back."""

from __future__ import annotations

from typing import Any

from benchmarks.figure import Figure
from benchmarks.torch_job import TorchJob
from benchmarks.torch_run import Direct, drop, reported_drop
from edgekit.methods.fine_tuning import WITHOUT

WAYS = {
    "pt2e_qat": "torchao PT2E QAT",
    "pt2e": "torchao PT2E, per channel, without",
}
"""The direct script's, by what the table calls them."""


def tuned(job: TorchJob, report: dict[str, Any], direct: Direct) -> Figure:
    """Points of top-1 lost with fine-tuning, beside torchao's own, and both without."""
    assert job.labels is not None
    after = reported_drop(report["accuracy"])
    before = reported_drop(report["alternatives"][WITHOUT]["accuracy"])
    options = job.direct["options"]["pt2e_qat"]
    training, limit = options["training"], options["weight_limit"]
    theirs = {
        name: drop(direct.reference, direct.answers[way], job.labels) for way, name in WAYS.items()
    }
    return Figure(
        name=f"top-1 lost, {job.recipe.name}",
        value=after.points,
        unit="points",
        ci=(100 * after.interval.low, 100 * after.interval.high),
        ci_kind="95 % paired",
        beside=(
            ("edgekit without fine-tuning", before.points),
            *((name, found.points) for name, found in theirs.items()),
        ),
        notes=(
            f"fine-tuned {after}",
            f"edgekit without fine-tuning {before}",
            *(f"{name} {found}" for name, found in theirs.items()),
            f"{training['steps']} steps of {training['batch']} on both sides, Adam at "
            f"{training['learning_rate']:g}; weights from {-limit} to {limit}",
        ),
    )
