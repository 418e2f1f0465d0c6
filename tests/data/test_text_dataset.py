"""Datasets of texts, the shipped movie snippets among them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit.data import check_representative, open_dataset
from edgekit.data.text_dataset import TextDataset
from edgekit.errors import DataError, UsageError
from edgekit.recipe.schema import InputSpec, PreprocessSpec, TokenizerSpec
from edgekit.types import Role

MANIFEST = """\
schema: 1
name: mine
texts:
  - source: reviews.csv
    text_column: review
    label: {column: stars, above: 3}
    licence: mine
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """100 reviews of one to five stars; number 7 is there twice."""
    lines = [f"{row % 5 + 1},w{row % 50} w{row // 50} w{row % 7} w9" for row in range(100)]
    (tmp_path / "reviews.csv").write_text("\n".join(["stars,review", *lines, lines[7]]))
    (tmp_path / "mine.yaml").write_text(MANIFEST)
    return tmp_path


@pytest.fixture
def opened(home: Path, tokenizer_file: Path, text_inputs: tuple[InputSpec, ...]) -> Any:
    def opened(role: Role = Role.CALIBRATION, **changes: Any) -> TextDataset:
        spec = PreprocessSpec(kind="text", tokenizer=TokenizerSpec(str(tokenizer_file)))
        options: dict[str, Any] = {"preprocess": spec, "inputs": text_inputs, "samples": None}
        dataset = open_dataset(str(home / "mine.yaml"), role=role, **{**options, **changes})
        assert isinstance(dataset, TextDataset)
        return dataset

    return opened


def test_texts_are_split_by_content_and_tokenized(opened: Any, home: Path) -> None:
    lines = (home / "reviews.csv").read_text().splitlines()[1:]
    data = {role: opened(role) for role in Role}
    assert [len(set(found.images.values())) for found in data.values()] == [50, 20, 30]
    assert sum(len(found) for found in data.values()) == 101
    for found in data.values():
        assert found.labelled
        assert found.value_range is None
        for index, sample in enumerate(found):
            row = int(sample.id.removeprefix("reviews.csv[").removesuffix("]"))
            stars, text = lines[row].split(",")
            assert found.text(index) == text
            assert sample.label == int(int(stars) > 3)
            expected = [2, *(int(word[1:]) + 4 for word in text.split()), 3]
            assert sample.feeds["input_ids"].tolist() == [expected]
            assert sample.feeds["attention_mask"].tolist() == [[1] * 6]


def test_checks_mind_no_integers_that_are_alike(opened: Any) -> None:
    """Every attention mask here is all ones."""
    names = {finding.name for finding in check_representative(opened(), opened(Role.EVAL))}
    assert names <= {"data.duplicate"}


def test_a_text_in_two_roles_is_left_out_of_the_lesser(opened: Any, home: Path) -> None:
    text = MANIFEST.replace(
        "licence:", "rows: {calibration: [0, 60], eval: [60, 101]}\n    licence:"
    )
    (home / "mine.yaml").write_text(text)
    calibration = opened()
    assert len(calibration) == 59
    assert calibration.repeated == 1
    assert len(opened(Role.EVAL)) == 41
    assert {"data.repeated"} == {finding.name for finding in check_representative(calibration)}


def test_samples_is_a_fair_part(opened: Any) -> None:
    some, every = opened(samples=10), opened()
    assert list(some.images) == list(every.images)[:10]
    share = Counter(sample.label for sample in every)[1] / len(every)
    assert abs(Counter(sample.label for sample in some)[1] - 10 * share) <= 1


def test_a_broken_row_is_fatal_or_skipped(opened: Any, home: Path) -> None:
    with (home / "reviews.csv").open("a") as out:
        out.write("\n4,   \n5,w1\n")
    with pytest.raises(DataError, match=r"reviews\.csv:103: the text is empty"):
        opened()
    found = {role: opened(role, on_broken="skip") for role in Role}
    assert sum(map(len, found.values())) == 102
    assert found[Role.DEV].skipped == ("reviews.csv:103: the text is empty",)
    assert "reviews.csv[102]" in {name for data in found.values() for name in data.images}


