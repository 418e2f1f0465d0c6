"""android_demo/core on a JVM: its unit tests, and Python's golden vectors computed again."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.android.golden import golden_vectors, write_golden
from edgekit.android.pictures import photos
from edgekit.android.run_files import RunFiles
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import InputSpec, PreprocessSpec, Recipe
from edgekit.report.devices import devices_to_list
from edgekit.report.html import html
from edgekit.report.markdown import markdown
from edgekit.report.saved import read_run
from edgekit.runs.contract import contract
from edgekit.runtimes.session import ClosingSession, SessionInfo
from edgekit.types import Array, Feeds, QuantParams, TensorInfo
from tests import tiny_runs
from tests.android import kotlin
from tests.android.pictures import KINDS, write_pictures
from tests.cli.commands import edgekit
from tests.gate.test_devices import FOUND

pytestmark = kotlin.needs_kotlin
CLASSES = 1000


class MadeUpModel(ClosingSession):
    """Answers that depend on every byte of the tensor, on two ends as a contract has them."""

    def __init__(self, source: TensorInfo, output: TensorInfo):
        self.info = SessionInfo("made up", "1", 1, (source,), (output,), max_batch=1)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        (tensor,) = feeds.values()
        (output,) = self.info.outputs
        rng = np.random.default_rng(zlib.crc32(tensor.tobytes()))
        if output.dtype == "float32":
            return {output.name: rng.normal(0, 5, output.shape).astype(np.float32)}
        limits = np.iinfo(output.dtype)
        answer = rng.integers(limits.min, limits.max + 1, output.shape).astype(output.dtype)
        return {output.name: answer}

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        raise NotImplementedError

    def close(self) -> None: ...


INT8 = QuantParams(0.01865844801068306, -14)
IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CONTRACTS: Mapping[str, tuple[dict[str, Any], tuple[int, ...], str, QuantParams | None]] = {
    "mobilenet": (
        {"resize": {"shorter_side": 256}, "crop": (224, 224), "divisor": 255.0, **IMAGENET},
        (1, 224, 224, 3),
        "int8",
        INT8,
    ),
    "bicubic_bgr": (
        {
            "resize": {"width": 61, "height": 47, "filter": "bicubic"},
            "colour": "BGR",
            "divisor": 127.5,
            "mean": (1.0,),
        },
        (1, 47, 61, 3),
        "uint8",
        QuantParams(1 / 127.5, 127),
    ),
    "grey_bicubic_int16": (
        {
            "resize": {"shorter_side": 49, "filter": "bicubic"},
            "crop": (48, 47),
            "colour": "GRAY",
            "divisor": 255.0,
        },
        (1, 47, 48, 1),
        "int16",
        QuantParams(1 / 32767, 0),
    ),
    "pixels": ({"resize": {"width": 33, "height": 33}}, (1, 33, 33, 3), "uint8", None),
    "float": (
        {"resize": {"width": 96, "height": 96}, "divisor": 255.0, **IMAGENET},
        (1, 96, 96, 3),
        "float32",
        None,
    ),
}


def run_files(folder: Path, name: str) -> tuple[RunFiles, MadeUpModel]:
    """What a run of such a model would be, and a model that answers."""
    keys, shape, dtype, quant = CONTRACTS[name]
    recipe = recipe_with(folder, keys, shape, float_input=quant is not None or dtype == "float32")
    output_dtype = dtype if dtype != "int16" else "int8"
    output_quant = None if output_dtype == "float32" else QuantParams(0.1291285753250122, 3)
    source = TensorInfo("image", shape, dtype, quant)
    output = TensorInfo("scores", (1, CLASSES), output_dtype, output_quant)
    model = MadeUpModel(source, output)
    files = RunFiles(folder, recipe, {}, tuple(f"class \u2603 {n}" for n in range(CLASSES)), {})
    content = contract(
        model.info,
        recipe.model.inputs,
        {"image": files.preprocessor.steps()},
        task="classification",
        primary="scores",
        labels="labels.txt",
    )
    return replace(files, contract=content), model


def recipe_with(
    folder: Path, keys: dict[str, Any], shape: tuple[int, ...], *, float_input: bool
) -> Recipe:
    from edgekit.recipe.schema import CropSpec, ResizeSpec

    recipe = load_recipe("mobilenet_int8")
    crop = keys.get("crop")
    spec = PreprocessSpec(
        **{
            **keys,
            "resize": ResizeSpec(**keys["resize"]),
            "crop": None if crop is None else CropSpec(width=crop[0], height=crop[1]),
        }
    )
    dtype = "float32" if float_input else "uint8"
    inputs = (InputSpec(name="image", shape=shape, layout="NHWC", dtype=dtype),)
    return replace(recipe, preprocess=spec, model=replace(recipe.model, inputs=inputs))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A folder of golden vectors for each of ``CONTRACTS``."""
    folder = tmp_path_factory.mktemp("golden")
    write_pictures(folder / "pictures")
    pictures = photos(folder / "pictures")
    assert len(pictures) == len(KINDS) >= 20
    made = []
    for name in CONTRACTS:
        run, model = run_files(folder, name)
        run.folder.joinpath("model.tflite").write_bytes(b"made up")
        content, files = golden_vectors(run, model, pictures)
        write_golden(folder / name, content, files)
        (folder / name / "contract.json").write_text(json.dumps(run.contract), encoding="utf-8")
        labels = "\n".join(run.labels) + "\n"
        (folder / name / "labels.txt").write_text(labels, encoding="utf-8")
        made.append(folder / name)
    return made


