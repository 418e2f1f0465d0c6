"""The float model's answers are remembered with the names of the samples they are of."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgekit.cache import Cache
from edgekit.data.open import open_dataset
from edgekit.measure.reference import reference_predictions
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.sources import locate
from edgekit.types import Role
from tests.tiny_runs import write_arrays, write_model, write_recipe


def test_the_same_data_under_another_name_is_answered_under_that_name(tmp_path: Path) -> None:
    write_model(tmp_path)
    write_arrays(tmp_path)
    recipe = load_recipe(str(write_recipe(tmp_path, {})))
    file = Path(recipe.evaluate.dataset)
    file = file if file.is_absolute() else tmp_path / file
    renamed = Path(shutil.copy(file, file.with_name(f"renamed{file.suffix}")))
    progress = SilentProgress()
    source = locate(recipe.model, base=tmp_path, progress=progress)
    cached = []
    for name in (file, renamed, renamed):
        dataset = open_dataset(
            str(name),
            role=Role.EVAL,
            preprocess=recipe.preprocess,
            inputs=recipe.model.inputs,
            samples=4,
        )
        (answers,), from_cache = reference_predictions(
            source, [dataset], threads=1, cache=Cache(tmp_path / "cache"), progress=progress
        )
        assert answers.ids == tuple(sample.id for sample in dataset)
        cached.append(from_cache)
    assert cached == [False, False, True]
