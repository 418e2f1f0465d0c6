"""A recipe's model on its dev samples, on which every choice is made, and ways to quantize it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.direct import compare
from benchmarks.torch_run import Drop, drop
from edgekit.artefact import open_artefact
from edgekit.cache import Cache
from edgekit.data.dataset import Dataset
from edgekit.data.open import open_dataset
from edgekit.data.roles import DEV_SAMPLES
from edgekit.methods import load_method
from edgekit.methods.method import Goal, Quantized, QuantizeJob
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.runtimes.predict import predict
from edgekit.runtimes.session import Session
from edgekit.sources import locate
from edgekit.sources.source import SourceModel
from edgekit.types import Artefact, Role


@dataclass(frozen=True)
class DevModel:
    """``reference`` [N, classes] are the float model's answers to ``dev``; ``labels`` those of its
    samples, where they have some; ``training`` is the whole calibration role."""

    recipe: Recipe
    source: SourceModel
    calibration: Dataset
    training: Dataset
    dev: Dataset
    reference: np.ndarray
    labels: np.ndarray | None


@dataclass(frozen=True)
class Quality:
    """Against float on ``n`` dev samples; ``lost`` is of top-1."""

    agreement: float
    sqnr_db: float
    n: int
    lost: Drop | None


def threads() -> int:
    return len(os.sched_getaffinity(0))


def open_dev_model(recipe_name: str, samples: int = DEV_SAMPLES) -> DevModel:
    """At most so many dev ``samples``; the eval ones stay closed.

    Raises:
        FetchError: a package could not be had.
    """
    recipe = load_recipe(recipe_name)
    open_role = partial(open_dataset, preprocess=recipe.preprocess, inputs=recipe.model.inputs)
    source = locate(recipe.model, progress=SilentProgress())
    calibration, training = (
        open_role(recipe.calibration.dataset, role=Role.CALIBRATION, samples=count)
        for count in (recipe.calibration.samples, None)
    )
    dev = open_role(recipe.evaluate.dataset, role=Role.DEV, samples=samples)
    with source.open_session(threads()) as session:
        found = predict(session, dev)
    reference = found.outputs[recipe.model.outputs[0]]
    return DevModel(recipe, source, calibration, training, dev, reference, found.labels)


def quantized(model: DevModel, folder: Path, **options: Any) -> Quantized:
    """By the recipe, its part ``quantize`` changed by ``options``; written to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = replace(model.recipe.quantize, **options)
    job = QuantizeJob(
        model=model.source,
        goal=Goal(model.source.outputs[0], classification=True),
        options=spec,
        calibration=model.calibration,
        open_dev=lambda: model.dev,
        open_training=lambda count: model.training,
        folder=folder,
        cache=Cache(),
        progress=SilentProgress(),
        threads=threads(),
    )
    return load_method(spec.method).quantize(job)


def quality(model: DevModel, artefact: Artefact) -> Quality:
    with open_artefact(artefact, threads=threads()) as session:
        return quality_of(model, _answers(model, session))


def quality_of(model: DevModel, answers: np.ndarray) -> Quality:
    """Of ``answers`` [N, classes] to the dev samples."""
    found = compare(model.reference, answers)
    lost = None if model.labels is None else drop(model.reference, answers, model.labels)
    return Quality(found["agreement"], found["sqnr_db"], len(answers), lost)


def quality_table(title: str, rows: Mapping[str, Quality]) -> Table:
    table = Table("", "agreement", "SQNR dB", "top-1 %", "points lost [95 %]", title=title)
    for name, found in rows.items():
        cells = [name, f"{found.agreement:.3f}", f"{found.sqnr_db:.1f}"]
        if found.lost is not None:
            low, high = (100 * end for end in (found.lost.interval.low, found.lost.interval.high))
            cells += [
                f"{100 * found.lost.before:.1f} to {100 * found.lost.after:.1f}",
                f"{found.lost.points:.2f} [{low:.2f}, {high:.2f}]",
            ]
        table.add_row(*cells)
    return table


def _answers(model: DevModel, session: Session) -> np.ndarray:
    return predict(session, model.dev).outputs[model.recipe.model.outputs[0]]
