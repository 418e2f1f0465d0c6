"""Run edgekit's command and the direct script, each as a process of its own, and read both."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import run
from benchmarks.torch_job import TorchJob
from benchmarks.whole_command import FINISHED, read_report
from edgekit.numerics.intervals import Interval, paired_difference


def run_edgekit(recipe: str, out: Path) -> dict[str, Any]:
    """The report of ``edgekit quantize --recipe RECIPE``, whatever its verdict."""
    command = [sys.executable, "-m", "edgekit", "quantize", "--recipe", recipe, "-q"]
    run([*command, "--force", "--out", str(out)], accept=FINISHED)
    return read_report(out)


@dataclass(frozen=True)
class Direct:
    """What the direct script left: ``reference`` the float model's answers, ``answers`` those of
    each way, to the first samples if not to all; ``ways`` what else is known of each."""

    reference: np.ndarray
    answers: dict[str, np.ndarray]
    ways: dict[str, dict[str, Any]]
    float_bytes: int


def run_direct(job: TorchJob, out: Path) -> Direct:
    out.mkdir()
    run([sys.executable, "-m", "benchmarks.direct_torch", str(job.file), str(out)])
    result = json.loads((out / "result.json").read_text())
    answers = {way: np.load(out / f"{way}.npy") for way in result["ways"]}
    return Direct(np.load(out / "float.npy"), answers, result["ways"], result["float_bytes"])


@dataclass(frozen=True)
class Drop:
    """Top-1 before and after quantizing, on ``n`` samples, rates of 1, and the paired 95 %
    interval of their difference."""

    before: float
    after: float
    interval: Interval
    n: int

    @property
    def points(self) -> float:
        return 100 * (self.before - self.after)

    def __str__(self) -> str:
        low, high = 100 * self.interval.low, 100 * self.interval.high
        return (
            f"{100 * self.before:.2f} to {100 * self.after:.2f} %, drop {self.points:.2f} "
            f"[{low:.2f}, {high:.2f}] points, n = {self.n}"
        )


def drop(reference: np.ndarray, answers: np.ndarray, labels: np.ndarray) -> Drop:
    """Of ``answers`` [N, classes] to the first N samples."""
    n = len(answers)
    before, after = (rows[:n].argmax(1) == labels[:n] for rows in (reference, answers))
    interval = paired_difference(int((before & ~after).sum()), int((after & ~before).sum()), n)
    return Drop(float(before.mean()), float(after.mean()), interval, n)


def reported_drop(accuracy: dict[str, dict[str, Any]]) -> Drop:
    """Of the part ``accuracy`` of a report."""
    top1 = accuracy["top1"]
    interval = Interval(top1["ci_low"], top1["ci_high"])
    return Drop(top1["float"], top1["quantized"], interval, top1["n"])
