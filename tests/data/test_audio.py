"""Recordings: how they are read, cut into windows, and shared out among files and roles."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.audio import AudioForm, read_windows, sounding
from edgekit.data.audio_dataset import Recording, spread
from edgekit.data.checks import check_representative
from edgekit.data.dataset import Dataset
from edgekit.data.open import open_dataset
from edgekit.errors import DataError, MissingError, UsageError
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.types import Role

soundfile = pytest.importorskip("soundfile")

RATE = 8000
LENGTH = 400
INPUT = InputSpec("sound", (1, LENGTH, 1))
AUDIO = PreprocessSpec(kind="audio", sample_rate_hz=RATE)
FORM = AudioForm(INPUT, RATE)


def tone(seconds: float, hertz: float = 440.0, rate: int = RATE) -> np.ndarray[Any, Any]:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def opened(path: Path, role: Role = Role.CALIBRATION, **options: Any) -> Dataset:
    given = {"samples": None, "preprocess": AUDIO, "inputs": (INPUT,), **options}
    return open_dataset(str(path), role=role, **given)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten files of four windows each, of different tones."""
    home = tmp_path / "sounds"
    (home / "deeper").mkdir(parents=True)
    for n in range(10):
        where = home / "deeper" if n % 2 else home
        soundfile.write(where / f"{n}.wav", tone(0.2, 200 + 30 * n), RATE)
    return home


def test_windows_are_the_file_from_its_start(tmp_path: Path) -> None:
    sound = tone(0.2)
    soundfile.write(tmp_path / "a.wav", np.append(sound, sound[:7]), RATE, subtype="FLOAT")
    windows = read_windows(tmp_path / "a.wav", FORM)
    assert windows.dtype == np.float32
    np.testing.assert_allclose(windows, sound.reshape(4, LENGTH), atol=1e-7)


def test_channels_are_averaged_and_the_rate_is_the_models(tmp_path: Path) -> None:
    rate = 3 * RATE
    left = tone(0.4, rate=rate)
    stereo = np.stack([left, np.zeros_like(left)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, rate, subtype="FLOAT")
    windows = read_windows(tmp_path / "a.wav", FORM)
    inner = slice(200, -200)  # the filter rings at the ends
    np.testing.assert_allclose(windows.ravel()[inner], tone(0.4)[inner] / 2, atol=1e-3)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", tone(1.0, rate=16000), 16000)
    assert read_windows(tmp_path / f"a.{suffix}", FORM).shape[0] in (20, 21)


def test_a_short_recording_is_filled_with_zeros(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.01), RATE, subtype="FLOAT")
    (window,) = read_windows(tmp_path / "a.wav", FORM)
    np.testing.assert_allclose(window, np.pad(tone(0.01), (0, LENGTH - 80)), atol=1e-7)


def test_digital_silence_is_left_out(tmp_path: Path) -> None:
    silence = np.zeros(2 * LENGTH)
    soundfile.write(tmp_path / "a.wav", np.concatenate([silence, tone(0.1), silence]), RATE)
    assert sounding(read_windows(tmp_path / "a.wav", FORM)) == [2, 3]
    dataset = opened(tmp_path)
    assert [sample.id for sample in dataset] == ["a.wav@0.10s", "a.wav@0.15s"]


def test_a_folder_is_split_by_file(folder: Path) -> None:
    roles = {role: opened(folder, role) for role in Role}
    files = {role: set(dataset.images) for role, dataset in roles.items()}
    assert [len(files[role]) for role in (Role.CALIBRATION, Role.DEV, Role.EVAL)] == [5, 2, 3]
    assert len(set.union(*files.values())) == 10
    assert any(name.startswith("deeper/") for name in set.union(*files.values()))
    assert [len(dataset) for dataset in roles.values()] == [20, 8, 12]
    sample = next(iter(roles[Role.EVAL]))
    assert sample.feeds["sound"].shape == (1, LENGTH, 1)
    assert sample.label is None
    names = [f.name for f in check_representative(roles[Role.CALIBRATION], roles[Role.EVAL])]
    assert names == []


def test_the_first_samples_come_from_every_file(folder: Path) -> None:
    few = opened(folder, samples=5)
    assert len({sample.image_id for sample in few}) == 5
    again = opened(folder, samples=5)
    assert few.fingerprint == again.fingerprint != opened(folder, samples=6).fingerprint
    assert [s.id for s in few] == [s.id for s in again]


