"""Verdicts on many files by the gate's own functions; the float model answers once for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgekit.artefact import inspect_artefact
from edgekit.errors import EXIT_FAILED, EdgekitError
from edgekit.gate.check import Check, Status, Verdict, verdict
from edgekit.gate.limits import check_limits
from edgekit.measure.accuracy import measure_accuracy
from edgekit.measure.host import this_host
from edgekit.measure.reference import reference_predictions
from edgekit.measure.size import compare_size
from edgekit.numerics.fidelity import fidelity
from edgekit.pipeline import Made, take
from edgekit.recipe.schema import Recipe
from edgekit.runs.run import Run
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.predict import Predictions, predict
from edgekit.tflite import flatbuffer
from edgekit.types import Array, ArtefactFacts, Sample

ACCURACY = "accuracy.top1.drop"
SUBSETS = 10
"""Of each smaller number of pictures: so many that share none."""
_AT_ONCE = 100


@dataclass(frozen=True)
class Judged:
    """``lost`` is the share of all pictures on which the file is right less often than the float
    model, ``kept`` the agreement. ``verdicts`` has, by the number of pictures, one for all of them
    and one for each of the subsets; ``accuracy`` likewise what became of that check alone, and
    ``redrawn`` verdicts on as many pictures drawn with replacement."""

    lost: float
    kept: float
    failed: tuple[str, ...]
    verdicts: dict[int, tuple[str, ...]]
    accuracy: dict[int, tuple[str, ...]]
    redrawn: dict[int, tuple[str, ...]]


class Bench:
    """The pictures of a recipe, the float model's answers, and what a run folder's artefact is.

    A damaged file is held against these; ``sizes`` are the numbers of pictures besides all.
    """

    def __init__(self, recipe: Recipe, run_dir: Path, sizes: Sequence[int]):
        self.recipe = replace(recipe, latency=replace(recipe.latency, enabled=False))
        self._home = TemporaryDirectory()
        run = Run(self.recipe, threads=1)
        self.made: Made = take(run, run_dir, Path(self._home.name))
        self.undamaged = self.made.quantized.artefact.path.read_bytes()
        self.pictures: list[Sample] = list(self.made.data.fidelity)
        (self.reference,), _ = reference_predictions(
            self.made.source,
            [self.made.data.fidelity],
            threads=1,
            cache=run.cache,
            progress=run.progress,
        )
        order = np.random.default_rng(0).permutation(len(self.pictures))
        self.rows: dict[int, tuple[Array, ...]] = {len(order): (np.arange(len(order)),)}
        for size in sizes:
            self.rows[size] = tuple(np.split(order[: SUBSETS * size], SUBSETS))

    def judge(self, data: bytes, draws: int = 0, seed: int = 0) -> Judged:
        """The verdicts on the file ``data``; one that cannot be run fails them all. ``draws`` are
        made of pictures for each number of them, by ``seed``."""
        file = Path(self._home.name) / "judged.tflite"
        file.write_bytes(data)
        artefact = replace(self.made.quantized.artefact, path=file)
        try:
            facts = inspect_artefact(artefact, islice(self.pictures, 1))
            answers = answers_of(data, self.pictures)
        except EdgekitError as error:
            if error.exit_code != EXIT_FAILED:
                raise
            fail = {size: (Verdict.FAIL.value,) * len(rows) for size, rows in self.rows.items()}
            return Judged(1.0, 0.0, ("run",), fail, fail, {})
        found = {
            size: [self.checks(facts, len(data), answers, rows) for rows in subsets]
            for size, subsets in self.rows.items()
        }
        ((whole,), *_) = found.values()
        random = np.random.default_rng(seed)
        drawn = {
            size: [random.integers(len(self.pictures), size=size) for _ in range(draws)]
            for size in self.rows
        }
        return Judged(
            lost=_value(whole, ACCURACY),
            kept=_value(whole, "fidelity.agreement"),
            failed=tuple(check.name for check in whole if check.status is Status.FAIL),
            verdicts={size: tuple(map(_word, many)) for size, many in found.items()},
            accuracy={
                size: tuple(_named(checks, ACCURACY).status.value for checks in many)
                for size, many in found.items()
            },
            redrawn={
                size: tuple(_word(self.checks(facts, len(data), answers, rows)) for rows in many)
                for size, many in drawn.items()
            },
        )

    def checks(
        self,
        facts: ArtefactFacts,
        size_bytes: int,
        answers: Predictions,
        rows: Array,
        reference: Predictions | None = None,
    ) -> tuple[Check, ...]:
        """Those of the recipe, on the pictures ``rows``."""
        expected, given = (at(each, rows) for each in (reference or self.reference, answers))
        primary = self.made.source.outputs[0]
        return check_limits(
            self.recipe.gate,
            self.recipe.quantize,
            promises_full_integer=self.made.promises_full_integer,
            facts=facts,
            size=compare_size(self.made.quantized.baseline.size_bytes, size_bytes),
            fidelity=fidelity(expected, given, primary=primary, classification=True),
            accuracy=measure_accuracy(self.recipe.evaluate, expected, given, primary=primary),
            latency=None,
            host=this_host(),
        )


def answers_of(data: bytes, pictures: Sequence[Sample]) -> Predictions:
    """Of the file ``data``, many pictures at a time: the same bits in less time."""
    with LiteRTSession(with_batch(data, _AT_ONCE)) as session:
        return predict(session, pictures)


def with_batch(data: bytes, size: int) -> bytes:
    """The file ``data``, which takes one sample, taking ``size``."""
    model = flatbuffer.unpack(data)
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        if flatbuffer.is_constant(model, tensor) or tensor.shape is None:
            continue
        if list(tensor.shape[:1]) == [1]:
            tensor.shape = np.array([size, *tensor.shape[1:]], np.int32)
            tensor.shapeSignature = None
    return flatbuffer.pack(model)


def at(predictions: Predictions, rows: Array) -> Predictions:
    """Those of the samples at ``rows``."""
    labels = predictions.labels
    return Predictions(
        {name: array[rows] for name, array in predictions.outputs.items()},
        tuple(predictions.ids[row] for row in rows),
        None if labels is None else labels[rows],
    )


def _named(checks: Sequence[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def _value(checks: Sequence[Check], name: str) -> float:
    value = _named(checks, name).value
    assert isinstance(value, float)
    return value


def _word(checks: Sequence[Check]) -> str:
    return verdict(checks).value