def test_without_labels(opened: Any, home: Path) -> None:
    (home / "mine.yaml").write_text(MANIFEST.replace("    label: {column: stars, above: 3}\n", ""))
    data = opened()
    assert not data.labelled
    assert {sample.label for sample in data} == {None}


def test_a_role_without_texts(opened: Any, home: Path) -> None:
    (home / "mine.yaml").write_text(MANIFEST.replace("licence:", "role: eval\n    licence:"))
    with pytest.raises(DataError, match="mine has no text for dev"):
        opened(Role.DEV)


def test_fingerprint_follows_everything(
    opened: Any, home: Path, tokenizer_file: Path, text_inputs: tuple[InputSpec, ...]
) -> None:
    base = opened().fingerprint
    assert opened().fingerprint == base
    shorter = TokenizerSpec(str(tokenizer_file), max_length=5)
    changed = [
        opened(samples=10),
        opened(Role.EVAL),
        opened(preprocess=PreprocessSpec(kind="text", tokenizer=shorter)),
        opened(inputs=tuple(replace(spec, dtype="int32") for spec in text_inputs)),
    ]
    (home / "mine.yaml").write_text(MANIFEST.replace("above: 3", "above: 4"))
    changed.append(opened())
    (home / "mine.yaml").write_text(MANIFEST)
    tokenizer_file.write_text(tokenizer_file.read_text().replace('"w9"', '"w99"'))
    changed.append(opened())
    text = (home / "reviews.csv").read_text()
    (home / "reviews.csv").write_text(text.replace("w9", "w8"))
    changed.append(opened())
    assert len({base, *(data.fingerprint for data in changed)}) == 8


def test_texts_have_no_pixels(opened: Any) -> None:
    with pytest.raises(UsageError, match="no pixels"):
        opened().pixels(0)


def test_kinds_that_do_not_fit(opened: Any, home: Path, tokenizer_file: Path) -> None:
    image = InputSpec("image", (1, 8, 8, 3), layout="NHWC")
    with pytest.raises(UsageError, match=r"lists texts, but preprocess\.kind is 'image'"):
        opened(preprocess=PreprocessSpec(), inputs=(image,))
    (home / "mine.yaml").write_text(
        "schema: 1\nname: m\nimages: [{source: a.png, role: eval, licence: m}]\n"
    )
    with pytest.raises(UsageError, match=r"kind is 'text' but .* lists images"):
        opened()
    spec = PreprocessSpec(kind="text", tokenizer=TokenizerSpec(str(tokenizer_file)))
    inputs = (InputSpec("input_ids", (1, 6), "int64"),)
    with pytest.raises(UsageError, match="not a dataset manifest") as caught:
        open_dataset(
            str(home / "reviews.csv"),
            role=Role.EVAL,
            preprocess=spec,
            inputs=inputs,
            samples=None,
        )
    assert "texts:" in str(caught.value.hint)


@pytest.mark.network
def test_movie_snippets(opened: Any, home: Path, tokenizer_file: Path) -> None:
    spec = PreprocessSpec(kind="text", tokenizer=TokenizerSpec(str(tokenizer_file)))
    inputs = (InputSpec("input_ids", (1, 64), "int64"),)
    data = {
        role: open_dataset(
            "movie_snippets", role=role, preprocess=spec, inputs=inputs, samples=None
        )
        for role in Role
    }
    assert [len(data[role]) for role in Role] == [5303, 2120, 3182]
    labels = Counter(sample.label for found in data.values() for sample in found)
    assert labels == {1: 5242, 0: 5363}
    snippets = data[Role.CALIBRATION]
    assert isinstance(snippets, TextDataset)
    assert all(snippets.text(index).strip() for index in range(100))
