"""The benchmark of damaged artefacts: what each damage does, and what the gate makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.damage.files import DAMAGES, damaged, layers
from benchmarks.damage.plot import plot
from benchmarks.damage.table import bin_of, in_bins, tables
from benchmarks.damage.verdicts import answers_of, with_batch
from edgekit.cache import Cache
from edgekit.gate.check import Verdict
from edgekit.pipeline import judge_model, quantize
from edgekit.recipe import load_recipe
from edgekit.report.report import Report
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.predict import predict
from edgekit.tflite import flatbuffer
from edgekit.types import Array
from edgekit.zoo.train_fashion_keras import PREPROCESS
from tests import tflite_models as models
from tests.int8_models import quantized, random_samples
from tests.tiny_runs import write_arrays, write_model, write_recipe

LIMITS: dict[str, Any] = {
    "gate": {"agreement_min": 0.95, "top1_drop_max": 0.05, "sqnr_db_min": 20},
    "evaluate": {"samples": 300},
    "latency": {"enabled": False},
}


@pytest.fixture(scope="module")
def undamaged() -> bytes:
    return quantized(models.float_model())


def real(data: bytes) -> list[tuple[Array, Array]]:
    """Of each layer, the weights and biases that a file stands for."""
    found = []
    for layer in layers(flatbuffer.unpack(data)):
        scales = layer.scales * float(layer.input.quantization.scale[0])
        found.append((layer.values * layer.along(layer.scales), layer.biases * scales))
    return found


@pytest.mark.parametrize("name", DAMAGES)
def test_no_severity_is_no_damage_and_a_seed_gives_the_same_file(
    undamaged: bytes, name: str
) -> None:
    assert damaged(undamaged, name, 0, seed=3) is undamaged
    most = DAMAGES[name].severities[-1]
    once = damaged(undamaged, name, min(most, 100), seed=3)
    assert once == damaged(undamaged, name, min(most, 100), seed=3)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_runs_and_answers_otherwise(undamaged: bytes, name: str) -> None:
    samples = random_samples(undamaged, 20)
    with LiteRTSession(undamaged) as session:
        before = predict(session, samples).outputs["scores"]
    content = damaged(undamaged, name, min(DAMAGES[name].severities[-1], 100), seed=1)
    with LiteRTSession(content) as session:
        after = predict(session, samples).outputs["scores"]
    assert np.isfinite(after).all()
    assert not np.array_equal(before, after)


def test_per_tensor_weights_have_one_scale_and_are_what_they_were_but_for_rounding(
    undamaged: bytes,
) -> None:
    content = damaged(undamaged, "per-tensor weights", 1, 0)
    pairs = zip(real(undamaged), real(content), layers(flatbuffer.unpack(content)), strict=True)
    for (before, _), (after, _), layer in pairs:
        assert len(set(layer.scales)) == 1
        assert np.abs(before - after).max() <= layer.scales[0] / 2 * 1.001


def test_a_scale_that_is_off_moves_the_weights_of_one_layer_and_no_bias(undamaged: bytes) -> None:
    content = damaged(undamaged, "one layer's scale off", 0.5, 0)
    ratios = []
    for (before, bias), (after, still) in zip(real(undamaged), real(content), strict=True):
        ratios.append(float(np.abs(after).sum() / np.abs(before).sum()))
        np.testing.assert_allclose(still, bias, atol=1e-3)
    assert sorted(np.round(ratios, 3)) == [1.0, 1.5]


def test_so_many_bits_are_flipped_each_in_a_weight_of_its_own(undamaged: bytes) -> None:
    content = damaged(undamaged, "flipped bits", 7, 0)
    before, after = (
        np.concatenate([layer.values.astype(np.int8).ravel() for layer in layers(model)])
        for model in map(flatbuffer.unpack, (undamaged, content))
    )
    flips = np.bitwise_count((before ^ after).view(np.uint8))
    assert (int((flips == 1).sum()), int(flips.max())) == (7, 1)


def test_swapped_labels_are_the_same_scores_in_another_order(undamaged: bytes) -> None:
    samples = random_samples(undamaged, 20)
    found = []
    for content in (undamaged, damaged(undamaged, "labels swapped", 0.4, 0)):
        with LiteRTSession(content) as session:
            found.append(predict(session, samples).outputs["scores"])
    before, after = found
    assert sum(not np.array_equal(a, b) for a, b in zip(before.T, after.T, strict=True)) == 2
    np.testing.assert_array_equal(np.sort(before, axis=1), np.sort(after, axis=1))


@pytest.mark.parametrize(
    ("name", "severity", "pixel", "becomes"),
    [
        ("polarity inverted", 1.0, 0.2, 0.8),
        ("polarity inverted", 0.25, 0.2, 0.35),
    ],
)
def test_a_fold_is_another_pixel(
    undamaged: bytes, name: str, severity: float, pixel: float, becomes: float
) -> None:
    """What the first layer makes of a picture of one tone, in its middle."""
    (weights, bias), *_ = real(undamaged)
    (folded, other), *_ = real(damaged(undamaged, name, severity, 0))
    shown, wanted = ((value - PREPROCESS.mean[0]) / PREPROCESS.std[0] for value in (pixel, becomes))
    np.testing.assert_allclose(
        folded.sum(axis=(1, 2, 3)) * shown + other,
        weights.sum(axis=(1, 2, 3)) * wanted + bias,
        atol=2e-3,
    )


def test_a_normalisation_that_is_wrong_is_that_of_another_mean_and_deviation(
    undamaged: bytes,
) -> None:
    (weights, bias), *_ = real(undamaged)
    sums = weights.sum(axis=(1, 2, 3))
    mean, std = PREPROCESS.mean[0], PREPROCESS.std[0]
    wanted = [
        sums * (0.2 - mean * of_mean) / (std * of_std) + bias
        for of_mean in (1.3, 1 / 1.3)
        for of_std in (1.3, 1 / 1.3)
    ]
    for seed in range(4):
        (folded, other), *_ = real(damaged(undamaged, "normalisation wrong", 0.3, seed))
        found = folded.sum(axis=(1, 2, 3)) * (0.2 - mean) / std + other
        assert min(np.abs(found - each).max() for each in wanted) < 2e-3


def test_the_damages_are_of_the_recipes_normalisation() -> None:
    assert load_recipe("fashion_int8").preprocess == PREPROCESS


def test_many_pictures_at_a_time_get_the_same_answers(undamaged: bytes) -> None:
    samples = random_samples(undamaged, 23)
    with LiteRTSession(undamaged) as session:
        one_by_one = predict(session, samples).outputs["scores"]
    assert LiteRTSession(with_batch(undamaged, 10)).info.inputs[0].shape[0] == 10
    np.testing.assert_array_equal(answers_of(undamaged, samples).outputs["scores"], one_by_one)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in ``run`` of a recipe that 960 samples decide."""
    folder = tmp_path_factory.mktemp("damage")
    write_model(folder)
    write_arrays(folder, 3200)
    recipe = write_recipe(folder, LIMITS)
    report = quantize(str(recipe), out=folder / "run", cache=Cache(folder / "cache"))
    assert report.verdict is Verdict.PASS, report.checks
    return folder


