"""What a file takes in memory, of real processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import SessionError, UsageError
from edgekit.measure.memory import measure_memory
from edgekit.runtimes import process_memory
from edgekit.types import Artefact, ArtefactFormat, Sample
from tests import tflite_models as models


def relu_model(side: int) -> bytes:
    """Two activations of ``side * side * 16`` bytes each."""
    graph = models.Graph()
    x, y = (graph.tensor(name, (1, side, side, 4)) for name in ("x", "y"))
    graph.operator("RELU", [x], [y])
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    return models.write([graph], {"serving_default": 0})


def weighed(folder: Path, data: bytes, side: int, name: str = "x") -> int:
    (folder / "model.tflite").write_bytes(data)
    renamed = {} if name == "x" else {"x": name}
    artefact = Artefact(
        folder / "model.tflite", ArtefactFormat.TFLITE, "given", "litert", renamed=renamed
    )
    sample = Sample("a", "a", {name: np.zeros((1, side, side, 4), np.float32)})
    found = measure_memory(artefact, sample, threads=1)
    assert found.threads == 1
    return found.peak_bytes


def test_a_larger_model_takes_more_by_what_its_activations_are(tmp_path: Path) -> None:
    small = weighed(tmp_path, relu_model(8), 8)
    large = weighed(tmp_path, relu_model(1024), 1024, "image")
    assert 0 < small < 40e6
    assert large - small > 2 * 1024 * 1024 * 16


def test_a_file_that_crashes_weighs_nothing(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="crashed"):
        weighed(tmp_path, models.crashing_model((1, 8, 8, 4)), 8)


def test_a_system_that_does_not_tell_is_no_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_memory, "_CLEAR", tmp_path / "no" / "clear_refs")
    with pytest.raises(UsageError, match="does not tell the peak memory"):
        process_memory.weigh_runtime("litert")
    (tmp_path / "status").write_text("Name: x\n")
    monkeypatch.setattr(process_memory, "_STATUS", tmp_path / "status")
    with pytest.raises(UsageError, match="does not tell VmHWM"):
        process_memory.peak_bytes()
