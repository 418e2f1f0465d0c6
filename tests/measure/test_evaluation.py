"""Many labelled samples: the same answers by any number of processes, after a kill, in bounded
memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.cache import Cache
from edgekit.data import Dataset, open_dataset
from edgekit.errors import DataError, SessionError
from edgekit.measure.evaluation import Answers, Broken, Model, evaluate
from edgekit.progress import SilentProgress, Task
from edgekit.recipe.schema import CropSpec, InputSpec, PreprocessSpec, ResizeSpec
from edgekit.runtimes import open_session, parts
from edgekit.runtimes.crew import ModelFile
from edgekit.runtimes.predict import predict
from edgekit.types import Role
from tests.tflite_models import float_model, int8_model

SAMPLES = 1500
ARRAYS = PreprocessSpec(kind="arrays")
IMAGE = PreprocessSpec(resize=ResizeSpec(shorter_side=5), crop=CropSpec(4, 4), divisor=255.0)
INPUT = InputSpec("x", (1, 4, 4, 3), layout="NHWC")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    file = tmp_path / "net.tflite"
    file.write_bytes(int8_model())
    return Model({"model": "int8"}, lambda: open_session(file), ModelFile(file, "litert"))


@pytest.fixture
def arrays(tmp_path: Path) -> Dataset:
    return open_arrays(tmp_path, SAMPLES)


def open_arrays(folder: Path, samples: int) -> Dataset:
    """At least so many samples of the eval role, with labels."""
    rng = np.random.default_rng(0)
    rows = samples * 10 // 3 + 10
    x = rng.uniform(-1, 1, (rows, 4, 4, 3)).astype(np.float32)
    np.savez(folder / "d.npz", x=x, labels=np.arange(rows) % 7)
    return opened(folder / "d.npz", ARRAYS, samples)


def opened(path: Path, preprocess: PreprocessSpec, samples: int | None = None) -> Dataset:
    return open_dataset(
        str(path), role=Role.EVAL, preprocess=preprocess, inputs=(INPUT,), samples=samples,
        crops=False, lazy=True,
    )  # fmt: skip


class Counting(SilentProgress):
    """Notes, and what each task advanced by; ``stop_after`` samples it is Ctrl-C."""

    def __init__(self, stop_after: int | None = None):
        self.notes: list[str] = []
        self.steps = 0
        self._stop_after = stop_after

    def note(self, message: str) -> None:
        self.notes.append(message)

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        yield self

    def advance(self, steps: int = 1) -> None:
        self.steps += steps
        if self._stop_after is not None and self.steps >= self._stop_after:
            raise KeyboardInterrupt


def run(model: Model, dataset: Dataset, cache: Path, **changes: Any) -> Answers:
    given: dict[str, Any] = {"workers": 1, "broken": Broken(), "progress": SilentProgress()}
    given |= changes
    return evaluate(model, dataset, cache=Cache(cache), doing="Running it", **given)


def children() -> list[int]:
    own = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return [int(pid) for pid in own.split()]


def test_one_process_and_several_give_the_same_bits(
    model: Model, arrays: Dataset, tmp_path: Path
) -> None:
    alone = run(model, arrays, tmp_path / "a")
    several = run(model, arrays, tmp_path / "b", workers=3)
    with open_session(tmp_path / "net.tflite") as session:
        plain = predict(session, arrays)
    for found in (alone, several):
        assert found.failed == ()
        assert found.predictions.ids == plain.ids
        assert found.predictions.labels is not None
        assert plain.labels is not None
        assert found.predictions.labels.tolist() == plain.labels.tolist()
        for name, output in plain.outputs.items():
            assert found.predictions.outputs[name].tobytes() == output.tobytes()
    assert children() == []


def test_what_was_answered_once_is_taken_from_the_cache(
    model: Model, arrays: Dataset, tmp_path: Path
) -> None:
    assert not run(model, arrays, tmp_path / "a").cached
    assert run(model, arrays, tmp_path / "a").cached
    other = replace(model, key={"model": "another"})
    assert not run(other, arrays, tmp_path / "a").cached


def files(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.part"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_run_goes_on_where_it_stopped(
    model: Model, arrays: Dataset, tmp_path: Path, workers: int
) -> None:
    whole = run(model, arrays, tmp_path / "whole").predictions.outputs["scores"]
    with pytest.raises(KeyboardInterrupt):
        run(model, arrays, tmp_path / "a", workers=workers, progress=Counting(stop_after=300))
    assert children() == []
    kept = files(tmp_path / "a")
    assert 300 // parts.SIZE <= len(kept) < parts.count_of(SAMPLES)
    written = {file: file.stat().st_mtime_ns for file in kept}
    progress = Counting()

    class Watching(Counting):
        def advance(self, steps: int = 1) -> None:
            super().advance(steps)
            for file, when in written.items():
                assert file.stat().st_mtime_ns == when

    progress = Watching()
    found = run(model, arrays, tmp_path / "a", progress=progress)
    assert found.predictions.outputs["scores"].tobytes() == whole.tobytes()
    assert progress.steps == SAMPLES
    assert progress.notes == [
        f"Running it: {len(kept) * parts.SIZE} of {SAMPLES} samples were done before"
    ]
    assert files(tmp_path / "a") == []


def test_a_damaged_part_is_answered_again(model: Model, arrays: Dataset, tmp_path: Path) -> None:
    whole = run(model, arrays, tmp_path / "whole").predictions.outputs["scores"]
    with pytest.raises(KeyboardInterrupt):
        run(model, arrays, tmp_path / "a", progress=Counting(stop_after=400))
    first, second, third, fourth, *_ = files(tmp_path / "a")
    content = bytearray(first.read_bytes())
    content[-200] ^= 1
    first.write_bytes(content)
    second.write_bytes(second.read_bytes()[:100])
    third.write_bytes(fourth.read_bytes())  # whole, but another's
    progress = Counting()
    found = run(model, arrays, tmp_path / "a", progress=progress)
    assert found.predictions.outputs["scores"].tobytes() == whole.tobytes()
    assert f": {parts.SIZE * (400 // parts.SIZE + 1 - 3)} of" in progress.notes[0]


def test_a_part_of_another_model_is_not_taken(tmp_path: Path) -> None:
    part = parts.Part(None, ("x cannot be read",))
    parts.write(tmp_path / "p", "stamp", 3, part)
    assert parts.read(tmp_path / "p", "stamp", 3) == part
    assert parts.read(tmp_path / "p", "other", 3) is None
    assert parts.read(tmp_path / "p", "stamp", 4) is None
    assert parts.read(tmp_path / "none", "stamp", 3) is None


def photos(folder: Path, count: int, broken: int) -> Path:
    """``count`` photos of the eval role in two classes, of which some cannot be read."""
    rng = np.random.default_rng(2)
    for number in range(count):
        home = folder / "eval" / f"c{number % 2}"
        home.mkdir(parents=True, exist_ok=True)
        file = home / f"{number:04}.png"
        if number < broken:
            file.write_bytes(b"no picture" + bytes([number]))
        else:
            Image.fromarray(rng.integers(0, 256, (6, 7, 3), np.uint8)).save(file)
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_broken_samples_are_counted_and_named(model: Model, tmp_path: Path, workers: int) -> None:
    dataset = opened(photos(tmp_path / "photos", 1100, 3), IMAGE)
    found = run(model, dataset, tmp_path / "a", workers=workers, broken=Broken(True, 0.01))
    assert len(found.failed) == 3
    assert len(found.predictions) == 1097
    assert sorted("".join(found.failed).count(f"{n:04}.png") for n in range(3)) == [1, 1, 1]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Broken(), "0000.png|0001.png|0002.png"),
        (Broken(True, 0.1), "3 of 20 samples cannot be read, and evaluate.broken_max allows 2"),
    ],
)
def test_too_many_broken_ones_end_the_run(
    model: Model, tmp_path: Path, broken: Broken, said: str
) -> None:
    dataset = opened(photos(tmp_path / "photos", 20, 3), IMAGE)
    with pytest.raises(DataError, match=said):
        run(model, dataset, tmp_path / "a", broken=broken)


def test_a_dataset_that_no_process_can_be_sent_is_run_in_this_one(
    model: Model, arrays: Dataset, tmp_path: Path
) -> None:
    vars(arrays)["hold"] = lambda: None
    assert len(run(model, arrays, tmp_path / "a", workers=2).predictions) == SAMPLES


def test_a_worker_that_dies_is_told(arrays: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "broken.tflite"
    file.write_bytes(b"no model")
    model = Model({"model": 1}, lambda: open_session(file), ModelFile(file, "litert"))
    with pytest.raises(SessionError, match=r"broken\.tflite cannot be loaded"):
        run(model, arrays, tmp_path / "a", workers=2)

    class Killing(Counting):
        def advance(self, steps: int = 1) -> None:
            for pid in children():
                os.kill(pid, signal.SIGKILL)

    file.write_bytes(float_model())
    with pytest.raises(
        SessionError, match=r"crashed \(SIGKILL\) while running broken\.tflite on samples"
    ):
        run(model, arrays, tmp_path / "a", workers=2, progress=Killing())
    assert children() == []


ORPHANS = """
import os, sys
from pathlib import Path
from tests.measure.test_evaluation import Counting, SAMPLES, open_arrays, run
from edgekit.measure.evaluation import Model
from edgekit.runtimes.crew import ModelFile
from edgekit.runtimes import open_session

