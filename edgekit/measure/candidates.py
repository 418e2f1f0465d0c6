"""Candidates of one choice, measured on the dev samples."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgekit.artefact import inspect_artefact, open_artefact
from edgekit.data import Dataset
from edgekit.errors import ConversionError, EdgekitError, SessionError, SourceError
from edgekit.measure.reference import reference_predictions
from edgekit.numerics.fidelity import fidelity, same_class
from edgekit.runs.run import Run
from edgekit.runtimes import open_timed
from edgekit.runtimes.predict import Predictions, predict, stored_feeds
from edgekit.runtimes.turns import times_in_turns
from edgekit.sources.source import SourceModel
from edgekit.tasks import task_named
from edgekit.types import Array, Artefact, ArtefactFacts

ROUNDS = 15
RUNS_PER_ROUND = 3


@dataclass(frozen=True)
class OnDev:
    """What one artefact is, and how it answers the dev samples.

    ``agreeing`` bool [N]: see ``same_class``, ``None`` outside classification; ``sqnr_db`` of every
    output, the primary first.
    """

    facts: ArtefactFacts
    agreeing: Array | None
    sqnr_db: Mapping[str, float]
    size_bytes: int


def measure_on_dev(
    run: Run, source: SourceModel, dev: Dataset, artefacts: Mapping[str, Artefact]
) -> dict[str, OnDev | EdgekitError]:
    """Figures by name; an artefact that fails, or answers otherwise than it should, gives its
    error instead."""
    with run.stage("reference") as stage:
        (reference,), stage.cached = reference_predictions(
            source, [dev], threads=run.threads, cache=run.cache, progress=run.progress
        )
    found: dict[str, OnDev | EdgekitError] = {}
    for name, artefact in artefacts.items():
        with run.stage(f"dev: {name}"):
            try:
                found[name] = _measure(run, source, dev, reference, name, artefact)
            except (ConversionError, SessionError, SourceError) as error:
                found[name] = error
    return found


def _measure(
    run: Run,
    source: SourceModel,
    dev: Dataset,
    reference: Predictions,
    name: str,
    artefact: Artefact,
) -> OnDev:
    facts = inspect_artefact(artefact, islice(dev, 1))
    task, primary = task_named(run.recipe.evaluate.task), source.outputs[0]
    with (
        open_artefact(artefact, threads=run.threads) as session,
        run.progress.task(f"Running {name} on the dev samples", len(dev)) as bar,
    ):
        answers = predict(session, dev, task=bar)
    compared = fidelity(reference, answers, primary=primary, classification=False)
    return OnDev(
        facts=facts,
        agreeing=(
            same_class(reference.outputs[primary], answers.outputs[primary])
            if task.classification
            else None
        ),
        sqnr_db={output: figures.sqnr_db for output, figures in compared.outputs.items()},
        size_bytes=artefact.path.stat().st_size,
    )


def time_on_dev(run: Run, dev: Dataset, artefacts: Mapping[str, Artefact]) -> dict[str, Array]:
    """Medians of the rounds in milliseconds, float64 [rounds], by name: a short run on one thread
    in which the artefacts take turns.

    Raises:
        SessionError: one of them failed.
    """
    sample = next(iter(dev))
    with run.stage("dev: latency"), ExitStack() as opened:
        sessions = [
            opened.enter_context(open_timed(artefact.path, runtime=artefact.runtime))
            for artefact in artefacts.values()
        ]
        with run.progress.task("Timing the candidates in turns", ROUNDS) as bar:
            times, _ = times_in_turns(
                [(session, stored_feeds(session, sample)) for session in sessions],
                rounds=ROUNDS,
                runs_per_round=RUNS_PER_ROUND,
                task=bar,
            )
    return dict(zip(artefacts, np.median(times, axis=2), strict=True))
