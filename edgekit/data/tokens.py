"""From a text to token ids: the preprocessing contract of a model that reads text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.cache import file_sha256
from edgekit.errors import DataError, MissingError, UsageError
from edgekit.fetch import fetch
from edgekit.progress import Progress
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.recipe.text_rules import TEXT_INPUTS
from edgekit.types import Feeds

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD_TOKENS = ("[PAD]", "<pad>")
"""What padding is called where a tokenizer.json states none."""


class TextTokenizer:
    """Makes the feeds of ``inputs`` from a text, by the tokenizer.json at ``file``.

    A text is cut to ``max_length`` tokens and padded to the inputs' length, on the sides and with
    the token that the file states; its special tokens are added.

    Raises:
        MissingError: the ``tokenizers`` package is not installed.
        DataError: the file is no tokenizer.
        UsageError: the inputs are not those of a text, or the file states no padding.
    """

    def __init__(self, file: Path, max_length: int | None, inputs: tuple[InputSpec, ...]):
        self.file = file
        self.sha256 = file_sha256(file)
        self.inputs = inputs
        self.length = _length(inputs)
        self.max_length = self.length if max_length is None else max_length
        if self.max_length > self.length:
            raise UsageError(
                f"max_length is {self.max_length}, but the model's inputs are {self.length} long"
            )
        self._tokenizer = _load(file)
        self._special = int(self._tokenizer.num_special_tokens_to_add(False))
        if self.max_length <= self._special:
            raise UsageError(
                f"{self.max_length} tokens leave no room for a text: {file.name} adds "
                f"{self._special} special ones"
            )
        self._cut_at = _cut_side(self._tokenizer)
        self._padding = _padding(self._tokenizer, file)
        self._tokenizer.enable_truncation(self.max_length, direction=self._cut_at)
        self._tokenizer.enable_padding(length=self.length, **self._padding)

    def feeds(self, text: str) -> Feeds:
        """The model's inputs for ``text``, each ``[1, length]`` in its own integer dtype."""
        encoding = self._tokenizer.encode(text)
        values = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        return {spec.name: np.array([values[spec.name]], spec.dtype) for spec in self.inputs}

    def steps(self) -> dict[str, list[dict[str, Any]]]:
        """The contract by input name, in order, in plain values, for ``contract.json``."""
        tokenizer = {"file": self.file.name, "sha256": self.sha256}
        fill = {
            "input_ids": self._padding["pad_id"],
            "attention_mask": 0,
            "token_type_ids": self._padding["pad_type_id"],
        }
        return {
            spec.name: [
                {"op": "tokenize", "tokenizer": tokenizer},
                {"op": "truncate", "to": self.max_length - self._special, "at": self._cut_at},
                {"op": "add_special_tokens", "count": self._special, "gives": spec.name},
                {
                    "op": "pad",
                    "length": self.length,
                    "value": fill[spec.name],
                    "at": self._padding["direction"],
                },
                {"op": "layout", "shape": [1, self.length], "dtype": spec.dtype},
            ]
            for spec in self.inputs
        }


def open_tokenizer(
    preprocess: PreprocessSpec, inputs: tuple[InputSpec, ...], progress: Progress
) -> TextTokenizer:
    """The tokenizer that ``preprocess`` names, fetched and held to its sha256.

    Raises:
        UsageError: it names none; otherwise as ``TextTokenizer`` and ``fetch.fetch``.
    """
    spec = preprocess.tokenizer
    if spec is None:
        raise UsageError(
            "preprocess.kind is 'text' but there is no preprocess.tokenizer",
            hint="Give the tokenizer.json that the model was trained with.",
        )
    file = fetch(spec.source, sha256=spec.sha256, progress=progress)
    return TextTokenizer(file, spec.max_length, inputs)


def _length(inputs: tuple[InputSpec, ...]) -> int:
    shapes = {spec.shape for spec in inputs}
    fits = all(spec.name in TEXT_INPUTS and spec.dtype in ("int32", "int64") for spec in inputs)
    shape = next(iter(shapes), ())
    if not fits or len(shapes) != 1 or len(shape) != 2 or shape[0] != 1:
        have = ", ".join(f"'{spec.name}' {spec.dtype} {list(spec.shape)}" for spec in inputs)
        raise UsageError(
            f"texts feed inputs of one shape [1, length] among {', '.join(TEXT_INPUTS)}, int32 or "
            f"int64; the model takes {have or 'none'}",
            hint="For other inputs give arrays: preprocess.kind: arrays",
        )
    return shape[1]


def _load(file: Path) -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError as cause:
        raise MissingError(
            "texts need the 'tokenizers' package, which is not installed",
            hint="pip install 'edgekit[text]'",
        ) from cause
    try:
        return Tokenizer.from_file(str(file))
    except Exception as cause:  # the package raises plain Exception for whatever is wrong
        raise DataError(
            f"{file} is not a tokenizer: {cause}",
            hint="Give the model's tokenizer.json; a vocab.txt alone does not say how to cut.",
        ) from cause


def _cut_side(tokenizer: Tokenizer) -> str:
    return str((tokenizer.truncation or {}).get("direction", "right"))


def _padding(tokenizer: Tokenizer, file: Path) -> dict[str, Any]:
    """Direction, token and ids of the padding, by the names of ``enable_padding``."""
    stated = tokenizer.padding
    if stated is not None:
        keys = ("direction", "pad_id", "pad_type_id", "pad_token")
        return {key: stated[key] for key in keys}
    for token in PAD_TOKENS:
        number = tokenizer.token_to_id(token)
        if number is not None:
            return {"direction": "right", "pad_id": number, "pad_type_id": 0, "pad_token": token}
    raise UsageError(
        f"{file} states no padding and has no token {' or '.join(PAD_TOKENS)}",
        hint="Call enable_padding(pad_id=..., pad_token=...) on the tokenizer and save it again.",
    )
