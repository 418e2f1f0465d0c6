"""Samples from functions: every form that is taken, and every mistake told by element."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data import stream
from edgekit.data.dataset import Dataset
from edgekit.data.open import open_dataset
from edgekit.errors import DataError, EdgekitError, MissingError, SourceError, UsageError
from edgekit.progress import SilentProgress
from edgekit.recipe.anchor import names_function
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.types import Role

IMAGE = (InputSpec("x", (1, 4, 6, 3), layout="NHWC"),)
PAIR = (InputSpec("a", (1, 3)), InputSpec("b", (1, 2), "int32"))
ARRAYS = PreprocessSpec(kind="arrays")

HEAD = "import numpy as np\nrng = np.random.default_rng(0)\n"
X = "rng.normal(size=(4, 6, 3)).astype(np.float32)"
AB = "rng.normal(size=3).astype(np.float32), rng.integers(0, 9, 2, dtype=np.int32)"


def opened(
    folder: Path,
    body: str,
    inputs: tuple[InputSpec, ...] = IMAGE,
    role: Role = Role.CALIBRATION,
    samples: int | None = None,
    preprocess: PreprocessSpec = ARRAYS,
    **options: Any,
) -> Dataset:
    """The dataset of ``data.py:samples`` in ``folder``, whose text is ``body``."""
    (folder / "data.py").write_text(HEAD + body, encoding="utf-8")
    return open_dataset(
        "data.py:samples",
        role=role,
        preprocess=preprocess,
        inputs=inputs,
        samples=samples,
        base=folder,
        **options,
    )


@pytest.mark.parametrize(
    "yielded",
    [
        X,
        f"[{X}]",
        f"({X},)",
        f"{{'x': {X}}}",
        f"[{X}[None]]",
        f"{X}[None]",
        f"{X}.astype(np.float64)",
        f"({X}, 5)",
        f"({{'x': {X}}}, np.int64(5))",
        f"([{X}[None]], np.array([5]))",
        f"({X}[None], np.array([[5]]))",
    ],
)
def test_every_form_of_one_sample_is_the_same_sample(tmp_path: Path, yielded: str) -> None:
    body = f"def samples():\n    for _ in range(10):\n        yield {yielded}\n"
    dataset = opened(tmp_path, body)
    expected = np.random.default_rng(0).normal(size=(10, 1, 4, 6, 3)).astype(np.float32)
    found = {sample.id: sample.feeds["x"] for sample in dataset}
    assert len(found) == 5
    for name, value in found.items():
        number = int(name.removeprefix("data.py:samples[").removesuffix("]"))
        np.testing.assert_array_equal(value, expected[number])
        assert value.dtype == np.float32
    label = 5 if "5" in yielded else None
    assert {sample.label for sample in dataset} == {label}
    assert dataset.labelled == (label is not None)


@pytest.mark.parametrize(
    "yielded", [f"({AB})", f"[{AB}]", f"dict(zip('ab', ({AB})))", f"(({AB}), 1)"]
)
def test_two_inputs_in_order_or_by_name(tmp_path: Path, yielded: str) -> None:
    body = f"def samples():\n    for _ in range(8):\n        yield {yielded}\n"
    sample = next(iter(opened(tmp_path, body, PAIR)))
    assert {name: value.shape for name, value in sample.feeds.items()} == {"a": (1, 3), "b": (1, 2)}
    assert sample.feeds["b"].dtype == np.int32
    assert sample.label == (1 if yielded.endswith("1)") else None)


def test_batches_are_taken_apart_with_their_labels(tmp_path: Path) -> None:
    body = (
        "def samples():\n"
        "    x = np.arange(72 * 10, dtype=np.float32).reshape(10, 4, 6, 3)\n"
        "    for start in (0, 4, 8):\n"
        "        yield x[start:start + 4], np.arange(10)[start:start + 4]\n"
    )
    roles = [opened(tmp_path, body, role=role) for role in Role]
    samples = [sample for dataset in roles for sample in dataset]
    assert sorted(sample.label or 0 for sample in samples) == list(range(10))
    assert all(sample.feeds["x"].flat[0] == 72 * (sample.label or 0) for sample in samples)
    assert {len(dataset) for dataset in roles} == {2, 3, 5}
    assert "data.py:samples[2.1]" in {sample.id for sample in samples}


def test_the_same_content_is_the_same_dataset_however_it_comes(tmp_path: Path) -> None:
    def body(call: str, scale: int = 1) -> str:
        x = f"{scale} * rng.normal(size=(9, 4, 6, 3)).astype(np.float32)"
        return f"def samples():\n    x = {x}\n    {call}\n"

    whole = opened(tmp_path, body("return x"))
    apart = opened(tmp_path, body("yield from reversed(x)"))
    other = opened(tmp_path, body("return x", 2))
    assert whole.fingerprint == apart.fingerprint != other.fingerprint
    assert [s.feeds["x"].sum() for s in whole] == [s.feeds["x"].sum() for s in apart]


def test_a_function_that_takes_the_role_is_read_no_further_than_needed(tmp_path: Path) -> None:
    body = (
        "def samples(role):\n"
        "    start = {'calibration': 0, 'dev': 100, 'eval': 200}[role]\n"
        "    for n in range(1000):\n"
        "        assert n < 5\n"
        "        yield np.full((4, 6, 3), start + n, np.float32)\n"
    )
    for role, start in ((Role.CALIBRATION, 0), (Role.DEV, 100), (Role.EVAL, 200)):
        dataset = opened(tmp_path, body, role=role, samples=5)
        assert [sample.feeds["x"][0, 0, 0, 0] for sample in dataset] == [*range(start, start + 5)]


def test_an_endless_stream_is_cut_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "READ_BYTES", 72 * 4 * 20)

    class Told:
        warnings: tuple[str, ...] = ()

        def __getattr__(self, name: str) -> Any:
            return getattr(stream_progress, name)

        def warn(self, message: str) -> None:
            self.warnings += (message,)

    stream_progress, told = SilentProgress(), Told()
    body = f"def samples():\n    while True:\n        yield {X}\n"
    assert len(opened(tmp_path, body, progress=told)) == 10
    assert "cut after 20 samples" in told.warnings[0]


def test_an_endless_stream_of_one_sample_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "READ_SAMPLES", 50)
    body = "def samples():\n    while True:\n        yield np.zeros((4, 6, 3), np.float32)\n"
    said = r"cut after 50 samples \(0 MiB\), 1 of them distinct, too few to give eval any"
    with pytest.raises(DataError, match=said):
        opened(tmp_path, body, role=Role.EVAL)


def test_channels_first_models_are_fed_channels_last(tmp_path: Path) -> None:
    inputs = (InputSpec("x", (1, 3, 4, 6), layout="NCHW"),)
    body = f"def samples():\n    return [np.moveaxis({X}, -1, 0) for _ in range(4)]\n"
    sample = next(iter(opened(tmp_path, body, inputs)))
    assert sample.feeds["x"].shape == (1, 4, 6, 3)


@pytest.mark.parametrize(
    ("yielded", "message", "hint"),
    [
        (f"np.moveaxis({X}, -1, 0)", r"element 2 .*'x' is \[3, 4, 6\]", "channels-first"),
        (f"np.moveaxis({X}, -1, 0)[None]", r"\[1, 3, 4, 6\] but .*\[1, 4, 6, 3\]", "moveaxis"),
        ("np.zeros((5, 6, 3), np.float32)", r"is \[5, 6, 3\] but the model takes", "one sample"),
        ("np.zeros((4, 6, 3), np.uint8)", "is uint8 but the model takes float32", "normalis"),
        ("np.zeros((4, 6, 3), np.int64)", "is int64 but the model takes float32", "scale"),
        ("np.zeros((0, 4, 6, 3), np.float32)", "empty batch", None),
        ("{'y': 1}", "a dict of y, but the model's inputs are x", None),
        (f"[{X}, {X}, {X}]", "holds 3 arrays, but the model has 1", "input order"),
        (f"({X}, np.eye(10)[3])", r"the label is float64 \[10\]", "one-hot"),
        ("'a text'", "which are no numbers", "Ragged"),
        ("np.full((4, 6, 3), np.nan, np.float32)", "'x' holds NaN", "on_broken"),
    ],
)
def test_what_does_not_fit_is_told_by_element(
    tmp_path: Path, yielded: str, message: str, hint: str | None
) -> None:
    body = f"def samples():\n    yield {X}\n    yield {X}\n    yield {yielded}\n"
    with pytest.raises(DataError, match=message) as caught:
        opened(tmp_path, body)
    assert "element 2 of data.py:samples" in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_broken_samples_can_be_skipped_and_are_named(tmp_path: Path) -> None:
    body = (
        f"def samples():\n    yield np.full((4, 6, 3), np.inf)\n    for _ in range(4): yield {X}\n"
    )
    dataset = opened(tmp_path, body, on_broken="skip")
    assert dataset.skipped == ("element 0 of data.py:samples: 'x' holds NaN or infinity",)


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("def samples(): return []", DataError, "yields nothing"),
        ("def samples(): pass", DataError, "returned NoneType, which is no dataset"),
        (f"def samples(): return {{'x': {X}}}", DataError, "returned one dict"),
        ("def other(): pass", SourceError, "has no 'samples'"),
        ("samples = 3", SourceError, "is a int, no function"),
        ("import no_such_package", MissingError, "no module no_such_package"),
        (f"def samples(): yield {X}", DataError, "1 samples, too few to give eval any"),
    ],
)
def test_functions_that_give_no_dataset(
    tmp_path: Path, body: str, error: type[EdgekitError], message: str
) -> None:
    with pytest.raises(error, match=message):
        opened(tmp_path, body, role=Role.EVAL)


def test_what_the_function_raises_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    body = f"def samples():\n    yield {X}\n    raise KeyError('no such picture')\n"
    with pytest.raises(DataError, match="raised after 1 elements: KeyError: 'no such") as caught:
        opened(tmp_path, body)
    assert caught.value.hint == f"at {tmp_path / 'data.py'}:5"


def test_a_function_that_exits_does_not_end_edgekit(tmp_path: Path) -> None:
    body = f"import sys\ndef samples():\n    yield {X}\n    sys.exit(0)\n"
    with pytest.raises(DataError, match=r"^data\.py:samples called sys\.exit\(0\)") as caught:
        opened(tmp_path, body)
    assert str(caught.value.hint).startswith(f"at {tmp_path / 'data.py'}:6;")


def test_images_are_preprocessed_like_files(tmp_path: Path) -> None:
    body = (
        "def samples():\n"
        "    for n in range(10):\n"
        "        yield rng.integers(0, 256, (4, 6, 3), np.uint8), n\n"
    )
    preprocess = PreprocessSpec(divisor=255.0)
    dataset = opened(tmp_path, body, preprocess=preprocess)
    assert dataset.labelled
    for index, sample in enumerate(dataset):
        pixels = dataset.pixels(index)[None].astype(np.float32)
        np.testing.assert_array_equal(sample.feeds["x"], pixels / np.float32(255))


@pytest.mark.parametrize(
    ("yielded", "message"),
    [
        ("np.zeros((4, 6, 3), np.float32)", "is float32"),
        ("np.zeros((3, 4, 6), np.uint8)", "channels-first"),
        ("np.zeros((4, 6, 4), np.uint8)", r"uint8 \[4, 6, 4\]"),
        ("{'a': 1, 'b': 2}", "a dict of a, b"),
    ],
)
def test_what_is_no_image(tmp_path: Path, yielded: str, message: str) -> None:
    with pytest.raises(DataError, match="element 0") as caught:
        opened(tmp_path, f"def samples(): yield {yielded}\n", preprocess=PreprocessSpec())
    assert re.search(message, str(caught.value))


def test_a_function_yields_no_texts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a function"):
        opened(tmp_path, "def samples(): yield 1", preprocess=PreprocessSpec(kind="text"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.py:samples", True),
        ("/some/where/data.py:Class.method", True),
        ("package.module:function", True),
        ("file:photos", False),
        ("fashion_mnist", False),
        ("a/b.npz", False),
        ("data.py", False),
        ("data.py:", False),
    ],
)
def test_what_names_a_function(text: str, expected: bool) -> None:
    assert names_function(text) is expected
