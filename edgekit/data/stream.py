"""Samples from a Python function of the user's: a tf.data.Dataset, a generator, any iterable.

``file.py:function`` or ``package.module:function``, called without an argument, or with the role
(``"calibration"``, ``"dev"``, ``"eval"``) where it takes one. What TensorFlow's users call their
representative dataset is such a function. Its samples are split into roles by content, like the
rows of an array, unless the function is told the role: then all that it yields has it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgekit.cache import content_key
from edgekit.capture import captured_output
from edgekit.data.arrays import row_image
from edgekit.data.dataset import ImageList, ImageRef, split
from edgekit.data.preprocess import stated_range
from edgekit.data.readings import Readings
from edgekit.data.spool import Spool
from edgekit.data.stream_elements import Row, image_rows, input_rows
from edgekit.errors import DataError, EdgekitError, UsageError
from edgekit.progress import Progress
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.sources.factory import (
    Factory,
    exit_told,
    importable,
    locate_function,
    users_line,
)
from edgekit.types import Array, Role, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

READ_SAMPLES = 100_000
READ_BYTES = 2**30
"""Where a stream is cut that does not end by itself."""

RowsOf = Callable[[Any, str], Iterator[Row]]


@dataclass(frozen=True)
class _Read:
    """The samples of one role, in the order they are taken. ``names`` tell the place in the stream,
    ``hashes`` are of their content."""

    name: str
    names: tuple[str, ...]
    hashes: tuple[str, ...]
    rows: tuple[Row, ...]
    skipped: tuple[str, ...]


class StreamDataset:
    """A ``Dataset`` of model inputs that a function yielded; made by ``open_stream``."""

    def __init__(
        self,
        read: _Read,
        role: Role,
        inputs: tuple[InputSpec, ...],
        preprocess: PreprocessSpec,
    ):
        self.name = read.name
        self.role = role
        self.skipped = read.skipped
        self.repeated = 0
        self.labelled = all(row.label is not None for row in read.rows)
        self.targeted = False
        self.value_range = stated_range(preprocess)
        self.images = dict(zip(read.names, read.hashes, strict=True))
        self._names = read.names
        self._rows = read.rows
        self._inputs = inputs
        self.fingerprint = content_key(
            {
                "samples": list(read.hashes),
                "labels": [row.label for row in read.rows],
                "preprocess": preprocess,
                "inputs": inputs,
            }
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.sample, range(len(self)))

    def sample(self, index: int) -> Sample:
        """See ``Dataset.sample``."""
        name, row = self._names[index], self._rows[index]
        feeds = {}
        for spec in self._inputs:
            value = row.arrays[spec.name][None]
            if spec.layout == "NCHW":
                value = np.ascontiguousarray(value.transpose(0, 2, 3, 1))
            feeds[spec.name] = value
        return Sample(name, name, feeds, row.label)

    def pixels(self, index: int) -> Array:
        """Model inputs have none; see ``Dataset.pixels``."""
        raise UsageError(f"{self.name} yields model inputs, which have no pixels")


def open_stream(
    text: str,
    role: Role,
    inputs: tuple[InputSpec, ...],
    preprocess: PreprocessSpec,
    samples: int | None,
    *,
    on_broken: Literal["error", "skip"],
    base: Path | None,
    progress: Progress,
    readings: Readings | None = None,
) -> StreamDataset:
    """The samples of ``role`` that the function ``text`` yields, at most ``samples`` of them;
    ``readings`` are told what came first.

    Raises:
        DataError: it yields nothing, too little, or what the model does not take (by element and
            input); or it raised (by its own file and line).
        MissingError, SourceError: the function cannot be had.
    """
    if any(spec.shape[0] != 1 for spec in inputs):
        raise UsageError(
            f"{text} feeds models with a batch of 1, not "
            + ", ".join(str(list(spec.shape)) for spec in inputs)
        )

    def rows_of(element: Any, where: str) -> Iterator[Row]:
        return input_rows(element, inputs, where)

    read = _read(text, role, rows_of, samples, on_broken, base, progress, readings)
    return StreamDataset(read, role, inputs, preprocess)


def list_stream_images(
    text: str,
    role: Role,
    samples: int | None,
    *,
    on_broken: Literal["error", "skip"],
    base: Path | None,
    progress: Progress,
    readings: Readings | None = None,
) -> ImageList:
    """The images of ``role`` that the function ``text`` yields: uint8 ``[H, W, C]``.

    Raises:
        DataError, MissingError, SourceError: as ``open_stream``.
    """
    read = _read(text, role, image_rows, samples, on_broken, base, progress, readings)
    refs = [
        ImageRef(name, digest, row.label, partial(_image, row))
        for name, digest, row in zip(read.names, read.hashes, read.rows, strict=True)
    ]
    return ImageList(read.name, tuple(refs), skipped=read.skipped)


def _image(row: Row) -> Image:
    return row_image(row.arrays["image"][None], 0)


def _read(
    text: str,
    role: Role,
    rows_of: RowsOf,
    samples: int | None,
    on_broken: Literal["error", "skip"],
    base: Path | None,
    progress: Progress,
    readings: Readings | None,
) -> _Read:
    """Run through the stream once. What it yields waits on disk until the roles are known."""
    located = locate_function(text, base, key="dataset")
    name = f"{Path(located.module).name}:{located.attribute}"
    with (
        progress.task(f"Reading {name} for {role.value}") as task,
        importable(located.paths),
        captured_output(),
        tempfile.TemporaryFile() as file,
    ):
        call, knows_role = _with_role(located.function(), role)
        spool = Spool(file)
        cut = None
        wanted = samples if knows_role else None
        skipped: list[str] = []
        for number, element in enumerate(_elements(call, located, name)):
            for place, row in enumerate(rows_of(element, f"element {number} of {name}")):
                broken = _not_finite(row)
                if broken is not None:
                    reason = f"element {number} of {name}: '{broken}' holds NaN or infinity"
                    if on_broken == "error":
                        raise DataError(reason, hint="Remove or mend it; see also on_broken.")
                    skipped.append(reason)
                    continue
                spool.add(f"{name}[{number}]" if place == 0 else f"{name}[{number}.{place}]", row)
            task.advance()
            if wanted is not None and len(spool) >= wanted:
                break
            if len(spool) >= READ_SAMPLES or spool.bytes >= READ_BYTES:
                cut = f"{name} was cut after {len(spool)} samples ({spool.bytes / 2**20:.0f} MiB)"
                break
        if not len(spool):
            yields = "only broken samples" if skipped else "nothing"
            raise DataError(f"{name} yields {yields}", hint="Does it return the dataset it makes?")
        if readings is not None:
            readings.note(text, role.value if knows_role else None, spool.hashes)
        places: Sequence[int] = range(len(spool))
        if not knows_role:
            places = split(places, spool.hashes, role)
        if not places:
            distinct = len(set(spool.hashes))
            unlike = f", {distinct} of them distinct" if distinct < len(spool) else ""
            raise DataError(
                f"{cut or f'{name} yields {len(spool)} samples'}{unlike}, "
                f"too few to give {role.value} any",
                hint="Samples are split by content: 50 % calibration, 20 % dev, 30 % eval. A "
                "function that takes the role decides by itself.",
            )
        kept = places[:samples]
        read = _Read(
            name,
            tuple(spool.names[place] for place in kept),
            tuple(spool.hashes[place] for place in kept),
            tuple(spool.row(place) for place in kept),
            tuple(skipped),
        )
    if cut is not None:
        progress.warn(f"{cut}: it does not end by itself, or is too large to split by content")
    return read


def _with_role(function: Callable[..., Any], role: Role) -> tuple[Callable[[], Any], bool]:
    """The call without arguments, and whether the function is told the role."""
    try:
        parameters = list(signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin or a compiled callable tells none
        return function, False
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    for parameter in parameters:
        if parameter.name == "role" and parameter.kind is not Parameter.POSITIONAL_ONLY:
            return partial(function, role=role.value), True
    needed = [p for p in parameters if p.kind in positional and p.default is Parameter.empty]
    return (partial(function, role.value), True) if len(needed) == 1 else (function, False)


def _elements(call: Callable[[], Any], located: Factory, name: str) -> Iterator[Any]:
    """What the call gives, one after the other; what the user's code raises is told in words."""
    number = -1
    try:
        stream = call()
        if stream is None or not isinstance(stream, Iterable):
            given = type(stream).__name__
            raise DataError(
                f"{name} returned {given}, which is no dataset",
                hint="Return a tf.data.Dataset, a list or an array, or yield the samples.",
            )
        if isinstance(stream, Mapping):
            raise DataError(f"{name} returned one dict, not many", hint="Yield one a sample.")
        for number, element in enumerate(stream):  # noqa: B007 - told when the next one fails
            yield element
    except EdgekitError:
        raise
    except SystemExit as error:
        raise exit_told(error, name, DataError) from error
    except Exception as error:  # the user's own code
        what = f"{type(error).__name__}: {_last_line(error)}"
        raise DataError(
            f"{name} raised after {number + 1} elements: {what}",
            hint=users_line(error, located),
        ) from error


def _last_line(error: Exception) -> str:
    """Of a traceback that TensorFlow carries as text, what was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[A-Za-z_.]*(Error|Exception)\b", line)]
    return (raised or lines or [""])[0][:300]


def _not_finite(row: Row) -> str | None:
    """The first input that has NaN or infinity."""
    for name, value in row.arrays.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            return name
    return None
