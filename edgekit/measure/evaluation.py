"""A model's answers to all labelled samples, however many: in parts, by several processes, on disk.

Each finished part is kept in the cache, so that a run that was killed goes on where it stopped; a
part that is damaged is answered again. Memory holds one part a process; the answers come back as
arrays mapped from a file. They are the same bits whatever the number of processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.cache import Cache, content_key
from edgekit.data import Dataset
from edgekit.errors import DataError, OutputError
from edgekit.progress import Progress
from edgekit.runtimes import parts
from edgekit.runtimes.crew import Crew, Done, ModelFile, TooLarge
from edgekit.runtimes.predict import Predictions
from edgekit.runtimes.session import Session

CREW_FROM = 1024
"""Samples from which workers are worth the second that they take to start."""
_FACTS = "answers.json"


@dataclass(frozen=True)
class Model:
    """Who answers. ``key`` covers what the answers depend on; ``open`` gives a session for this
    process, ``file`` is what other processes can open, where there is such a file."""

    key: Mapping[str, Any]
    open: Callable[[], AbstractContextManager[Session]]
    file: ModelFile | None


@dataclass(frozen=True)
class Broken:
    """What happens to samples that cannot be read: with ``skip``, ``share`` of them (and one in any
    case) are left out and named; otherwise the first stops the evaluation."""

    skip: bool = False
    share: float = 0.0

    def allowed(self, samples: int) -> int:
        return max(1, int(self.share * samples)) if self.skip else 0


@dataclass(frozen=True)
class Answers:
    """``failed`` says what was wrong with each sample that is not among ``predictions``."""

    predictions: Predictions
    failed: tuple[str, ...]
    cached: bool


def evaluate(
    model: Model,
    dataset: Dataset,
    *,
    workers: int,
    broken: Broken,
    cache: Cache,
    progress: Progress,
    doing: str,
) -> Answers:
    """All of ``dataset`` answered by ``model``; ``doing`` is what progress calls it.

    Raises:
        DataError: samples that cannot be read, more than ``broken`` allows; names some.
        SessionError: the model failed, or a worker died.
        OutputError: the cache folder is full.
    """
    stamp = content_key(
        {
            "model": dict(model.key),
            "data": dataset.fingerprint,
            "names": list(dataset.images),
            "skip": broken.skip,
            "part": parts.SIZE,
        }
    )

    def make(folder: Path, steps: Path) -> None:
        made = _Evaluation(model, dataset, broken, steps, stamp, {})
        with progress.task(doing, len(dataset)) as task:
            for done in made.found():
                task.advance(done.answered + len(done.failed))
            if made.done:
                count = sum(done.answered + len(done.failed) for done in made.done.values())
                progress.note(f"{doing}: {count} of {len(dataset)} samples were done before")
            for done in made.rest(workers):
                task.advance(done.answered + len(done.failed))
        made.assemble(folder)

    entry = cache.make_in_steps("answers", stamp, make)
    return _load(entry.path, entry.cached)


@dataclass(frozen=True)
class _Evaluation:
    model: Model
    dataset: Dataset
    broken: Broken
    steps: Path
    stamp: str
    done: dict[int, Done]

    def found(self) -> Iterator[Done]:
        """The parts that an earlier run left whole."""
        for number in range(self.count):
            part = parts.read(parts.file_of(self.steps, number), self.stamp, number)
            if part is not None:
                yield self._note(Done(number, part.answered, part.failed))

    def rest(self, workers: int) -> Iterator[Done]:
        """The other parts, as they are answered."""
        missing = [number for number in range(self.count) if number not in self.done]
        if not missing:
            return
        hands = min(workers, len(missing))
        if hands > 1 and self.model.file and len(missing) * parts.SIZE >= CREW_FROM:
            try:
                crew = Crew(
                    self.dataset,
                    self.model.file,
                    workers=hands,
                    folder=self.steps,
                    stamp=self.stamp,
                    skip_broken=self.broken.skip,
                )
            except TooLarge:
                pass  # in this process then
            else:
                with crew:
                    yield from map(self._note, crew.run(missing))
                return
        with self.model.open() as session:
            for number in missing:
                part = parts.answer(session, self.dataset, number, skip_broken=self.broken.skip)
                parts.write(parts.file_of(self.steps, number), self.stamp, number, part)
                yield self._note(Done(number, part.answered, part.failed))

    @property
    def count(self) -> int:
        return parts.count_of(len(self.dataset))

    def _note(self, done: Done) -> Done:
        self.done[done.number] = done
        failed = [why for each in self.done.values() for why in each.failed] if done.failed else []
        allowed = self.broken.allowed(len(self.dataset))
        if len(failed) > allowed:
            raise DataError(
                f"{len(failed)} of {len(self.dataset)} samples cannot be read, and "
                f"evaluate.broken_max allows {allowed}: {parts.told(failed)}",
                hint="Mend or remove them, or allow more.",
            )
        return done

    def assemble(self, folder: Path) -> None:
        """One file an array, written part by part."""
        total = sum(done.answered for done in self.done.values())
        failed: list[str] = []
        ids: list[str] = []
        arrays: dict[str, Any] = {}
        outputs: tuple[str, ...] = ()
        for number in range(self.count):
            part = parts.read(parts.file_of(self.steps, number), self.stamp, number)
            if part is None:
                raise OutputError(
                    f"{parts.file_of(self.steps, number)} was changed while it was in use",
                    hint="Run it again: what is whole is not done again.",
                )
            failed += part.failed
            if part.predictions is None:
                continue
            outputs = tuple(part.predictions.outputs)
            start = len(ids)
            ids += part.predictions.ids
            for name, rows in _arrays(part.predictions).items():
                if name not in arrays:
                    arrays[name] = np.lib.format.open_memmap(
                        folder / f"{name}.npy", "w+", rows.dtype, (total, *rows.shape[1:])
                    )
                arrays[name][start : len(ids)] = rows
        if not ids:
            raise DataError(f"no sample of {self.dataset.name} can be read: {parts.told(failed)}")
        for array in arrays.values():
            array.flush()
        facts = {"outputs": outputs, "ids": ids, "failed": failed}
        (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _arrays(predictions: Predictions) -> dict[str, Any]:
    """By the name of the file, which an output's own name may not be fit for."""
    found = {f"output_{place}": rows for place, rows in enumerate(predictions.outputs.values())}
    for name in ("labels", "targets"):
        if getattr(predictions, name) is not None:
            found[name] = getattr(predictions, name)
    return found


def _load(folder: Path, cached: bool) -> Answers:
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))

    def array(name: str) -> Any:
        file = folder / f"{name}.npy"
        return np.load(file, mmap_mode="r") if file.exists() else None

    outputs = {name: array(f"output_{place}") for place, name in enumerate(facts["outputs"])}
    labels = array("labels")
    predictions = Predictions(
        outputs, tuple(facts["ids"]), None if labels is None else np.array(labels), array("targets")
    )
    return Answers(predictions, tuple(facts["failed"]), cached)
