"""What the peers' files give: their answers to the crops, and their latency, all taking turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import direct, onnx_direct_ort
from benchmarks.peers.direct import channels_first
from benchmarks.peers.rows import EXACT, Format, Made, Peer
from benchmarks.peers.work import EVAL, Evaluation, Work
from benchmarks.ratio import Ratio, ratio_of_medians
from edgekit.errors import EdgekitError
from edgekit.runs.run import usable_cores

RUNS_PER_ROUND = 5


@dataclass(frozen=True)
class Compared:
    """Against the reference: share of crops with the same class, and SQNR of the logits.

    ``by_photo`` has that share of each photo's crops: crops of one photo are no independent ones.
    """

    agreement: float
    sqnr_db: float
    by_photo: tuple[float, ...] = ()


@dataclass(frozen=True)
class Timed:
    """``speedup`` over the float file of the same format; ``over_exact`` is the latency over that
    of the row ``EXACT``, where it is there and of the same format."""

    latency_ms: float
    speedup: Ratio
    over_exact: Ratio | None


@dataclass(frozen=True)
class Row:
    """One peer on one model; ``failed`` says why there is nothing else. A float model is a row
    without ``made``. ``compared`` goes by the names of the evaluations."""

    name: str
    format: Format
    file: Path | None = None
    made: Made | None = None
    failed: str | None = None
    compared: Mapping[str, Compared] | None = None
    timed: Timed | None = None

    @property
    def size_bytes(self) -> int | None:
        return None if self.file is None else self.file.stat().st_size

    @property
    def is_edgekit(self) -> bool:
        return self.name.startswith("edgekit")

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        made = self.made
        return {
            "name": self.name,
            "format": self.format,
            "failed": self.failed,
            "size_bytes": self.size_bytes,
            "quantizing_seconds": None if made is None else made.seconds,
            "peak_bytes": None if made is None else made.peak_bytes,
            "note": "" if made is None else made.note,
            "version": "" if made is None else made.version,
            "compared": {name: asdict(each) for name, each in (self.compared or {}).items()},
            "timed": None if self.timed is None else asdict(self.timed),
        }


def float_rows(work: Work) -> list[Row]:
    """The models that the peers start from: what converting alone cost."""
    names: dict[str, Format] = {"float .tflite": "tflite", "float .onnx": "onnx"}
    return [Row(name, form, work.floats[form]) for name, form in names.items()]


def make_row(peer: Peer, work: Work, folder: Path) -> Row:
    """Run ``peer``; one that fails or is not to be had is a row that says why."""
    folder.mkdir()
    try:
        made = peer.make(work, folder)
    except EdgekitError as error:
        return Row(peer.name, peer.format, failed=error.message)
    except RuntimeError as error:
        return Row(peer.name, peer.format, failed=last_words(str(error)))
    return Row(peer.name, peer.format, made.file, made)


def last_words(text: str) -> str:
    """Where a program that failed says why: what edgekit told, else the last line of all."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [number for number, line in enumerate(lines) if line.lower().startswith("error:")]
    return " ".join(lines[told[-1] :] if told else lines[-1:]) or "it did not say why"


def measured(rows: Sequence[Row], work: Work, rounds: int) -> list[Row]:
    """``rows`` with what can be measured of them."""
    made = [row for row in rows if row.file is not None]
    compared = _compared(made, work.evaluations)
    sample = next(iter(work.evaluations[EVAL].dataset)).feeds[work.evaluations[EVAL].input][0]
    timed = _timed(made, sample, rounds)
    return [
        row
        if row.file is None
        else replace(row, compared=compared[row.name], timed=timed[row.name])
        for row in rows
    ]


def _compared(
    rows: Sequence[Row], evaluations: Mapping[str, Evaluation]
) -> dict[str, dict[str, Compared]]:
    found: dict[str, dict[str, Compared]] = {row.name: {} for row in rows}
    for name, evaluation in evaluations.items():
        samples = evaluation.samples()
        fed = {"tflite": samples, "onnx": channels_first(samples)}
        for row in rows:
            assert row.file is not None
            run = direct.run_tflite if row.format == "tflite" else onnx_direct_ort.answers
            answers = run(row.file, fed[row.format], usable_cores())
            found[row.name][name] = Compared(
                **direct.compare(evaluation.reference, answers),
                by_photo=_by_photo(evaluation, answers),
            )
    return found


def _by_photo(evaluation: Evaluation, answers: np.ndarray) -> tuple[float, ...]:
    same: dict[str, list[bool]] = {}
    for sample, reference, answer in zip(
        evaluation.dataset, evaluation.reference, answers, strict=True
    ):
        same.setdefault(sample.image_id, []).append(reference.argmax() == answer.argmax())
    return tuple(float(np.mean(each)) for each in same.values())


def _timed(rows: Sequence[Row], sample: np.ndarray, rounds: int) -> dict[str, Timed]:
    """One thread; the files of a format take turns in one loop, the float one first."""
    by_name: dict[str, Timed] = {}
    for form in ("tflite", "onnx"):
        same = [row for row in rows if row.format == form]
        files = [row.file for row in same if row.file is not None]
        if form == "tflite":
            times = direct.time_in_turns(files, sample, 1, rounds, RUNS_PER_ROUND)
        else:
            fed = channels_first(sample[None])
            times = onnx_direct_ort.time_in_turns(files, fed, rounds, RUNS_PER_ROUND)
        medians = [np.median(each, axis=1).tolist() for each in times]
        exact = next((m for row, m in zip(same, medians, strict=True) if row.name == EXACT), None)
        for row, each, whole in zip(same, medians, times, strict=True):
            by_name[row.name] = Timed(
                float(np.median(whole)),
                ratio_of_medians(medians[0], each),
                None if exact is None else ratio_of_medians(each, exact),
            )
    return by_name
