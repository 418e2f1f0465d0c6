"""Run samples through a session and bring every answer back to float32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgekit.errors import DataError, SessionError
from edgekit.progress import Task
from edgekit.runtimes.quantized_io import dequantize, quantize
from edgekit.runtimes.session import Session
from edgekit.types import Array, Sample, TensorInfo


@dataclass(frozen=True)
class Predictions:
    """What a model answered to N samples.

    ``outputs`` are float32 [N, ...] by output name, dequantized, the batch axis replaced by the
    samples' own. ``labels`` is int64 [N], or ``None`` when the samples have none; ``targets`` are
    numbers [N, ...] likewise.
    """

    outputs: Mapping[str, Array]
    ids: tuple[str, ...]
    labels: Array | None
    targets: Array | None = None

    def __len__(self) -> int:
        return len(self.ids)


def predict(
    session: Session, samples: Iterable[Sample], *, task: Task | None = None
) -> Predictions:
    """Predict ``samples`` in batches the session takes, quantizing float feeds of integer inputs.

    A batch shorter than the model's fixed one is filled with its last sample and cut again.
    ``task`` advances by the number of samples done.

    Raises:
        DataError: no samples, or only some of them have a label, or a NaN among float feeds of an
            integer input.
        SessionError: an answer is NaN (says how many samples, and the first), or not one per
            sample; or whatever ``session.run`` raises.
        UsageError: as ``session.run``.
    """
    info = session.info
    least = info.inputs[0].shape[0] if info.inputs and info.inputs[0].shape else 1
    answers: dict[str, list[Array]] = {output.name: [] for output in info.outputs}
    ids: list[str] = []
    labels: list[int | None] = []
    targets: list[Array | None] = []
    for batch in _batches(samples, info.max_batch):
        padded = batch + [batch[-1]] * (least - len(batch))
        feeds = {
            name: _stored(padded, name, _input_named(info.inputs, name)) for name in padded[0].feeds
        }
        for name, array in session.run(feeds).items():
            output = next(output for output in info.outputs if output.name == name)
            answers[name].append(_per_sample(array, output, len(padded))[: len(batch)])
        ids += [sample.id for sample in batch]
        labels += [sample.label for sample in batch]
        targets += [sample.target for sample in batch]
        if task is not None:
            task.advance(len(batch))
    if not ids:
        raise DataError("there are no samples to predict")
    outputs = {name: np.concatenate(parts) for name, parts in answers.items()}
    _refuse_nan(outputs, ids)
    return Predictions(
        outputs,
        tuple(ids),
        _all_or_none(labels, ids, "label", np.int64),
        _all_or_none(targets, ids, "target"),
    )


def stored_feeds(session: Session, sample: Sample) -> dict[str, Array]:
    """The feeds of one sample in the dtypes the session's model stores them in.

    Raises:
        DataError: a NaN among float feeds of an integer input.
    """
    return {
        name: _stored([sample], name, _input_named(session.info.inputs, name))
        for name in sample.feeds
    }


def _batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    source = iter(samples)
    while batch := list(islice(source, size)):
        yield batch


def _input_named(inputs: tuple[TensorInfo, ...], name: str) -> TensorInfo | None:
    """``None`` for a name the model does not have: ``session.run`` says that best."""
    return next((info for info in inputs if info.name == name), None)


def _stored(batch: list[Sample], name: str, info: TensorInfo | None) -> Array:
    """One input of a batch, in the dtype the model stores it in."""
    parts = [np.asarray(sample.feeds[name]) for sample in batch]
    array = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if info is None or info.quant is None or array.dtype.kind != "f":
        return array
    try:
        return quantize(array, info.quant, info.dtype)
    except DataError as error:
        first = next(
            sample.id for sample, part in zip(batch, parts, strict=True) if np.isnan(part).any()
        )
        raise DataError(f"sample {first}, input '{name}': {error.message}") from error


def _per_sample(array: Array, info: TensorInfo, batch: int) -> Array:
    """float32 [batch, ...] of one output."""
    real = array.astype(np.float32, copy=False)
    if info.quant is not None and array.dtype.kind in "iu":
        real = dequantize(array, info.quant)
    if real.ndim and real.shape[0] == batch:
        return real
    if batch == 1:  # an output without a batch axis belongs to the only sample there is
        return real[np.newaxis]
    raise SessionError(
        f"output '{info.name}' has shape {list(real.shape)} for a batch of {batch}: "
        "not one answer per sample",
        hint="Give the model a fixed batch of one.",
    )


def _refuse_nan(outputs: Mapping[str, Array], ids: list[str]) -> None:
    for name, array in outputs.items():
        bad = np.flatnonzero(np.isnan(array.reshape(len(ids), -1)).any(axis=1))
        if len(bad):
            raise SessionError(
                f"output '{name}' is NaN for {len(bad)} of {len(ids)} samples; "
                f"the first is {ids[bad[0]]}",
                hint="Look for NaN in the weights, or for input values the model never saw.",
            )


def _all_or_none(
    values: Sequence[int | Array | None], ids: list[str], what: str, dtype: type | None = None
) -> Array | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    if len(known) < len(values):
        missing = next(place for place, value in enumerate(values) if value is None)
        raise DataError(
            f"{len(known)} of {len(values)} samples have a {what}; {ids[missing]} has none",
            hint="Score labelled and unlabelled samples apart.",
        )
    return np.array(known, dtype)
