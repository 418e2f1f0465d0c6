"""A whole run whose recipe asks for phones: by the real adb program, to a fake adbd."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.cli.bench import bench
from edgekit.errors import RecipeError
from edgekit.gate.check import Check, Status
from edgekit.measure.devices.device import Answers, BenchSettings, DeviceLatency
from edgekit.measure.on_devices import bench_settings, measure_on_devices
from edgekit.pipeline import judge_model
from edgekit.pipeline import quantize as quantize_by
from edgekit.recipe import load_recipe
from edgekit.recipe.latency_spec import PhoneSpec
from edgekit.report import Report
from edgekit.runs.run import Run
from edgekit.runtimes import open_session
from edgekit.runtimes.quantized_io import quantize
from edgekit.sources import locate
from edgekit.types import Artefact, ArtefactFormat, Sample
from tests import tflite_models, tiny_runs
from tests.fake_adbd import FakePhone, write_program
from tests.phones import FALLBACK, GPU, benchmark_program, know_answers

Plug = Callable[..., FakePhone]


def recipe_for(folder: Path, program: str | None, *devices: dict[str, Any]) -> Path:
    """The tiny recipe with ``latency.devices``; ``program`` is its benchmark_model."""
    tiny_runs.write_model(folder)
    tiny_runs.write_arrays(folder)
    latency: dict[str, Any] = {
        "devices": [{"rounds": 2, "answers": 0, "cool_down_s": 0, **one} for one in devices]
    }
    if program is not None:
        write_program(folder / "benchmark_model", program)
        latency["benchmark_model"] = "file:benchmark_model"
    return tiny_runs.write_recipe(folder, {"latency": latency})


def run(folder: Path, program: str | None, *devices: dict[str, Any]) -> Report:
    """A run of that recipe."""
    return quantize_by(str(recipe_for(folder, program, *devices)), out=folder / "run")


def checks(report: Report) -> dict[str, Check]:
    return {check.name: check for check in report.checks}


@pytest.fixture(autouse=True)
def no_benchmark_model_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_BENCHMARK_MODEL", raising=False)


def test_a_phone_fills_the_report_and_its_log_stands_in_the_run(plug: Plug, tmp_path: Path) -> None:
    phone = plug()

    asked = {"delegate": "gpu", "on_fallback": "fail", "gpu_backend": "cl", "gpu_float32": True}

    report = run(tmp_path, benchmark_program(GPU), {**asked, "strict": True, "profile_ops": True})

    (found,) = json.loads((tmp_path / "run/report.json").read_text())["latency"]["devices"]
    assert (found["serial"], found["model"]) == (phone.serial, "Acme Phone 3")
    assert (found["delegate_requested"], found["delegate_effective"]) == ("gpu", "gpu")
    assert (found["median_ms"], found["float"]["median_ms"], found["speedup"]) == (10.0, 20.0, 2.0)
    log = tmp_path / "run/devices" / found["log"]
    assert "Inference timings in us" in log.read_text(encoding="utf-8")
    (launch, *_) = (said for said in phone.commands if "--graph=quantized" in said)
    for flag in (
        "--gpu_backend=cl",
        "--gpu_precision_loss_allowed=false",
        "--require_full_delegation=true",
        "--enable_op_profiling=true",
    ):
        assert flag in launch
        assert flag in found["flags"]
    name = f"latency.adb:{phone.serial}.gpu"
    made = checks(report)
    assert made[f"{name}.delegate"].status is Status.PASS
    assert made[f"{name}.delegate"].required
    assert made[f"{name}.fit"].status is Status.PASS
    assert report.exit_code == 0


@pytest.mark.parametrize(("on_fallback", "exit_code"), [("fail", 1), ("warn", 0)])
def test_a_fallback_fails_or_warns_by_the_recipe(
    on_fallback: str, exit_code: int, plug: Plug, tmp_path: Path
) -> None:
    phone = plug()

    report = run(
        tmp_path, benchmark_program(FALLBACK), {"delegate": "gpu", "on_fallback": on_fallback}
    )

    check = checks(report)[f"latency.adb:{phone.serial}.gpu.delegate"]
    assert (check.status, check.limit, check.value) == (Status.FAIL, "gpu", "xnnpack")
    assert check.required is (on_fallback == "fail")
    assert check.why.startswith(
        "gpu was asked for, and xnnpack executed the graph; edgekit inspect"
    )
    assert report.exit_code == exit_code


def test_a_model_that_the_phone_refuses_is_a_failed_check(plug: Plug, tmp_path: Path) -> None:
    phone = plug()
    refusing = benchmark_program(instead='echo "ERROR: Failed to apply NNAPI delegate."; exit 1')

    report = run(tmp_path, refusing, {"delegate": "nnapi"})

    check = checks(report)[f"latency.adb:{phone.serial}.nnapi"]
    assert check.status is Status.FAIL
    assert "Failed to apply NNAPI delegate" in check.why
    assert report.exit_code == 1


@pytest.mark.parametrize(("required", "exit_code"), [(True, 3), (False, 0)])
def test_without_a_phone_nothing_stands_in_its_place(
    required: bool, exit_code: int, adb: Path, tmp_path: Path
) -> None:
    report = run(tmp_path, benchmark_program(), {"required": required})

    (found,) = report.to_dict()["latency"]["devices"]
    assert (found["device"], found["measured"]) == ("adb", False)
    assert found["why"] == "no phone is attached"
    assert "median_ms" not in found
    assert checks(report)["latency.adb.xnnpack"].status is Status.NOT_MEASURED
    assert report.exit_code == exit_code


def their_file(folder: Path) -> Path:
    """The network in INT8, with other names of its ends."""
    graph = tflite_models.int8_graph(tflite_models.weights())
    graph.inputs, graph.outputs = (
        {f"their_{name}": index for name, index in ends.items()}
        for ends in (graph.inputs, graph.outputs)
    )
    file = folder / "theirs.tflite"
    file.write_bytes(tflite_models.write([graph], {"serving_default": 0}))
    return file


def know_rows(phone: FakePhone, file: Path, rows: np.ndarray[Any, Any]) -> None:
    """Have ``phone`` answer to each of ``rows``, float, as ``file`` does here."""
    with open_session(file) as session:
        (info,) = session.info.inputs
    assert info.quant is not None
    stored = [quantize(row[np.newaxis], info.quant, info.dtype) for row in rows]
    know_answers(phone, file, ({info.name: row} for row in stored))


def test_a_phone_is_asked_by_the_names_that_the_file_itself_has(plug: Plug, tmp_path: Path) -> None:
    recipe = recipe_for(tmp_path, benchmark_program(), {"answers": 3})
    file, phone = their_file(tmp_path), plug()
    artefact = Artefact(file, ArtefactFormat.TFLITE, "given", "litert", renamed={"their_x": "x"})
    with np.load(tmp_path / "data.npz") as data:
        rows = data["x"][:3]
    samples = [Sample(str(n), str(n), {"x": row[np.newaxis]}) for n, row in enumerate(rows)]
    know_rows(phone, file, rows)
    run = Run(load_recipe(str(recipe)))

    (measured,) = measure_on_devices(run, locate(run.recipe.model), artefact, samples)

    (found,) = measured.found
    assert isinstance(found, DeviceLatency), found
    assert found.answers == Answers(n=3, agreement=1.0, max_abs=0.0, integer=True)


def test_what_a_phone_warns_of_stands_in_the_report(plug: Plug, tmp_path: Path) -> None:
    recipe = recipe_for(tmp_path, benchmark_program(), {"delegate": "nnapi"})
    phone = plug()
    phone.set_props(ro_build_version_sdk="35")
    run = Run(load_recipe(str(recipe)))
    artefact = Artefact(their_file(tmp_path), ArtefactFormat.TFLITE, "given", "litert")

    measure_on_devices(run, locate(run.recipe.model), artefact, [])

    (note,) = run.notes
    assert note.startswith(f"adb:{phone.serial}, nnapi: NNAPI is deprecated since Android 15")


@pytest.mark.slow
def test_the_gate_asks_a_phone_about_a_file_with_names_of_its_own(
    plug: Plug, tmp_path: Path
) -> None:
    recipe = recipe_for(tmp_path, benchmark_program(), {"answers": 3})
    file, phone = their_file(tmp_path), plug()
    with np.load(tmp_path / "data.npz") as data:
        know_rows(phone, file, data["x"])

    report = judge_model(file, str(recipe), out=tmp_path / "judged")

    check = checks(report)[f"latency.adb:{phone.serial}.xnnpack.answers"]
    assert (check.status, check.value) == (Status.PASS, 1.0)
    assert "on 3 of 3 samples; outputs differ by at most 0 steps" in check.why


def test_without_benchmark_model_the_run_says_how_to_get_it(plug: Plug, tmp_path: Path) -> None:
    plug()

    report = run(tmp_path, None, {})

    (found,) = report.to_dict()["latency"]["devices"]
    assert "none was given" in found["why"]
    assert any("bazel build" in note for note in report.notes)


def test_a_throttled_phone_decides_nothing(plug: Plug, tmp_path: Path) -> None:
    phone = plug()
    phone.set_heat(3)

    report = run(tmp_path, benchmark_program(), {})

    check = checks(report)[f"latency.adb:{phone.serial}.xnnpack.fit"]
    assert check.status is Status.INCONCLUSIVE
    assert "thermal status 3 (severe)" in check.why
    assert report.exit_code == 3


def test_every_flag_of_bench_that_a_recipe_names_reaches_the_device() -> None:
    changed: dict[str, Any] = {
        "delegate": "nnapi", "threads": 4, "rounds": 7, "runs_per_round": 9, "cool_down_s": 2.5,
        "timeout_s": 9.0, "strict": True, "gpu_backend": "gl", "gpu_float32": True,
        "nnapi_accelerator": "npu", "nnapi_preference": "low_power", "profile_ops": True,
        "answers": 3,
    }  # fmt: skip

    settings = bench_settings(PhoneSpec(**changed))

    assert {name: getattr(settings, name) for name in changed} == changed
    in_both = {each.name for each in fields(PhoneSpec)} & {each.name for each in fields(settings)}
    assert in_both == changed.keys()


def test_a_recipe_measures_as_bench_does_where_neither_says_more() -> None:
    plain = bench_settings(PhoneSpec())
    assert replace(plain, answers=BenchSettings().answers) == BenchSettings()
    (rounds,) = [option for option in bench.params if option.name == "rounds"]
    assert f"phone {plain.rounds}]" in str(rounds.to_info_dict()["help"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"latency": {"devices": [{"device": "phone"}]}}, "'phone' is no phone"),
        ({"latency": {"devices": [{"device": "host"}]}}, "measured anyway"),
        ({"latency": {"devices": [{}], "enabled": False}}, "latency is not measured"),
        ({"latency": {"devices": [{"delegate": "npu"}]}}, "npu"),
        ({"latency": {"devices": [{"gpu_backend": "vulkan"}]}}, "vulkan"),
        ({"latency": {"devices": [{"gpu_backend": "cl"}]}}, "is about gpu, and xnnpack"),
        ({"latency": {"devices": [{"delegate": "gpu", "nnapi_preference": "low_power"}]}},
         "is about nnapi, and gpu"),
        ({"latency": {"devices": [{"delegate": "cpu", "strict": True}]}}, "are no delegate"),
        ({"latency": {"devices": [{"timeout_s": 0}]}}, "timeout_s"),
        ({"latency": {"devices": [{"threads": 1}, {"threads": 4}]}}, "would have one name"),
        ({"latency": {"devices": [{"device": "qemu-aarch64", "delegate": "gpu"}]}},
         "qemu-aarch64 has no gpu"),
        ({"latency": {"devices": [{"device": "qemu-aarch64", "answers": 0}]}}, "answers only"),
        ({"latency": {"devices": [{"device": "swiftshader"}]}}, "swiftshader has no xnnpack"),
        ({"latency": {"devices": [{"device": "qemu-aarch64", "strict": True}]}},
         "runs no benchmark_model"),
    ],
)  # fmt: skip
def test_a_recipe_that_asks_for_what_cannot_be_is_refused(
    change: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    tiny_runs.write_model(tmp_path)
    tiny_runs.write_arrays(tmp_path)

    with pytest.raises(RecipeError) as raised:
        load_recipe(str(tiny_runs.write_recipe(tmp_path, change)))
    assert expected in str(raised.value)