def test_inputs_of_two_axes_too(folder: Path) -> None:
    dataset = opened(folder, inputs=(InputSpec("sound", (1, LENGTH)),))
    assert next(iter(dataset)).feeds["sound"].shape == (1, LENGTH)


def _recording(name: str) -> Recording:
    return Recording(name, Path(name), name)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.none() | st.integers(0, 80))
def test_shares_are_fair_and_evenly_spread(counts: list[int], samples: int | None) -> None:
    of = {_recording(str(n)): count for n, count in enumerate(counts)}
    chosen = spread(of, samples)
    total = sum(counts)
    assert len(chosen) == len(set(chosen)) == (total if samples is None else min(samples, total))
    shares = {r: sorted(n for other, n in chosen if other == r) for r in of}
    for recording, numbers in shares.items():
        assert all(0 <= number < of[recording] for number in numbers)
        largest = max(map(len, shares.values()))
        assert len(numbers) >= min(of[recording], largest - 1)
        gaps = np.diff(numbers)
        assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_a_manifest_names_recordings_by_role(tmp_path: Path) -> None:
    text = "schema: 1\nname: tones\naudio:\n"
    for n, role in enumerate(("calibration", "dev", "eval")):
        soundfile.write(tmp_path / f"{n}.wav", tone(0.1, 300 + n), RATE)
        text += f"  - {{source: {n}.wav, role: {role}, licence: CC0, credit: me}}\n"
    (tmp_path / "tones.yaml").write_text(text, encoding="utf-8")
    dataset = opened(tmp_path / "tones.yaml", Role.DEV)
    assert list(dataset.images) == ["1.wav"]
    assert dataset.name == "tones"
    image = (InputSpec("x", (1, 8, 8, 3), layout="NHWC"),)
    with pytest.raises(UsageError, match=r"lists recordings, but preprocess\.kind is 'image'"):
        opened(tmp_path / "tones.yaml", preprocess=PreprocessSpec(), inputs=image)
    twice = text + "  - {source: 1.wav, role: eval, licence: CC0}\n"
    (tmp_path / "tones.yaml").write_text(twice, encoding="utf-8")
    with pytest.raises(DataError, match=r"the same recording as audio\[1\]"):
        opened(tmp_path / "tones.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFFnot a recording", "cannot be read as a recording"),
        (b"", "cannot be read as a recording"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        opened(tmp_path)
    assert "bad.wav" in caught.value.message


def test_a_broken_file_is_skipped_where_the_recipe_says_so(folder: Path) -> None:
    for n in range(10):
        (folder / f"bad{n}.wav").write_bytes(b"RIFF" + bytes([n]))
    dataset = opened(folder, on_broken="skip")
    assert dataset.skipped
    assert all("cannot be read as a recording" in line for line in dataset.skipped)


def test_nan_empty_silent_and_none(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.1, np.nan]), RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="holds NaN"):
        opened(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.array([]), RATE)
    with pytest.raises(DataError, match="is an empty recording"):
        opened(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(1000), RATE)
    with pytest.raises(DataError, match="no recording with sound for calibration"):
        opened(tmp_path)
    with pytest.raises(DataError, match="1 recordings, too few to give eval"):
        opened(tmp_path, Role.EVAL)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(DataError, match="holds no recordings"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "spec",
    [InputSpec("x", (1, 400, 2)), InputSpec("x", (2, 400)), InputSpec("x", (1, 400), "int32")],
)
def test_inputs_that_take_no_sound(folder: Path, spec: InputSpec) -> None:
    with pytest.raises(UsageError, match=r"audio fills one float32 input \[1, N\]"):
        opened(folder, inputs=(spec,))


@pytest.mark.parametrize("package", ["soundfile", "soxr"])
def test_a_missing_package_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.2, rate=16000), 16000)
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingError, match=f"need the '{package}' package") as caught:
        opened(tmp_path)
    assert caught.value.hint == "pip install 'edgekit[audio]'"


def test_the_contract_says_every_step() -> None:
    steps = FORM.steps()
    assert [step["op"] for step in steps] == ["decode", "mono", "resample", "window", "layout"]
    assert steps[2]["sample_rate_hz"] == RATE
    assert steps[-1]["shape"] == [1, LENGTH, 1]
