"""A dataset answered in parts, each a file of its own that tells whether it is whole.

::

    32 bytes   sha256 of the stamp, the part's number and the rest
    rest       .npz: output/<name> float32 [n, ...], ids, labels, targets, failed
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.data.dataset import Dataset
from edgekit.errors import DataError
from edgekit.runtimes.predict import Predictions, predict
from edgekit.runtimes.session import Session
from edgekit.types import Sample

SIZE = 32
"""Samples of a part: what a kill costs a process at most, and what one waits for another at the
end. Batches never reach over its end, so that answers
do not depend on who computes which part."""

_OUTPUT = "output/"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Part:
    """Answers to the samples that could be read (``None``: there is none), and what was wrong with
    each of the others."""

    predictions: Predictions | None
    failed: tuple[str, ...]

    @property
    def answered(self) -> int:
        return 0 if self.predictions is None else len(self.predictions)


def count_of(samples: int) -> int:
    """Parts of so many samples."""
    return -(-samples // SIZE)


def places(number: int, samples: int) -> range:
    """Where the samples of a part stand among all ``samples``."""
    return range(number * SIZE, min((number + 1) * SIZE, samples))


def answer(session: Session, dataset: Dataset, number: int, *, skip_broken: bool) -> Part:
    """Run the samples of part ``number``.

    Raises:
        DataError: one cannot be read, unless ``skip_broken``; or as ``predict``.
        SessionError: as ``predict``.
    """
    samples: list[Sample] = []
    failed: list[str] = []
    for place in places(number, len(dataset)):
        try:
            samples.append(dataset.sample(place))
        except DataError as error:
            if not skip_broken:
                raise
            failed.append(error.message)
    return Part(predict(session, samples) if samples else None, tuple(failed))


def write(file: Path, stamp: str, number: int, part: Part) -> None:
    """Put ``part`` into ``file``, whole or not at all; ``stamp`` says what it belongs to."""
    arrays: dict[str, Any] = {"failed": np.array(part.failed, np.str_)}
    if part.predictions is not None:
        arrays["ids"] = np.array(part.predictions.ids, np.str_)
        for name, output in part.predictions.outputs.items():
            arrays[f"{_OUTPUT}{name}"] = output
        for name in ("labels", "targets"):
            if getattr(part.predictions, name) is not None:
                arrays[name] = getattr(part.predictions, name)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content = buffer.getvalue()
    fresh = file.with_suffix(".new")
    with fresh.open("wb") as stream:
        stream.write(_digest(stamp, number, content))
        stream.write(content)
    os.replace(fresh, file)


def read(file: Path, stamp: str, number: int) -> Part | None:
    """The part in ``file``; ``None`` where there is none, or it is damaged or another one."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if digest != _digest(stamp, number, content):
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        failed = tuple(map(str, arrays["failed"]))
        if "ids" not in arrays.files:
            return Part(None, failed)
        outputs = {
            name.removeprefix(_OUTPUT): arrays[name]
            for name in arrays.files
            if name.startswith(_OUTPUT)
        }
        labels, targets = (
            arrays[name] if name in arrays.files else None for name in ("labels", "targets")
        )
        ids = tuple(map(str, arrays["ids"]))
        return Part(Predictions(outputs, ids, labels, targets), failed)


def file_of(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.part"


def _digest(stamp: str, number: int, content: bytes) -> bytes:
    own = f"{stamp} {number} ".encode()
    return hashlib.sha256(own + hashlib.sha256(content).digest()).digest()


def told(failed: Sequence[str], named: int = 5) -> str:
    """The first of them in words."""
    rest = len(failed) - named
    return "; ".join(failed[:named]) + (f"; and {rest} more" if rest > 0 else "")
