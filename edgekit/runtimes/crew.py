"""Worker processes that answer a dataset part by part, each with a dataset and a model of its own.

The parent hands out numbers of parts and is told which are done; answers go to files, so that
neither memory nor a pipe has to hold them. Workers end with the ``with`` block, whatever ends it,
and with the parent, whatever kills it.
"""

from __future__ import annotations

import json
import os
import pickle
import selectors
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from edgekit.data.dataset import Dataset
from edgekit.errors import SessionError
from edgekit.runtimes.child import death_told, error_told, start_worker
from edgekit.runtimes.parts import places

TIME_LIMIT_S = 600.0
"""Without a word from any worker for so long, something hangs."""
DATASET_BYTES = 256 * 2**20
"""What a dataset may take to be sent to a worker, which holds it in memory as well."""


@dataclass(frozen=True)
class ModelFile:
    """What a worker opens for itself; see ``runtimes.open_session``. One thread a worker."""

    path: Path
    runtime: str


@dataclass(frozen=True)
class Done:
    """A part that was written: samples answered, and what was wrong with the others."""

    number: int
    answered: int
    failed: tuple[str, ...]


class TooLarge(Exception):
    """The dataset cannot be sent to workers: too many bytes, or it holds what cannot be sent."""


class _Worker:
    def __init__(self, process: subprocess.Popen[bytes], stderr: IO[bytes]):
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.stderr = stderr
        self.requests = process.stdin
        self.answers = process.stdout
        self.given: int | None = None
        self.said = b""


class Crew:
    """``workers`` processes for ``dataset`` and ``model``; a context manager."""

    def __init__(
        self,
        dataset: Dataset,
        model: ModelFile,
        *,
        workers: int,
        folder: Path,
        stamp: str,
        skip_broken: bool,
    ):
        """Start them; parts go to ``folder`` as ``parts.write`` with ``stamp`` has it.

        Raises:
            TooLarge: see there; nothing was started.
        """
        self._model = model
        self._samples = len(dataset)
        self._opened = ExitStack()
        self._workers: list[_Worker] = []
        try:
            own = Path(self._opened.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-")))
            sent = own / "dataset"
            _send(dataset, sent)
            setup = {
                "dataset": str(sent),
                "model": str(model.path.absolute()),
                "runtime": model.runtime,
                "folder": str(folder.absolute()),
                "stamp": stamp,
                "skip_broken": skip_broken,
            }
            for number in range(workers):
                stderr = self._opened.enter_context((own / f"stderr{number}").open("w+b"))
                process = start_worker("edgekit.runtimes.crew_worker", stderr.fileno())
                worker = _Worker(process, stderr)
                self._workers.append(worker)
                self._tell(worker, setup)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers; safe to call twice."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
            with suppress(BrokenPipeError):
                worker.requests.close()
            worker.answers.close()
        self._workers.clear()
        self._opened.close()

    def run(self, numbers: Iterable[int]) -> Iterator[Done]:
        """Have the parts done, and tell of each as it is, in any order.

        Raises:
            EdgekitError: whatever one of the workers raised.
            SessionError: one of them died or hangs.
        """
        waiting = iter(numbers)
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker.answers, selectors.EVENT_READ, worker)
            for worker in self._workers:
                self._next(worker, waiting)
            while any(worker.given is not None for worker in self._workers):
                ready = selector.select(TIME_LIMIT_S)
                if not ready:
                    busy = next(worker for worker in self._workers if worker.given is not None)
                    raise SessionError(
                        f"the interpreter hung while running {self._doing(busy)}: no answer within "
                        f"{TIME_LIMIT_S:g} s, so it was stopped"
                    )
                for key, _ in ready:
                    yield from self._heard(key.data, waiting)

    def _heard(self, worker: _Worker, waiting: Iterator[int]) -> Iterator[Done]:
        content = os.read(worker.answers.fileno(), 1 << 16)
        if not content:
            status = worker.process.wait()
            raise death_told(status, worker.stderr, f"running {self._doing(worker)}")
        *lines, worker.said = (worker.said + content).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "error" in answer:
                raise error_told(answer["error"])
            self._next(worker, waiting)
            yield Done(answer["number"], answer["answered"], tuple(answer["failed"]))

    def _next(self, worker: _Worker, waiting: Iterator[int]) -> None:
        worker.given = next(waiting, None)
        if worker.given is not None:
            self._tell(worker, worker.given)

    def _tell(self, worker: _Worker, what: Any) -> None:
        with suppress(BrokenPipeError):  # its death is seen, and told, where its answer is awaited
            worker.requests.write(json.dumps(what).encode() + b"\n")
            worker.requests.flush()

    def _doing(self, worker: _Worker) -> str:
        if worker.given is None:
            return self._model.path.name
        some = places(worker.given, self._samples)
        return f"{self._model.path.name} on samples {some[0]} to {some[-1]} of {self._samples}"


@dataclass
class _Limited:
    """A file that takes no more than ``room`` bytes."""

    file: IO[bytes]
    room: int

    def write(self, content: Any) -> int:
        size = memoryview(content).nbytes
        self.room -= size
        if self.room < 0:
            raise TooLarge
        self.file.write(content)
        return size


def _send(dataset: Dataset, file: Path) -> None:
    with file.open("wb") as stream:
        pickler = pickle.Pickler(_Limited(stream, DATASET_BYTES), pickle.HIGHEST_PROTOCOL)
        try:
            pickler.dump(dataset)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            raise TooLarge from error
