"""The shipped recipes as a user runs them, and their artefacts as an app would use them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps

from edgekit.fetch import fetch
from tests.cli.commands import edgekit
from tests.e2e.conftest import Finished

pytestmark = [pytest.mark.network, pytest.mark.timeout(300)]


def test_mobilenet_passes_its_gate(mobilenet: Finished) -> None:
    assert mobilenet.ran.code == 0, mobilenet.ran
    assert "Traceback" not in mobilenet.ran.stderr
    report = mobilenet.read("report.json")
    assert report["verdict"] == "pass"
    assert report["fidelity"]["n"] == 400
    assert report["fidelity"]["agreement"] >= 0.93
    assert report["size"]["ratio"] <= 0.295
    assert report["artefact"]["float_ops"] == []
    assert report["artefact"]["int8_mac_fraction"] == 1.0
    assert (report["artefact"]["input_dtype"], report["artefact"]["output_dtype"]) == (
        "int8",
        "int8",
    )
    assert report["accuracy"]["top1"]["n"] == 20
    assert report["accuracy"]["top1"]["float"] == 18 / 20
    (hop,) = report["bridges"]
    assert hop["outputs"][0]["sqnr_db"] > 60
    checks = {check["name"]: check for check in report["checks"]}
    assert {"size.ratio", "fidelity.agreement", "latency.host.speedup"} <= set(checks)
    assert any("top-1 on 20 labelled samples is no proof" in note for note in report["notes"])


def test_mobilenet_prints_what_it_found(mobilenet: Finished) -> None:
    printed = mobilenet.ran.stdout
    assert printed.startswith("mobilenet_int8 by litert_static")
    for words in ("size", "host latency, 1 thread", "top1, 20 labelled", "same class", "PASS"):
        assert words in printed
    assert printed.rstrip().endswith("run/")
    assert "\x1b" not in printed + mobilenet.ran.stderr


def test_mobilenet_leaves_the_whole_folder(mobilenet: Finished) -> None:
    assert {path.name for path in mobilenet.folder.iterdir()} >= {
        "model.tflite",
        "model.float.tflite",
        "labels.txt",
        "contract.json",
        "report.json",
        "manifest.json",
    }
    manifest = mobilenet.read("manifest.json")
    for name, entry in manifest["outputs"].items():
        content = (mobilenet.folder / name).read_bytes()
        assert (entry["sha256"], entry["bytes"]) == (
            hashlib.sha256(content).hexdigest(),
            len(content),
        )
    assert manifest["inputs"]["weights"]["sha256"].startswith("b0353104")
    calibration, evaluation = (
        set(manifest["data"][use]["images"].values()) for use in ("calibration", "fidelity")
    )
    assert (len(calibration), len(evaluation)) == (13, 20)
    assert not calibration & evaluation
    labels = (mobilenet.folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert len(labels) == 1000
    assert [path.name for path in mobilenet.folder.parent.iterdir()] == ["run"]


def test_a_second_run_is_cached_says_so_and_gives_the_same_bytes(mobilenet: Finished) -> None:
    home = mobilenet.folder.parent.parent / "again"
    home.mkdir(exist_ok=True)
    arguments = ("--recipe", "mobilenet_int8", "--out", "run", "--force", "--json")
    # The rest is as before; the clock's figures are the only ones that may differ.
    ran = edgekit("quantize", *arguments, cwd=home)
    assert ran.code == 0, ran
    report, before = json.loads(ran.stdout), mobilenet.read("report.json")
    assert report == json.loads((home / "run" / "report.json").read_text(encoding="utf-8"))
    assert [stage["name"] for stage in report["stages"] if stage["cached"]] == [
        "float graph",
        "quantize",
        "reference",
    ]
    for words in ("float graph", "calibration statistics", "reference"):
        assert f"note: {words}: taken from the cache" in ran.stderr
    for key in ("size", "fidelity", "accuracy", "artefact", "data", "bridges"):
        assert report[key] == before[key]
    for name in ("model.tflite", "model.float.tflite", "contract.json", "labels.txt"):
        assert (home / "run" / name).read_bytes() == (mobilenet.folder / name).read_bytes()


@pytest.mark.slow
def test_lite0_passes_its_gate(lite0: Finished) -> None:
    assert lite0.ran.code == 0, lite0.ran
    report = lite0.read("report.json")
    assert report["fidelity"]["agreement"] >= 0.98
    assert report["size"]["ratio"] <= 0.295
    assert report["artefact"]["float_ops"] == []


# An app's view: a bare interpreter and contract.json --------------------------------------------


def test_the_artefact_needs_nothing_but_its_contract(mobilenet: Finished, repository: Path) -> None:
    """Every labelled photo, prepared by hand: as many are right as the report says, and named."""
    from ai_edge_litert.interpreter import Interpreter

    contract = mobilenet.read("contract.json")
    labels = (mobilenet.folder / contract["meaning"]["labels"]).read_text("utf-8").splitlines()
    (given,) = contract["inputs"]
    (answer,) = contract["outputs"]
    assert contract["meaning"]["primary_output"] == answer["name"]
    interpreter = Interpreter(str(mobilenet.folder / "model.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    (fed,), (read) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (fed["dtype"], read[0]["dtype"]) == (np.int8, np.int8)
    assert fed["shape"].tolist() == given["shape"]

    text = (repository / "calibration" / "imagenet_photos.yaml").read_text(encoding="utf-8")
    photos = [entry for entry in yaml.safe_load(text)["images"] if entry["role"] == "eval"]
    seen = []
    for photo in photos:
        tensor = by_hand(fetch(photo["source"], sha256=photo["sha256"]), given["preprocess"])
        stored = np.rint(tensor / np.float32(given["scale"])) + given["zero_point"]
        interpreter.set_tensor(fed["index"], np.clip(stored, -128, 127).astype(np.int8))
        interpreter.invoke()
        scores = interpreter.get_tensor(read[0]["index"])[0]
        real = answer["scale"] * (scores.astype(np.float64) - answer["zero_point"])
        seen.append((labels[photo["label"]], labels[int(real.argmax())]))
        assert real.max() > 3  # logits, not shares of one

    found = mobilenet.read("report.json")["accuracy"]["top1"]
    assert sum(label == name for label, name in seen) == round(found["quantized"] * found["n"])
    assert ("strawberry", "strawberry") in seen
    assert ("bald eagle", "bald eagle") in seen


def by_hand(photo: Path, steps: list[dict[str, Any]]) -> Any:
    """The contract's steps in Pillow and NumPy, written from its words alone."""
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    pixels: Any = None
    for step in steps:
        match step["op"]:
            case "decode":
                assert step["to"] == "RGB8"
            case "resize":
                short, long = sorted(image.size)
                other = int(step["shorter_side"] * long / short)
                size = (step["shorter_side"], other)
                resample = {"bilinear": Image.Resampling.BILINEAR}[step["filter"]]
                image = image.resize(size if image.width <= image.height else size[::-1], resample)
            case "centre_crop":
                left = round((image.width - step["width"]) / 2)
                top = round((image.height - step["height"]) / 2)
                image = image.crop((left, top, left + step["width"], top + step["height"]))
            case "normalise":
                pixels = np.asarray(image).astype(np.float32) / np.float32(step["divisor"])
                pixels = (pixels - np.float32(step["mean"])) / np.float32(step["std"])
            case "layout":
                pixels = pixels[np.newaxis]
                assert list(pixels.shape) == step["shape"]
            case unknown:
                pytest.fail(f"the contract has a step that nobody can know: {unknown}")
    return pixels
