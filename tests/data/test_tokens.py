"""From a text to a model's inputs, and tokenizers that cannot do it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data.tokens import TextTokenizer, open_tokenizer
from edgekit.errors import DataError, IntegrityError, MissingError, UsageError
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, PreprocessSpec, TokenizerSpec

Inputs = tuple[InputSpec, ...]


def changed(file: Path, tmp_path: Path, **changes: Any) -> Path:
    """A copy of a tokenizer.json with other keys."""
    path = tmp_path / "changed.json"
    path.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return path


def ids(tokenizer: TextTokenizer, text: str) -> list[int]:
    return [int(number) for number in tokenizer.feeds(text)["input_ids"][0]]


def test_padded_and_cut_to_the_input(tokenizer_file: Path, text_inputs: Inputs) -> None:
    tokenizer = TextTokenizer(tokenizer_file, None, text_inputs)
    feeds = tokenizer.feeds("w0 w1 nothing")
    assert feeds["input_ids"].tolist() == [[2, 4, 5, 1, 3, 0]]
    assert feeds["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0]]
    assert feeds["input_ids"].dtype == np.int64
    assert feeds["attention_mask"].dtype == np.int32
    assert set(feeds) == {"input_ids", "attention_mask"}
    assert ids(tokenizer, " ".join(f"w{n}" for n in range(9))) == [2, 4, 5, 6, 7, 3]
    assert ids(tokenizer, "") == [2, 3, 0, 0, 0, 0]


def test_max_length_cuts_shorter_than_the_input(tokenizer_file: Path, text_inputs: Inputs) -> None:
    tokenizer = TextTokenizer(tokenizer_file, 4, text_inputs)
    assert ids(tokenizer, "w0 w1 w2 w3") == [2, 4, 5, 3, 0, 0]


def test_sides_and_padding_are_the_files_own(
    tokenizer_file: Path, text_inputs: Inputs, tmp_path: Path
) -> None:
    padding = {
        "strategy": {"Fixed": 99},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 9,
        "pad_type_id": 1,
        "pad_token": "w5",
    }
    truncation = {
        "direction": "Left",
        "max_length": 99,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    file = changed(tokenizer_file, tmp_path, padding=padding, truncation=truncation)
    types = InputSpec("token_type_ids", (1, 6), "int64")
    tokenizer = TextTokenizer(file, None, (*text_inputs, types))
    assert ids(tokenizer, "w0") == [9, 9, 9, 2, 4, 3]
    assert tokenizer.feeds("w0")["token_type_ids"].tolist() == [[1, 1, 1, 0, 0, 0]]
    assert ids(tokenizer, "w0 w1 w2 w3 w4") == [2, 5, 6, 7, 8, 3]
    steps = tokenizer.steps()["token_type_ids"]
    assert {"op": "pad", "length": 6, "value": 1, "at": "left"} in steps
    assert {"op": "truncate", "to": 4, "at": "left"} in steps


def test_the_contract_can_be_carried_out_by_its_steps(
    tokenizer_file: Path, text_inputs: Inputs
) -> None:
    """As an app would: the tokens of the bare file, cut, framed and padded by hand."""
    from tokenizers import Tokenizer

    tokenizer = TextTokenizer(tokenizer_file, 5, text_inputs)
    bare = Tokenizer.from_file(str(tokenizer_file))
    for text in ("", "w0", "w3 w4 x w5 w6 w7"):
        for name, steps in tokenizer.steps().items():
            tokenize, cut, framed, pad, layout = steps
            assert tokenize["tokenizer"]["sha256"] == tokenizer.sha256
            assert tokenize["tokenizer"]["file"] == "tokenizer.json"
            plain = bare.encode(text, add_special_tokens=False).ids[: cut["to"]]
            whole = [2, *plain, 3]
            assert framed["count"] == 2
            values = whole if framed["gives"] == "input_ids" else [1] * len(whole)
            values = values + [pad["value"]] * (pad["length"] - len(values))
            feed = tokenizer.feeds(text)[name]
            assert [values] == feed.tolist()
            assert layout == {
                "op": "layout",
                "shape": list(feed.shape),
                "dtype": feed.dtype.name,
            }


def test_no_padding_is_not_guessed(
    tokenizer_file: Path, text_inputs: Inputs, tmp_path: Path
) -> None:
    text = tokenizer_file.read_text()
    (tmp_path / "t.json").write_text(text.replace("[PAD]", "<pad>"))
    assert ids(TextTokenizer(tmp_path / "t.json", None, text_inputs), "w0") == [2, 4, 3, 0, 0, 0]
    (tmp_path / "t.json").write_text(text.replace("[PAD]", "nothing"))
    with pytest.raises(UsageError, match="states no padding") as caught:
        TextTokenizer(tmp_path / "t.json", None, text_inputs)
    assert "enable_padding" in str(caught.value.hint)


@pytest.mark.parametrize("content", ["", "not json", "{}", '{"version": "1.0"}', "[PAD]\nw0\n"])
def test_not_a_tokenizer(tmp_path: Path, text_inputs: Inputs, content: str) -> None:
    (tmp_path / "vocab.txt").write_text(content)
    with pytest.raises(DataError, match=r"vocab\.txt is not a tokenizer") as caught:
        TextTokenizer(tmp_path / "vocab.txt", None, text_inputs)
    assert "tokenizer.json" in str(caught.value.hint)


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (InputSpec("x", (1, 6), "int64"),),
        (InputSpec("input_ids", (1, 6), "float32"),),
        (InputSpec("input_ids", (2, 6), "int64"),),
        (InputSpec("input_ids", (6,), "int64"),),
        (InputSpec("input_ids", (1, 6), "int64"), InputSpec("attention_mask", (1, 7), "int64")),
    ],
)
def test_inputs_that_take_no_tokens(tokenizer_file: Path, inputs: Inputs) -> None:
    with pytest.raises(UsageError, match="texts feed inputs of one shape"):
        TextTokenizer(tokenizer_file, None, inputs)


@pytest.mark.parametrize(
    ("max_length", "why"), [(7, "inputs are 6 long"), (2, "no room for a text.*2 special")]
)
def test_lengths_that_do_not_fit(
    tokenizer_file: Path, text_inputs: Inputs, max_length: int, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        TextTokenizer(tokenizer_file, max_length, text_inputs)


def test_the_file_is_held_to_its_hash(tokenizer_file: Path, text_inputs: Inputs) -> None:
    spec = TokenizerSpec(str(tokenizer_file), "0" * 64)
    with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        open_tokenizer(PreprocessSpec(kind="text", tokenizer=spec), text_inputs, SilentProgress())
    right = replace(spec, sha256=None, max_length=5)
    opened = open_tokenizer(
        PreprocessSpec(kind="text", tokenizer=right), text_inputs, SilentProgress()
    )
    assert opened.max_length == 5


def test_without_a_tokenizer_or_its_package(
    tokenizer_file: Path, text_inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"no preprocess\.tokenizer"):
        open_tokenizer(PreprocessSpec(kind="text"), text_inputs, SilentProgress())
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingError, match="'tokenizers' package") as caught:
        TextTokenizer(tokenizer_file, None, text_inputs)
    assert "pip install 'edgekit[text]'" in str(caught.value.hint)