def judged(home: Path, content: bytes) -> Report:
    file = home / "judged.tflite"
    file.write_bytes(content)
    out, cache = home / "judged", Cache(home / "cache")
    return judge_model(file, str(home / "recipe.yaml"), out=out, force=True, cache=cache)


@pytest.mark.parametrize(
    ("name", "severity", "check"),
    [
        ("per-tensor weights", 64, "fidelity.sqnr_db"),
        ("one layer's scale off", 1.0, "fidelity.sqnr_db"),
        ("labels swapped", 0.4, "accuracy.top1.drop"),
        ("normalisation wrong", 1.0, "fidelity.sqnr_db"),
    ],
)
def test_the_gate_fails_what_is_damaged(home: Path, name: str, severity: float, check: str) -> None:
    whole = (home / "run" / "model.tflite").read_bytes()
    report = judged(home, damaged(whole, name, severity, seed=0))
    assert (report.verdict, report.exit_code) == (Verdict.FAIL, 1)
    assert check in {each.name for each in report.checks if each.status == "fail"}


ROW = {
    "severity": 1,
    "seed": 0,
    "lost": 0.001,
    "kept": 0.99,
    "failed": [],
    "verdicts": {"200": ["pass"], "100": ["pass", "inconclusive"]},
    "accuracy": {"200": ["pass"], "100": ["inconclusive", "inconclusive"]},
    "redrawn": {"200": ["pass", "pass"], "100": ["pass", "fail"]},
}
FOUND = {
    "rows": [
        {**ROW, "name": "undamaged", "severity": 0},
        {**ROW, "name": "zero point off"},
        {**ROW, "name": "zero point off", "seed": 1},  # the same file
        {
            **ROW,
            "name": "labels swapped",
            "lost": 0.3,
            "verdicts": {"200": ["fail"], "100": ["fail", "fail"]},
            "accuracy": {"200": ["fail"], "100": ["fail", "fail"]},
            "redrawn": {"200": [], "100": []},
        },
    ],
    "unseen": [{"mistake": "none", "float_top1": 0.9, "top1": 0.89, "verdict": "pass"}],
}


def test_the_tables_say_what_was_measured() -> None:
    lines = tables(FOUND).splitlines()
    assert "| below 0.25 | 2 | 0 / 0 / 100 | 0 / 50 / 50 |" in lines  # the seeds' file once
    assert "| 20 and more | 1 | 100 / 0 / 0 | 100 / 0 / 0 |" in lines
    assert "| below 0.25 | 2 | 0 / 0 / 100 | 0 / 100 / 0 |" in lines  # accuracy alone
    assert "| all 200 | 1 | 1 | 0 | 0 | 0.0% [0.0%, 97.5%] |" in lines
    assert "| 100, redrawn | 2 | 1 | 0 | 1 | 50.0% [1.3%, 98.7%] |" in lines
    assert "| none | 90.0 | 89.0 | pass |" in lines


def test_bins_hold_their_lower_ends() -> None:
    places = [bin_of({"lost": lost}) for lost in (-0.01, 0.0024, 0.0025, 0.0049, 0.199, 0.2, 1)]
    assert places == [0, 0, 1, 1, 5, 6, 6]
    assert [len(files) for files in in_bins(FOUND["rows"])] == [2, 0, 0, 0, 0, 0, 1]


def test_the_plot_is_an_svg_whose_bars_fill_their_panels() -> None:
    tree = ElementTree.fromstring(plot(FOUND))
    bars = [each for each in tree.iter() if each.tag.endswith("rect") and len(each)]
    assert len(bars) == 2 * 2 * 2 * 3  # rows, numbers of pictures, bins, words
    heights: dict[tuple[str, str], float] = {}
    for place, bar in enumerate(bars):
        key = (bar.attrib["x"], str(place // 3))
        heights[key] = heights.get(key, 0) + float(bar.attrib["height"])
    assert set(np.round(list(heights.values()), 1)) == {150.0}
