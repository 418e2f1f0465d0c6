"""What a measurement says besides its figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit.cache import Cache
from edgekit.measure.measurements import measure
from edgekit.pipeline import Made, make
from edgekit.progress import SilentProgress, Task
from edgekit.recipe import load_recipe
from edgekit.runs.run import Run
from tests.tiny_runs import write_arrays, write_model, write_recipe


class Tasks(SilentProgress):
    """Keeps what was being done."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        self.tasks.append(description)
        with super().task(description, total) as task:
            yield task


@pytest.fixture
def run(tmp_path: Path) -> Run:
    write_model(tmp_path)
    write_arrays(tmp_path)
    recipe = write_recipe(tmp_path, {"latency": {"enabled": False}})
    return Run(load_recipe(str(recipe)), Cache(tmp_path / "cache"), Tasks())


@pytest.fixture
def made(run: Run, tmp_path: Path) -> Made:
    folder = tmp_path / "run"
    folder.mkdir()
    return make(run, folder)


def test_each_model_that_is_run_is_named(run: Run, made: Made) -> None:
    quantized = made.quantized
    others = {"without fine-tuning": quantized.artefact}
    measure(run, made.source, quantized.baseline, quantized.artefact, made.data, others)
    assert isinstance(run.progress, Tasks)
    assert [task for task in run.progress.tasks if task.startswith("Running the")][-3:] == [
        "Running the quantized model",
        "Running the quantized model on the labelled samples",
        "Running the alternative: without fine-tuning",
    ]


@pytest.mark.parametrize("grown", [False, True])
def test_a_file_that_did_not_shrink_is_remarked_on(run: Run, made: Made, grown: bool) -> None:
    artefact, baseline = made.quantized.artefact, made.quantized.baseline
    bigger = artefact.path.with_name("bigger.tflite")
    if grown:
        bigger.write_bytes(artefact.path.read_bytes() + bytes(100_000))
        artefact = dataclasses.replace(artefact, path=bigger)
    else:
        bigger.write_bytes(baseline.files["model"].read_bytes() + bytes(100_000))
        baseline = dataclasses.replace(baseline, files={"model": bigger})
    measured = measure(run, made.source, baseline, artefact, made.data, {})
    assert (measured.size.ratio >= 1) is grown
    remarks = [note for note in run.notes if "no smaller than the float one" in note]
    assert len(remarks) == grown
    assert all("metadata" in remark for remark in remarks)
    assert all(f"({measured.size.ratio:.3f} x)" in remark for remark in remarks)
