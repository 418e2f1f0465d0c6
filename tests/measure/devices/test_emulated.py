"""Answers of emulated processors. The emulators themselves only where their trees are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.cache import Cache
from edgekit.environments import Environment
from edgekit.errors import FetchError, SessionError, UsageError
from edgekit.measure.devices.answers import compare_arrays, random_inputs
from edgekit.measure.devices.arm_tree import arm_python
from edgekit.measure.devices.device import AnswersOnly, BenchSettings, Delegate, Models
from edgekit.measure.devices.emulated import (
    EMULATIONS,
    QEMU,
    SWIFTSHADER,
    EmulatedDevice,
    EmulatedEnvironment,
)
from edgekit.measure.devices.vulkan_tree import vulkan_python
from edgekit.progress import SilentProgress
from edgekit.recipe.device_rules import EMULATED
from edgekit.runtimes import open_session
from tests import tflite_models
from tests.stand_in_runtime import stand_in_runtime

SETTINGS = BenchSettings(answers=3)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    (tmp_path / "q.tflite").write_bytes(tflite_models.int8_model())
    with open_session(tmp_path / "q.tflite") as session:
        return Models(tmp_path / "q.tflite", inputs=random_inputs(session.info, 3))


def bench(models: Models, environment: Environment) -> AnswersOnly:
    device = EmulatedDevice(QEMU, lambda: environment)
    return device.bench(models, SETTINGS, models.quantized.parent)


def test_the_same_kernels_answer_bit_for_bit(models: Models, tmp_path: Path) -> None:
    found = bench(models, stand_in_runtime(tmp_path))

    assert (found.answers.n, found.answers.max_abs, found.answers.agreement) == (3, 0, 1)
    assert found.answers.integer
    assert "no latency" in found.why


def test_a_crash_over_there_is_the_models(models: Models, tmp_path: Path) -> None:
    crashing = "        import os; os.abort()"

    with pytest.raises(SessionError, match=r"does not run q.tflite: .*SIGABRT"):
        bench(models, stand_in_runtime(tmp_path, crashing))


def test_another_delegate_is_refused(models: Models, tmp_path: Path) -> None:
    settings = replace(SETTINGS, delegate=Delegate.GPU)

    device = EmulatedDevice(QEMU, lambda: stand_in_runtime(tmp_path))

    with pytest.raises(UsageError, match="has no gpu"):
        device.bench(models, settings, tmp_path)


def test_a_recipe_knows_every_emulation_and_its_delegate() -> None:
    assert {name: each.delegate.value for name, each in EMULATIONS.items()} == EMULATED


class HalfAGpu:
    """Answers as this machine does, and says that the GPU took a part of the graph."""

    def __init__(self, runtime: Environment) -> None:
        self._runtime = runtime
        self.asked: list[tuple[str, bool]] = []

    def run(
        self, worker: str, request: Mapping[str, Any], *, folder: Path, timeout_s: float
    ) -> Mapping[str, Any]:
        self.asked.append((worker, request["float32"]))
        said = self._runtime.run("run_tflite_runtime", request, folder=folder, timeout_s=timeout_s)
        return {**said, "whole": False}


def test_a_gpu_that_leaves_a_part_to_the_cpu_is_warned_of(models: Models, tmp_path: Path) -> None:
    environment = HalfAGpu(stand_in_runtime(tmp_path))
    settings = BenchSettings(delegate=Delegate.GPU, gpu_float32=True, answers=3)

    found = EmulatedDevice(SWIFTSHADER, lambda: environment).bench(models, settings, tmp_path)

    assert environment.asked == [("run_litert_gpu", True)]
    assert found.warnings == ("gpu did not take the whole graph; the CPU ran the rest",)


@pytest.mark.parametrize(
    ("there", "max_abs", "agreement"),
    [
        ([[1.0, 2.0]], 0, 1.0),
        ([[3.0, 2.0]], 2.0, 0.0),
        ([[1.0, np.nan]], None, 1.0),
        ([[1.0, np.inf]], None, 1.0),
    ],
)
def test_a_difference_is_the_largest_and_no_number_is_none(
    there: Sequence[Sequence[float]], max_abs: float | None, agreement: float
) -> None:
    here = [[np.array([1.0, 2.0], np.float32)]]

    found = compare_arrays(here, [[np.array(there[0], np.float32)]])

    assert (found.max_abs, found.agreement) == (max_abs, agreement)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(900)
def test_arms_dot_product_kernels_are_this_hosts_bit_for_bit(
    models: Models, tmp_path: Path
) -> None:
    try:
        python = arm_python(Cache(tmp_path / "cache"), SilentProgress())
    except FetchError as error:
        pytest.skip(str(error))

    found = bench(models, EmulatedEnvironment("qemu-aarch64", python))

    assert (found.answers.n, found.answers.max_abs) == (3, 0)
    assert found.engine.endswith("for aarch64 on cortex-a76")


@pytest.fixture(scope="module")
def software_gpu(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    try:
        python = vulkan_python(Cache(tmp_path_factory.mktemp("cache")), SilentProgress())
    except FetchError as error:
        pytest.skip(str(error))
    return EmulatedEnvironment("swiftshader", python)


def conv_model() -> bytes:
    """The convolution of the network alone, in INT8."""
    graph = tflite_models.int8_graph(tflite_models.weights())
    graph.operators = graph.operators[:1]
    graph.outputs = {"hidden": graph.operators[0].outputs[0]}
    return tflite_models.write([graph], {"serving_default": 0})


@pytest.mark.slow
@pytest.mark.network
def test_the_gpus_kernels_are_within_a_step_of_this_hosts(
    software_gpu: Environment, tmp_path: Path
) -> None:
    (tmp_path / "c.tflite").write_bytes(conv_model())
    with open_session(tmp_path / "c.tflite") as session:
        models = Models(tmp_path / "c.tflite", inputs=random_inputs(session.info, 3))
    settings = BenchSettings(delegate=Delegate.GPU, answers=3)

    found = EmulatedDevice(SWIFTSHADER, lambda: software_gpu).bench(models, settings, tmp_path)

    assert found.answers.integer
    assert found.answers.max_abs is not None
    assert found.answers.max_abs <= 1
    assert found.warnings == ()


@pytest.mark.slow
@pytest.mark.network
def test_a_graph_that_the_gpu_computes_otherwise_is_caught(
    software_gpu: Environment, models: Models, tmp_path: Path
) -> None:
    # A fully connected layer right on [1, 4, 4, 2]: LiteRT 2.3's accelerator takes it for 1x1.
    settings = BenchSettings(delegate=Delegate.GPU, answers=3)

    found = EmulatedDevice(SWIFTSHADER, lambda: software_gpu).bench(models, settings, tmp_path)

    assert found.answers.max_abs is not None
    assert found.answers.max_abs > 1