class Telling(Counting):
    def advance(self, steps=1):
        own = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        print(own, flush=True)
        os.kill(os.getpid(), 9)

folder = Path(sys.argv[1])
file = folder / "net.tflite"
model = Model({"model": "int8"}, lambda: open_session(file), ModelFile(file, "litert"))
run(model, open_arrays(folder, SAMPLES), folder / "a", workers=2, progress=Telling())
"""


def test_workers_end_with_a_parent_that_is_killed_and_the_next_run_goes_on(
    model: Model, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", ORPHANS, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL
    workers = [int(pid) for pid in ran.stdout.split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in workers)
    progress = Counting()
    run(model, open_arrays(tmp_path, SAMPLES), tmp_path / "a", progress=progress)
    assert "samples were done before" in progress.notes[0]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] not in "ZX"
    except FileNotFoundError:
        return False


BOUNDED = """
import sys
from pathlib import Path
import numpy as np
from edgekit.cache import Cache
from edgekit.measure.accuracy import measure_accuracy
from edgekit.measure.evaluation import Broken, Model, evaluate
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import EvaluateSpec
from edgekit.runtimes import open_session
from edgekit.runtimes.crew import ModelFile
from edgekit.types import Sample

folder, samples = Path(sys.argv[1]), int(sys.argv[2])
file = folder / "net.tflite"

