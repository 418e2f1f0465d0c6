"""Samples from a manifest's tables of texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from edgekit.cache import content_key
from edgekit.data.manifest import Manifest
from edgekit.data.manifest_files import short_names
from edgekit.data.rows import FileRows, pick
from edgekit.data.table import LabelledText, Table, read_table
from edgekit.data.tokens import TextTokenizer
from edgekit.errors import DataError, UsageError
from edgekit.fetch import fetch
from edgekit.progress import Progress
from edgekit.types import Array, Role, Sample


@dataclass(frozen=True)
class _Text:
    id: str
    sha256: str
    row: LabelledText


class TextDataset:
    """A ``Dataset`` of texts, tokenized as they are iterated; made by ``open_texts``."""

    def __init__(
        self,
        name: str,
        role: Role,
        texts: Sequence[_Text],
        tokenizer: TextTokenizer,
        skipped: tuple[str, ...],
        repeated: int,
    ):
        self.name = name
        self.role = role
        self.skipped = skipped
        self.repeated = repeated
        self.labelled = all(text.row.label is not None for text in texts)
        self.targeted = False
        self.value_range: tuple[float, float] | None = None
        self.images = {text.id: text.sha256 for text in texts}
        self._texts = texts
        self._tokenizer = tokenizer
        content = "".join(f"{text.sha256} {text.row.label}\n" for text in texts)
        self.fingerprint = content_key(
            {
                "samples": hashlib.sha256(content.encode()).hexdigest(),
                "tokenizer": tokenizer.sha256,
                "max_length": tokenizer.max_length,
                "inputs": tokenizer.inputs,
                "tokenizers": version("tokenizers"),
            }
        )

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.sample, range(len(self)))

    def sample(self, index: int) -> Sample:
        """See ``Dataset.sample``."""
        text = self._texts[index]
        return Sample(text.id, text.id, self._tokenizer.feeds(text.row.text), text.row.label)

    def text(self, index: int) -> str:
        """What sample ``index`` was made from."""
        return self._texts[index].row.text

    def pixels(self, index: int) -> Array:
        """Texts have none; see ``Dataset.pixels``."""
        raise UsageError(f"{self.name} holds texts, which have no pixels")


def open_texts(
    manifest: Manifest,
    role: Role,
    tokenizer: TextTokenizer,
    *,
    samples: int | None,
    on_broken: Literal["error", "skip"],
    progress: Progress,
) -> TextDataset:
    """The texts of ``role``, at most ``samples`` of them: a fair sample, see ``rows.Picked``.

    Raises:
        DataError: a table that is not what the manifest says, or a broken row and ``on_broken`` is
            ``"error"``.
        FetchError, IntegrityError, UsageError: as ``fetch.fetch``.
    """
    names = short_names([item.file for item in manifest.texts])
    tables: list[Table] = []
    files: list[FileRows] = []
    with progress.task(f"Reading the {role.value} texts of {manifest.name}"):
        for item, name in zip(manifest.texts, names, strict=True):
            if not item.roles.concern(role):
                continue
            path = fetch(
                item.file.source, sha256=item.file.sha256, base=manifest.base, progress=progress
            )
            table = read_table(path, item.form, on_broken)
            tables.append(table)
            hashes = [None if row is None else _sha256(row.text) for row in table.rows]
            labels = [None if row is None else row.label for row in table.rows]
            files.append(FileRows(name, hashes, labels, item.roles))
        picked = pick(files, role, samples)
    skipped = tuple(reason for table in tables for reason in table.skipped)
    texts = []
    for file, place in picked.rows:
        row, sha256 = tables[file].rows[place], files[file].hashes[place]
        assert row is not None, "a broken row has no role"
        assert sha256 is not None, "a broken row has no role"
        texts.append(_Text(f"{files[file].name}[{place}]", sha256, row))
    if not texts:
        raise DataError(
            f"{manifest.name} has no text for {role.value}",
            hint=f"Skipped: {'; '.join(skipped[:5])}" if skipped else None,
        )
    return TextDataset(manifest.name, role, texts, tokenizer, skipped, picked.repeated)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
