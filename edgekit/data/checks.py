"""Is this data fit to calibrate on? Asked before anything is spent on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgekit.data.dataset import Dataset

FEW_SAMPLES = 20
FEW_IMAGES = 5
_NAMED = 3
_SLACK = 1e-4
"""Share of the contract's range by which rounding may carry a value beyond it."""


@dataclass(frozen=True)
class Finding:
    """Something about the data that the user should know (warning) or must change (error)."""

    name: str
    severity: Literal["warning", "error"]
    message: str


def check_representative(
    calibration: Dataset, evaluation: Dataset | None = None
) -> tuple[Finding, ...]:
    """Look through the calibration samples once, and at its overlap with ``evaluation``.

    Names: ``count.empty``, ``data.nan``, ``data.overlap`` (errors); ``count.few``,
    ``data.few_images``, ``data.duplicate``, ``data.repeated``, ``data.range``, ``data.constant``
    (warnings).
    """
    return (
        *_check_count(calibration),
        *_check_duplicates(calibration),
        *_check_repeated(calibration),
        *_check_values(calibration),
        *(() if evaluation is None else check_overlap(calibration, evaluation)),
    )


def _check_count(dataset: Dataset) -> Iterable[Finding]:
    samples, images = len(dataset), len(dataset.images)
    if samples == 0:
        yield Finding("count.empty", "error", f"{dataset.name} has no samples; add some.")
        return
    if samples < FEW_SAMPLES:
        yield Finding(
            "count.few",
            "warning",
            f"{dataset.name} has only {samples} samples, so activation ranges may be too narrow; "
            "give about 100.",
        )
    if images < FEW_IMAGES <= samples:
        yield Finding(
            "data.few_images",
            "warning",
            f"the {samples} samples of {dataset.name} are cut from only {images} images; "
            "add images like those the model will see.",
        )


def _check_duplicates(dataset: Dataset) -> Iterable[Finding]:
    first: dict[str, str] = {}
    twice = []
    for name, digest in dataset.images.items():
        if digest in first:
            twice.append(f"{name} (same as {first[digest]})")
        else:
            first[digest] = name
    if twice:
        yield Finding(
            "data.duplicate",
            "warning",
            f"{len(twice)} samples of {dataset.name} are there more than once: {_few(twice)}; "
            "remove the copies, they add nothing to the ranges.",
        )


def _check_repeated(dataset: Dataset) -> Iterable[Finding]:
    if dataset.repeated:
        yield Finding(
            "data.repeated",
            "warning",
            f"{dataset.repeated} samples of {dataset.name} were left out of {dataset.role.value}: "
            "data that is judged on has the same content.",
        )


def _check_values(dataset: Dataset) -> Iterable[Finding]:
    broken: list[str] = []
    beyond: list[str] = []
    constant: list[str] = []
    low, high = dataset.value_range or (-np.inf, np.inf)
    slack = (high - low) * _SLACK if np.isfinite(high - low) else 0.0
    for sample in dataset:
        for name, values in sample.feeds.items():
            label = sample.id if len(sample.feeds) == 1 else f"{sample.id} ({name})"
            smallest, largest = values.min(), values.max()
            if not (np.isfinite(smallest) and np.isfinite(largest)):
                broken.append(label)
                continue
            if smallest < low - slack or largest > high + slack:
                beyond.append(f"{label}: {smallest:g} to {largest:g}")
            if _may_not_be_constant(values) and _is_constant(values):
                constant.append(label)
    if broken:
        yield Finding(
            "data.nan",
            "error",
            f"{len(broken)} samples of {dataset.name} hold NaN or infinity: {_few(broken)}; "
            "remove or mend them, no range can be taken from them.",
        )
    if beyond:
        yield Finding(
            "data.range",
            "warning",
            f"{len(beyond)} samples of {dataset.name} lie outside {low:g} to {high:g}, which is "
            f"all that the preprocessing can produce: {_few(beyond)}; "
            "prepare them with the recipe's divisor, mean and std.",
        )
    if constant:
        yield Finding(
            "data.constant",
            "warning",
            f"{len(constant)} samples of {dataset.name} are one constant value: "
            f"{_few(constant)}; replace them, they say nothing about real ranges.",
        )


def _may_not_be_constant(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bool:
    """Token ids, masks and the like are integers; only of pixels is it odd if they are alike."""
    return values.size > 1 and (values.dtype.kind == "f" or values.ndim == 4)


def _is_constant(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bool:
    """Whether every channel (the last axis of an image) is constant: one flat colour."""
    channels = values.reshape(-1, values.shape[-1]) if values.ndim == 4 else values.reshape(-1, 1)
    return len(channels) > 1 and bool((channels == channels[0]).all())


def check_overlap(calibration: Dataset, evaluation: Dataset) -> tuple[Finding, ...]:
    """``data.overlap``, an error, where both hold the same content; no sample is read for it."""
    names = {digest: name for name, digest in evaluation.images.items()}
    shared = [
        f"{name} (in the evaluation set as {names[digest]})"
        for name, digest in calibration.images.items()
        if digest in names
    ]
    if not shared:
        return ()
    return (
        Finding(
            "data.overlap",
            "error",
            f"{len(shared)} samples of {calibration.name} are also evaluated on: {_few(shared)}; "
            "remove them from one of the two, or the verdict is about data the ranges have seen.",
        ),
    )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
