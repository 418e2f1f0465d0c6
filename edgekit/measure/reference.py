"""The float model's own answers, in its own framework: computed once, then remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.cache import Cache, content_key
from edgekit.data import Dataset
from edgekit.progress import Progress
from edgekit.runtimes.predict import Predictions, predict
from edgekit.runtimes.session import Session
from edgekit.sources.source import SourceModel

_OUTPUT = "output/"
_ANSWERS = ("labels", "targets")


def reference_predictions(
    source: SourceModel,
    datasets: Sequence[Dataset],
    *,
    threads: int,
    cache: Cache,
    progress: Progress,
    open_session: Callable[[], Session] | None = None,
) -> tuple[tuple[Predictions, ...], bool]:
    """Predictions per dataset, and whether they came from the cache (no framework loaded then).

    ``open_session`` gives a session of the source that stays open, where the caller has use for it.
    """
    key = content_key(
        {
            "model": source.fingerprint,
            "inputs": source.inputs,
            "outputs": source.outputs,
            "data": [dataset.fingerprint for dataset in datasets],
            # The answers are kept with the samples' ids, which name the file or function.
            "names": [list(dataset.images) for dataset in datasets],
        }
    )

    def answer(folder: Path) -> None:
        with ExitStack() as opened:
            if open_session is None:
                session = opened.enter_context(source.open_session(threads))
            else:
                session = open_session()
            for number, dataset in enumerate(datasets):
                with progress.task("Running the float model", len(dataset)) as task:
                    predictions = predict(session, dataset, task=task)
                _save(predictions, folder / f"{number}.npz")

    entry = cache.get_or_make("reference", key, answer)
    loaded = tuple(_load(entry.path / f"{number}.npz") for number in range(len(datasets)))
    return loaded, entry.cached


def _save(predictions: Predictions, file: Path) -> None:
    arrays: dict[str, Any] = {
        f"{_OUTPUT}{name}": array for name, array in predictions.outputs.items()
    }
    for name in _ANSWERS:
        if getattr(predictions, name) is not None:
            arrays[name] = getattr(predictions, name)
    np.savez(file, ids=np.array(predictions.ids, dtype=np.str_), **arrays)


def _load(file: Path) -> Predictions:
    with np.load(file, allow_pickle=False) as arrays:
        return Predictions(
            outputs={
                name.removeprefix(_OUTPUT): arrays[name]
                for name in arrays.files
                if name.startswith(_OUTPUT)
            },
            ids=tuple(str(text) for text in arrays["ids"]),
            **{name: arrays[name] if name in arrays.files else None for name in _ANSWERS},
        )
