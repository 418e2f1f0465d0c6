"""Labels in their three forms, and refused in any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.errors import DataError, IntegrityError
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import LabelsSpec
from edgekit.runs.labels import Labels, check_label_count, load_labels


def load(file: Path, content: str | bytes, sha256: str | None = None) -> Labels:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_labels(LabelsSpec(f"file:{file}", sha256), SilentProgress())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "cat\ndog\n\nbird"),
        ("labels.txt", "\ufeffcat\r\n dog \r\nbird\r\n"),
        ("labels.json", '["cat", "dog", "bird"]'),
        ("labels.json", '{"2": "bird", "0": "cat", "1": "dog"}'),
    ],
)
def test_the_three_forms(tmp_path: Path, name: str, content: str) -> None:
    assert load(tmp_path / name, content) == Labels(tmp_path / name, ("cat", "dog", "bird"))


def test_every_name_is_one_line(tmp_path: Path) -> None:
    names = ["tench,\nTinca", "a\r\nb", "c\u2028d", "plain  words"]
    found = load(tmp_path / "labels.json", json.dumps(names)).names
    assert found == ("tench, Tinca", "a b", "c d", "plain words")
    assert "\n".join(found).splitlines() == list(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"0": "cat", "2": "dog"}', "neither a list of names"),
        ('{"cat": 0}', "neither a list of names"),
        ('["cat", 1]', "neither a list of names"),
        ('"cat"', "neither a list of names"),
        ('["cat",\n"dog"', r"labels\.json:2: "),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        load(tmp_path / "labels.json", content)
    assert "labels.json" in caught.value.message


def test_a_file_that_is_not_the_promised_one(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        load(tmp_path / "labels.txt", "cat", sha256="0" * 64)


def test_the_count_is_the_models() -> None:
    labels = Labels(Path("imagenet.txt"), ("background", "cat", "dog"))
    check_label_count(labels, 3)
    with pytest.raises(DataError, match=r"imagenet.txt has 3 labels .* 2 classes") as caught:
        check_label_count(labels, 2)
    assert "background" in (caught.value.hint or "")
