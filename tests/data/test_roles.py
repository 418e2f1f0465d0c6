"""The dev samples of a run: how many, and which."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from edgekit.data.dataset import Dataset
from edgekit.data.open import open_dataset
from edgekit.data.roles import DEV_SAMPLES, DEV_WHOLE_SAMPLES, RunData, open_run_data
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.types import Role
from tests import tflite_models as models
from tests.tiny_runs import IMAGES, write_arrays, write_model, write_photos, write_recipe


def opened(folder: Path, *changes: dict[str, object]) -> tuple[Recipe, RunData]:
    write_model(folder)
    recipe = load_recipe(str(write_recipe(folder, *changes)))
    return recipe, open_run_data(recipe, SilentProgress())


def write_manifest(folder: Path) -> Path:
    """Twelve photos, four a role, each cropped where more samples are asked for."""
    photos = sorted(write_photos(folder, 12).iterdir())
    entries = [
        {
            "source": f"file:photos/{photo.name}",
            "sha256": hashlib.sha256(photo.read_bytes()).hexdigest(),
            "role": role.value,
            "licence": "CC0",
            "credit": "noise",
        }
        for photo, role in zip(photos, list(Role) * 4, strict=True)
    ]
    rule = {"scale": [0.35, 1.0], "ratio": [0.75, 1.3333]}
    crops = {role.value: {"seed": seed, **rule} for seed, role in enumerate(Role)}
    file = folder / "photos.yaml"
    file.write_text(
        yaml.safe_dump(
            {"schema": 1, "name": "photos", "summary": "", "crops": crops, "images": entries}
        )
    )
    return file


def ids(dataset: Dataset) -> list[str]:
    return [sample.id for sample in dataset]


def test_rows_are_taken_whole_up_to_a_limit(tmp_path: Path) -> None:
    write_arrays(tmp_path, rows=6000)
    _, data = opened(tmp_path)
    assert len(data.open_dev()) == DEV_WHOLE_SAMPLES
    write_arrays(tmp_path, rows=100)
    _, data = opened(tmp_path)
    assert len(data.open_dev()) == 20  # all there are


def test_crops_of_few_photos_are_those_that_were_always_taken(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    named: dict[str, object] = {"dataset": "photos.yaml"}
    recipe, data = opened(tmp_path, IMAGES, {"calibration": named, "evaluate": named})
    dev = data.open_dev()
    assert (len(dev), len(dev.images)) == (DEV_SAMPLES, 4)
    plain = open_dataset(
        recipe.evaluate.dataset,
        role=Role.DEV,
        preprocess=recipe.preprocess,
        inputs=recipe.model.inputs,
        samples=DEV_SAMPLES,
    )
    assert ids(dev) == ids(plain)
    assert dev.fingerprint == plain.fingerprint


def test_as_many_whole_photos_are_better_than_crops(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (1500, 8, 8, 3), np.uint8)
    np.save(tmp_path / "images.npy", images)
    named: dict[str, object] = {"dataset": "images.npy"}
    _, data = opened(tmp_path, IMAGES, {"calibration": named, "evaluate": named})
    dev = data.open_dev()
    assert (len(dev), len(dev.images)) == (300, 300)
    assert next(iter(dev)).feeds["x"].shape == models.INPUT_SHAPE


def test_dev_is_among_what_was_used_once_it_is_opened(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    _, data = opened(tmp_path)
    assert "dev" not in data.by_use
    assert list(replace(data, dev=data.open_dev()).by_use) == [
        "calibration",
        "fidelity",
        "labelled",
        "dev",
    ]


SEEDED = "def samples({role}):\n    rng = np.random.default_rng({seed})\n"
YIELDS = (
    "    for _ in range({count}):\n        yield rng.normal(size=(4, 4, 3)).astype(np.float32)\n"
)


def write_function(folder: Path, name: str, *, seed: str, role: str = "", count: int = 60) -> str:
    text = "import numpy as np\n" + SEEDED.format(role=role, seed=seed) + YIELDS.format(count=count)
    (folder / f"{name}.py").write_text(text)
    return f"{name}.py:samples"


def unseeded(data: RunData) -> list[str]:
    return [found.message for found in data.findings if found.name == "data.unseeded"]


def test_a_function_that_nobody_seeded_is_told(tmp_path: Path) -> None:
    named: dict[str, object] = {"dataset": write_function(tmp_path, "drawn", seed="")}
    _, data = opened(tmp_path, {"calibration": named, "evaluate": {**named, "labelled": False}})
    (message,) = unseeded(data)
    assert message.startswith("drawn.py:samples yields other samples")


def test_a_function_that_is_seeded_is_not(tmp_path: Path) -> None:
    for role, seed in (("", "0"), ("role", "len(role)")):  # by role: each has samples of its own
        named: dict[str, object] = {"dataset": write_function(tmp_path, "s", seed=seed, role=role)}
        _, data = opened(tmp_path, {"calibration": named, "evaluate": {**named, "labelled": False}})
        assert data.findings == ()


def test_other_data_to_choose_on_than_to_judge_on_is_told_when_it_is_opened(
    tmp_path: Path,
) -> None:
    class Told(SilentProgress):
        warnings: tuple[str, ...] = ()

        def warn(self, message: str) -> None:
            self.warnings += (message,)

    write_model(tmp_path)
    seeded = write_function(tmp_path, "seeded", seed="0")
    drawn = write_function(tmp_path, "drawn", seed="")
    changes = {"calibration": {"dataset": seeded}, "evaluate": {"dataset": drawn}}
    told = Told()
    data = open_run_data(load_recipe(str(write_recipe(tmp_path, changes))), told)
    assert (unseeded(data), told.warnings) == ([], ())
    data.open_dev()
    (warning,) = set(told.warnings)
    assert warning.startswith("data.unseeded: drawn.py:samples yields other samples")