@pytest.fixture(scope="module")
def core() -> kotlin.Compiled:
    """core and its unit tests, compiled with warnings as errors."""
    return kotlin.compile_core()


@pytest.fixture(scope="module")
def report_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the report.json of a real run in it."""
    from edgekit.pipeline import quantize

    folder = tmp_path_factory.mktemp("report")
    tiny_runs.write_model(folder)
    tiny_runs.write_arrays(folder)
    quantize(str(tiny_runs.write_recipe(folder)), out=folder / "run")
    (folder / "out").mkdir()
    shutil.copyfile(folder / "run/report.json", folder / "out/report.json")
    return folder / "out"


@pytest.fixture(scope="module")
def tested(core: kotlin.Compiled, golden: list[Path], report_folder: Path) -> kotlin.Tested:
    """All unit tests of core, run once."""
    tested = kotlin.run_tests(
        [core.jar],
        kotlin.classes_in(kotlin.CORE_TESTS),
        {
            "edgekit.golden": os.pathsep.join(map(str, golden)),
            "edgekit.report": str(report_folder),
        },
    )
    print(tested.output)
    return tested


def test_cores_unit_tests_pass(tested: kotlin.Tested) -> None:
    assert (tested.code, tested.failed) == (0, 0), tested.output
    assert tested.passed >= 50


def test_every_picture_of_every_contract_is_equal_to_the_byte(tested: kotlin.Tested) -> None:
    for name in CONTRACTS:
        assert f"{len(KINDS)} golden vectors equal in {name}" in tested.output, tested.output


def test_edgekit_reads_the_report_that_a_phone_shares(
    tested: kotlin.Tested, report_folder: Path
) -> None:
    saved = read_run(report_folder / "written.json")
    shared = saved.report
    for text in (markdown(shared, "a phone"), html(shared, saved.evidence, "a phone")):
        assert "Pixel" in text
    original = json.loads((report_folder / "report.json").read_text(encoding="utf-8"))
    assert {**shared, "latency": None} == {**original, "latency": None}
    gpu, nnapi = shared["latency"]["devices"]
    assert (gpu["delegate_requested"], gpu["delegate_effective"]) == ("gpu", "xnnpack")
    assert not nnapi["measured"]


def test_a_phones_rows_have_the_keys_of_edgekits_own(
    tested: kotlin.Tested, report_folder: Path
) -> None:
    written = json.loads((report_folder / "written.json").read_text(encoding="utf-8"))
    gpu, _ = written["latency"]["devices"]
    (own,) = devices_to_list([replace(FOUND, reference=FOUND.quantized)])
    assert own.keys() <= gpu.keys()
    assert own["float"].keys() <= gpu["float"].keys()


def test_the_gate_takes_the_report_that_a_phone_shares(
    tested: kotlin.Tested, report_folder: Path
) -> None:
    home = report_folder.parent
    arguments = ("--recipe", "recipe.yaml", "--baseline", report_folder / "written.json")
    ran = edgekit("gate", "run", *arguments, "--out", "judged", "--json", "-q", cwd=home)
    assert ran.code == 0, ran
    checks = {check["name"]: check["status"] for check in json.loads(ran.stdout)["checks"]}
    against_it = {name: each for name, each in checks.items() if name.startswith("baseline.")}
    assert against_it
    assert "fail" not in against_it.values()


def test_a_wrong_tensor_fails_and_is_counted(
    core: kotlin.Compiled, golden: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(golden[0], broken)
    tensor = bytearray((broken / "003.tensor").read_bytes())
    tensor[1000] ^= 1
    (broken / "003.tensor").write_bytes(tensor)
    tested = kotlin.run_tests(
        [core.jar], ["dev.edgekit.core.GoldenVectorsTest"], {"edgekit.golden": str(broken)}
    )
    assert (tested.code, tested.failed) == (1, 1), tested.output
    assert "1 of 150528 bytes differ, the first at 1000" in tested.output
