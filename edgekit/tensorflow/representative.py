"""Calibration samples as TFLiteConverter wants its representative dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice

import numpy as np

from edgekit.errors import DataError
from edgekit.progress import Progress
from edgekit.recipe.schema import InputSpec
from edgekit.types import Array, Sample


def representative_dataset(
    samples: Iterable[Sample], inputs: tuple[InputSpec, ...], progress: Progress
) -> Callable[[], Iterator[list[Array]]]:
    """What to assign to ``TFLiteConverter.representative_dataset``.

    Each step is one array an input, in the order of ``inputs``. A model of a fixed batch gets as
    many samples at a time; what lacks in the last batch is its last sample again, which moves no
    range. The first sample is looked at here, before anything is converted, the others when their
    turn comes: a converter never sees a bad one.

    Raises:
        DataError: there is no sample, or one is missing an input, has another shape or type than
            the model's, or holds a NaN or an infinity. From the iterator too.
    """
    first = next(iter(samples), None)
    if first is None:
        raise DataError(
            "the calibration dataset gave no sample",
            hint="Check calibration.dataset: TFLiteConverter takes its ranges from it.",
        )
    _checked(first, inputs)
    batch = inputs[0].shape[0] if inputs[0].shape else 1

    def batches() -> Iterator[list[Array]]:
        total = len(samples) if isinstance(samples, Sized) else None
        source = iter(samples)
        with progress.task("Calibrating", total) as task:
            while group := list(islice(source, batch)):
                arrays = [_checked(sample, inputs) for sample in group]
                arrays += [arrays[-1]] * (batch - len(group))
                yield [np.concatenate(parts) for parts in zip(*arrays, strict=True)]
                task.advance(len(group))

    return batches


def _checked(sample: Sample, inputs: tuple[InputSpec, ...]) -> list[Array]:
    """The arrays of ``sample`` in the order of ``inputs``, batch of one."""
    arrays = []
    for spec in inputs:
        place = f"sample {sample.id}, input '{spec.name}'"
        if spec.name not in sample.feeds:
            given = ", ".join(f"'{name}'" for name in sample.feeds) or "nothing"
            raise DataError(f"{place}: the sample only has {given}")
        array = np.asarray(sample.feeds[spec.name])
        shape = (1, *spec.shape[1:])
        if array.shape != shape:
            raise DataError(
                f"{place}: shape {list(array.shape)}, but the model takes {list(shape)}",
                hint=_shape_hint(array.shape, shape),
            )
        if array.dtype != np.dtype(spec.dtype):
            raise DataError(f"{place}: {array.dtype}, but the model takes {spec.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(f"{place}: holds a NaN or an infinity")
        arrays.append(array)
    return arrays


def _shape_hint(found: tuple[int, ...], wanted: tuple[int, ...]) -> str | None:
    if len(found) == len(wanted) == 4 and (found[0], *found[2:], found[1]) == wanted:
        return "The sample is channels-first; write layout: NCHW where it comes from."
    if found == wanted[1:]:
        return "The batch axis is missing."
    return None
