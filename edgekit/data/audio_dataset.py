"""Samples from recordings: windows of the model's input length, evenly spread over the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from edgekit.cache import content_key, file_sha256
from edgekit.data.audio import QUALITY, SUFFIXES, AudioForm, read_windows, sounding
from edgekit.data.dataset import split
from edgekit.data.manifest import Manifest
from edgekit.errors import DataError, UsageError
from edgekit.fetch import fetch
from edgekit.progress import Progress, track
from edgekit.types import Array, Role, Sample


@dataclass(frozen=True)
class Recording:
    """A file with sound."""

    id: str
    path: Path
    sha256: str
    label: int | None = None


@dataclass(frozen=True)
class _Window:
    recording: Recording
    place: int
    values: Array


class AudioDataset:
    """A ``Dataset`` of windows of recordings; made by ``open_audio``."""

    def __init__(
        self,
        name: str,
        role: Role,
        windows: Sequence[_Window],
        form: AudioForm,
        skipped: tuple[str, ...],
    ):
        self.name = name
        self.role = role
        self.skipped = skipped
        self.repeated = 0
        self.labelled = all(window.recording.label is not None for window in windows)
        self.targeted = False
        # Lossy codecs and resampling go beyond full scale.
        self.value_range: tuple[float, float] | None = None
        self.images = {window.recording.id: window.recording.sha256 for window in windows}
        self._windows = windows
        self._form = form
        self.fingerprint = content_key(
            {
                "samples": [(w.recording.sha256, w.recording.label, w.place) for w in windows],
                "sample_rate_hz": form.sample_rate_hz,
                "quality": QUALITY,
                "input": form.input,
                "soundfile": version("soundfile"),
                "soxr": version("soxr"),
            }
        )

    def __len__(self) -> int:
        return len(self._windows)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.sample, range(len(self)))

    def sample(self, index: int) -> Sample:
        """See ``Dataset.sample``."""
        window = self._windows[index]
        recording = window.recording
        name = f"{recording.id}@{self._form.seconds(window.place):.2f}s"
        values = window.values.reshape(self._form.input.shape)
        return Sample(name, recording.id, {self._form.input.name: values}, recording.label)

    def pixels(self, index: int) -> Array:
        """Recordings have none; see ``Dataset.pixels``."""
        raise UsageError(f"{self.name} holds recordings, which have no pixels")


def open_audio(
    name: str,
    recordings: Sequence[Recording],
    role: Role,
    form: AudioForm,
    *,
    samples: int | None,
    on_broken: Literal["error", "skip"],
    progress: Progress,
) -> AudioDataset:
    """At most ``samples`` windows of ``recordings`` (``None``: all), every file giving its share.

    Windows of digital silence are left out. The order goes round the files, so that a first part
    of it is a fair sample too.

    Raises:
        DataError: nothing is left, or a file is broken and ``on_broken`` is ``"error"``.
        MissingError: ``soundfile`` or ``soxr`` is not installed.
    """
    windows: dict[Recording, Array] = {}
    skipped: list[str] = []
    with progress.task(f"Reading the {role.value} recordings of {name}", len(recordings)) as task:
        for recording in track(recordings, task):
            try:
                windows[recording] = read_windows(recording.path, form)
            except DataError as failure:
                if on_broken == "error":
                    raise
                skipped.append(f"{recording.id}: {failure.message}")
    places = {recording: sounding(found) for recording, found in windows.items()}
    chosen = spread({r: len(found) for r, found in places.items()}, samples)
    taken = []
    for recording, number in chosen:
        place = places[recording][number]
        # A copy: a view would keep the whole recording.
        taken.append(_Window(recording, place, windows[recording][place].copy()))
    if not taken:
        raise DataError(
            f"{name} has no recording with sound for {role.value}",
            hint=f"Skipped: {'; '.join(skipped[:5])}" if skipped else None,
        )
    return AudioDataset(name, role, taken, form, tuple(skipped))


def spread(counts: Mapping[Recording, int], samples: int | None) -> list[tuple[Recording, int]]:
    """``samples`` windows by recording and number: as many of each as of any other, as far as it
    has them, evenly over its length; round the recordings in turn."""
    shares = dict.fromkeys(counts, 0)
    left = sum(counts.values()) if samples is None else min(samples, sum(counts.values()))
    while left:
        for recording, count in counts.items():
            if left and shares[recording] < count:
                shares[recording] += 1
                left -= 1
    placed = [
        (turn, order, recording, (2 * turn + 1) * counts[recording] // (2 * share))
        for order, (recording, share) in enumerate(shares.items())
        for turn in range(share)
    ]
    return [(recording, number) for _, _, recording, number in sorted(placed, key=lambda p: p[:2])]


def manifest_recordings(manifest: Manifest, role: Role, progress: Progress) -> list[Recording]:
    """Fetch the recordings of ``role``, each held to its sha256.

    Raises:
        FetchError, IntegrityError, UsageError: as ``fetch.fetch``.
    """
    mine = [item for item in manifest.audio if item.role == role]
    found = []
    with progress.task(f"Getting the {role.value} files of {manifest.name}", len(mine)) as task:
        for item in track(mine, task):
            path = fetch(item.source, sha256=item.sha256, base=manifest.base, progress=progress)
            found.append(Recording(item.id, path, item.sha256 or file_sha256(path), item.label))
    return found


def folder_recordings(folder: Path, role: Role) -> list[Recording]:
    """The recordings below ``folder`` that have ``role``: split by content, file by file.

    Raises:
        DataError: there is none, or none for the role.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise DataError(
            f"{folder} holds no recordings", hint=f"Looked for {', '.join(sorted(SUFFIXES))} files."
        )
    hashes = [file_sha256(path) for path in files]
    recordings = [
        Recording(path.relative_to(folder).as_posix(), path, digest)
        for path, digest in zip(files, hashes, strict=True)
    ]
    mine = list(split(recordings, hashes, role))
    if not mine:
        raise DataError(
            f"{folder} has {len(files)} recordings, too few to give {role.value} any",
            hint="Files are split by content: 50 % calibration, 20 % dev, 30 % eval.",
        )
    return mine