class Synthetic:
    fingerprint = "synthetic"
    name = "synthetic"
    images = {}
    def __len__(self):
        return samples
    def sample(self, index):
        x = np.random.default_rng(index).uniform(-1, 1, (1, 4, 4, 3)).astype(np.float32)
        return Sample(f"s{index}", f"s{index}", {"x": x}, index % 5)

def most_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

model = Model({}, lambda: open_session(file), ModelFile(file, "litert"))
def answer(dataset):
    found = evaluate(model, dataset, workers=1, broken=Broken(), cache=Cache(folder / sys.argv[2]),
                     progress=SilentProgress(), doing="it")
    measure_accuracy(EvaluateSpec(dataset="d"), found.predictions, found.predictions,
                     primary="scores")
    return len(found.predictions)
assert answer(Synthetic()) == samples
print(most_bytes())
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_samples(model: Model, tmp_path: Path) -> None:
    """50,000 against 2,000: 60 MB would be 1.2 kB a sample; ids and bookkeeping stay far below."""
    held = {}
    for samples in (2000, 50_000):
        ran = subprocess.run(
            [sys.executable, "-c", BOUNDED, str(tmp_path), str(samples)],
            stdout=subprocess.PIPE,
            check=True,
        )
        held[samples] = int(ran.stdout)
    assert held[50_000] - held[2000] < 60e6, held
