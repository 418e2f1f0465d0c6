"""tf.data.Dataset as a source of samples: the real thing, its tensors and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.data.open import open_dataset
from edgekit.errors import DataError
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.types import Role

pytest.importorskip("tensorflow")

CODE = """\
import numpy as np
import tensorflow as tf

x = np.random.default_rng(0).normal(size=(12, 4, 6, 3)).astype(np.float32)
labels = np.arange(12)

def whole():
    return tf.data.Dataset.from_tensor_slices((x, labels))

def batched():
    return tf.data.Dataset.from_tensor_slices(({"x": x}, labels)).batch(5)

def ragged():
    return tf.data.Dataset.from_tensors(tf.ragged.constant([[1.0, 2.0], [3.0]]))

def raising():
    def generate():
        yield x[0]
        raise ValueError("no such picture")
    return tf.data.Dataset.from_generator(generate, output_types=tf.float32)
"""


def test_tf_data_in_all_its_ways(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One test, since importing TensorFlow takes seconds."""
    (tmp_path / "data.py").write_text(CODE, encoding="utf-8")

    def opened(name: str) -> list[tuple[int | None, float]]:
        dataset = open_dataset(
            f"data.py:{name}",
            role=Role.CALIBRATION,
            preprocess=PreprocessSpec(kind="arrays"),
            inputs=(InputSpec("x", (1, 4, 6, 3), layout="NHWC"),),
            samples=None,
            base=tmp_path,
        )
        return [(sample.label, float(sample.feeds["x"].sum())) for sample in dataset]

    assert len(opened("whole")) == 7
    assert opened("whole") == opened("batched")
    with pytest.raises(DataError, match=r"element 0 of data\.py:ragged"):
        opened("ragged")
    with pytest.raises(DataError, match=r"raised after 1 elements: .*no such picture") as caught:
        opened("raising")
    assert f"{tmp_path / 'data.py'}:" in (caught.value.hint or "")
    assert capfd.readouterr() == ("", "")
