"""A recording as the numbers a model takes: decoded, one channel, the model's rate, cut in windows.

The preprocessing contract of ``preprocess.kind: audio``. Windows lie end to end from the start of
the recording; what is left over at its end is dropped, and one that is shorter than a window is
filled with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import DataError, MissingError, UsageError
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.types import Array

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3"})
QUALITY = "HQ"


@dataclass(frozen=True)
class AudioForm:
    """What the model's input asks of a recording.

    Raises:
        UsageError: no sample rate, or an input that is not ``[1, N]`` or ``[1, N, 1]`` of float32.
    """

    input: InputSpec
    sample_rate_hz: int

    @classmethod
    def of(cls, preprocess: PreprocessSpec, inputs: tuple[InputSpec, ...]) -> AudioForm:
        """The form that a recipe's ``preprocess`` and ``model.inputs`` state."""
        if preprocess.sample_rate_hz is None:
            raise UsageError("preprocess.kind is 'audio' but there is no preprocess.sample_rate_hz")
        if len(inputs) != 1 or not takes_audio(inputs[0]):
            have = "; ".join(f"'{spec.name}' {spec.dtype} {list(spec.shape)}" for spec in inputs)
            raise UsageError(
                f"audio fills one float32 input [1, N] or [1, N, 1]; the model takes {have}",
                hint="For other inputs give arrays: preprocess.kind: arrays",
            )
        return cls(inputs[0], preprocess.sample_rate_hz)

    @property
    def length(self) -> int:
        """Samples of a window."""
        return self.input.shape[1]

    def seconds(self, window: int) -> float:
        """Where in its recording a window starts."""
        return window * self.length / self.sample_rate_hz

    def steps(self) -> list[dict[str, Any]]:
        """The contract in order, in plain values, for ``contract.json``."""
        return [
            {"op": "decode", "to": "float32", "full_scale": 1.0},
            {"op": "mono", "by": "mean of the channels"},
            {
                "op": "resample",
                "sample_rate_hz": self.sample_rate_hz,
                "by": f"soxr {QUALITY}; not where the recording has that rate",
            },
            {"op": "window", "length": self.length, "hop": self.length, "pad": "zeros at the end"},
            {"op": "layout", "shape": list(self.input.shape), "dtype": self.input.dtype},
        ]


def takes_audio(spec: InputSpec) -> bool:
    """Whether an input is a window of one channel."""
    shape = spec.shape
    fits = len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
    return fits and shape[0] == 1 and spec.dtype == "float32"


def read_windows(path: Path, form: AudioForm) -> Array:
    """float32 ``[windows, N]``: the whole recording, full scale being 1.

    Raises:
        DataError: not a recording, an empty one, or one with NaN or infinity.
        MissingError: ``soundfile`` or ``soxr`` is not installed.
    """
    samples = _resampled(*_decoded(path), form.sample_rate_hz)
    if not len(samples):
        raise DataError(f"{path} is an empty recording")
    if not np.isfinite(samples).all():
        raise DataError(f"{path} holds NaN or infinity", hint="Save it again, or leave it out.")
    length = form.length
    if len(samples) < length:
        samples = np.pad(samples, (0, length - len(samples)))
    count = len(samples) // length
    return samples[: count * length].reshape(count, length)


def sounding(windows: Array) -> list[int]:
    """The windows that are not one constant value: digital silence, at the ends of a recording or
    between its parts, says nothing about ranges and is answered alike by every model."""
    return [int(i) for i in np.flatnonzero(windows.max(axis=1) > windows.min(axis=1))]


def _decoded(path: Path) -> tuple[Array, int]:
    """float32 ``[samples]``, the mean of all channels, and the rate in Hz."""
    try:
        import soundfile
    except (ImportError, OSError) as cause:  # OSError: libsndfile is not there
        raise _missing("soundfile") from cause
    try:
        channels, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as cause:
        reason = str(cause).rpartition(": ")[2]
        raise DataError(
            f"{path} cannot be read as a recording: {reason}",
            hint=f"It reads {', '.join(sorted(SUFFIXES))}.",
        ) from cause
    mono: Array = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)
    return mono, int(rate_hz)


def _resampled(samples: Array, rate_hz: int, wanted_hz: int) -> Array:
    if rate_hz == wanted_hz or not len(samples):
        return samples
    try:
        import soxr
    except ImportError as cause:
        raise _missing("soxr") from cause
    resampled: Array = soxr.resample(samples, rate_hz, wanted_hz, quality=QUALITY)
    return resampled.astype(np.float32, copy=False)


def _missing(package: str) -> MissingError:
    return MissingError(
        f"recordings need the '{package}' package, which is not installed",
        hint="pip install 'edgekit[audio]'",
    )
