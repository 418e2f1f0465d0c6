"""Each check on representative data, met and not met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data import check_representative, open_dataset
from edgekit.data.dataset import Dataset
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.types import Role


def arrays(tmp_path: Path, values: Any, name: str = "d.npy", **spec: Any) -> Dataset:
    """A calibration set whose rows are ``values`` (float32, split left as it falls)."""
    values = np.asarray(values, np.float32)
    np.save(tmp_path / name, values)
    return open_dataset(
        str(tmp_path / name),
        role=Role.CALIBRATION,
        preprocess=PreprocessSpec(kind="arrays", **spec),
        inputs=(InputSpec("x", (1, *values.shape[1:])),),
        samples=None,
    )


@pytest.fixture
def good() -> Any:
    return np.random.default_rng(0).uniform(0, 1, (60, 8))


def found(dataset: Dataset, evaluation: Dataset | None = None) -> dict[str, str]:
    findings = check_representative(dataset, evaluation)
    assert all(finding.message.endswith((".", "seen.", "see.")) for finding in findings)
    return {finding.name: finding.severity for finding in findings}


def test_good_data_has_no_findings(tmp_path: Path, good: Any) -> None:
    assert found(arrays(tmp_path, good, divisor=255.0)) == {}


def test_few_samples(tmp_path: Path, good: Any) -> None:
    assert found(arrays(tmp_path, good[:10])) == {"count.few": "warning"}


def test_nan_and_infinity_name_their_sample(tmp_path: Path, good: Any) -> None:
    good[:, 3] = np.nan
    good[::2, 3] = np.inf
    dataset = arrays(tmp_path, good)
    (finding,) = check_representative(dataset)
    assert (finding.name, finding.severity) == ("data.nan", "error")
    assert next(iter(dataset)).id in finding.message


def test_range_is_that_of_the_contract(tmp_path: Path, good: Any) -> None:
    good[:, 0] = 1.5
    assert found(arrays(tmp_path, good, divisor=255.0)) == {"data.range": "warning"}
    assert found(arrays(tmp_path, good)) == {}, "no contract is stated"
    assert found(arrays(tmp_path, good, divisor=255.0, mean=(0.5,), std=(0.25,))) == {}


def test_constant_samples(tmp_path: Path, good: Any) -> None:
    good[:, :] = np.arange(60)[:, None]
    assert found(arrays(tmp_path, good)) == {"data.constant": "warning"}


def test_integers_that_are_alike_are_masks_not_mistakes(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", ids=np.arange(480).reshape(60, 8), mask=np.ones((60, 8), int))
    dataset = open_dataset(
        str(tmp_path / "d.npz"),
        role=Role.CALIBRATION,
        preprocess=PreprocessSpec(kind="arrays"),
        inputs=(InputSpec("ids", (1, 8), "int64"), InputSpec("mask", (1, 8), "int64")),
        samples=None,
    )
    assert found(dataset) == {}


def test_flat_uint8_pixels_are_constant(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.full((60, 4, 4, 3), 7, np.uint8))
    dataset = open_dataset(
        str(tmp_path / "d.npy"),
        role=Role.CALIBRATION,
        preprocess=PreprocessSpec(kind="arrays"),
        inputs=(InputSpec("x", (1, 4, 4, 3), "uint8", "NHWC"),),
        samples=None,
    )
    assert found(dataset)["data.constant"] == "warning"


def test_flat_colour_is_constant(tmp_path: Path, make_image: Any) -> None:
    from PIL import Image

    for i in range(20):
        make_image(f"p/calibration/{i}.png", i)
    Image.new("RGB", (40, 40), (10, 200, 30)).save(tmp_path / "p" / "calibration" / "flat.png")
    dataset = open_dataset(
        str(tmp_path / "p"),
        role=Role.CALIBRATION,
        preprocess=_resized(),
        inputs=(InputSpec("x", (1, 8, 8, 3), layout="NHWC"),),
        samples=None,
    )
    (finding,) = check_representative(dataset)
    assert finding.name == "data.constant"
    assert "calibration/flat.png" in finding.message


def _resized() -> PreprocessSpec:
    from edgekit.recipe.schema import ResizeSpec

    return PreprocessSpec(resize=ResizeSpec(width=8, height=8), divisor=255.0)


def test_duplicates_and_few_images(tmp_path: Path, make_image: Any) -> None:
    for i in range(25):
        make_image(f"p/calibration/{i:02}.png", i % 24)
    dataset = open_dataset(
        str(tmp_path / "p"),
        role=Role.CALIBRATION,
        preprocess=_resized(),
        inputs=(InputSpec("x", (1, 8, 8, 3), layout="NHWC"),),
        samples=None,
    )
    (finding,) = check_representative(dataset)
    assert (finding.name, finding.severity) == ("data.duplicate", "warning")
    assert "00.png" in finding.message
    assert "24.png" in finding.message


def test_many_crops_of_few_images(tmp_path: Path, make_image: Any) -> None:
    make_image("a.png", 0)
    make_image("b.png", 1)
    (tmp_path / "m.yaml").write_text(
        "schema: 1\nname: m\ncrops: {calibration: {seed: 0, scale: [0.3, 1], ratio: [1, 1]}}\n"
        "images:\n- {source: a.png, role: calibration, licence: CC0}\n"
        "- {source: b.png, role: calibration, licence: CC0}\n"
    )
    dataset = open_dataset(
        str(tmp_path / "m.yaml"),
        role=Role.CALIBRATION,
        preprocess=_resized(),
        inputs=(InputSpec("x", (1, 8, 8, 3), layout="NHWC"),),
        samples=30,
    )
    assert found(dataset) == {"data.few_images": "warning"}


def test_overlap_with_evaluation(tmp_path: Path, good: Any) -> None:
    calibration = arrays(tmp_path, good)
    other = arrays(tmp_path, good + 0.5, "other.npy")
    assert found(calibration, other) == {}
    (finding,) = check_representative(calibration, arrays(tmp_path, good, "same.npy"))
    assert (finding.name, finding.severity) == ("data.overlap", "error")
    assert "d.npy[" in finding.message
    assert "same.npy[" in finding.message
