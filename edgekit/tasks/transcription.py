"""Sequences of tokens: class scores per step [N, T, classes] or token ids [N, T]."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial

import numpy as np

from edgekit.errors import DataError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.tally import RatioTally, targets_of
from edgekit.tasks.task import Metric, Tally
from edgekit.types import Array


class Transcription:
    """How far what was read or heard is from what was written or said."""

    name = "transcription"
    classification = False


def wer(ctc_blank: int | None = None, word_separator: int | None = None) -> Metric:
    """Word error rate: insertions, deletions and substitutions that turn the answers into the
    targets, over the words of the targets, summed over samples. It may exceed 1.

    ``ctc_blank`` decodes scores greedily (A. Graves et al., ICML 2006): the best class of each
    step, repetitions merged, blanks dropped. Words are the tokens between ``word_separator``;
    without one each token is a word. Tokens below 0 are padding.
    """
    return Metric("wer", False, 0.0, None, partial(_wer, ctc_blank, word_separator), swing=1.0)


def _wer(
    ctc_blank: int | None, word_separator: int | None, predictions: Predictions, primary: str
) -> Tally:
    targets = targets_of(predictions, "wer")
    if targets.ndim != 2 or targets.dtype.kind not in "iu":
        raise DataError(
            f"targets of transcription are token ids [N, length], not {targets.dtype} "
            f"{list(targets.shape)}",
            hint="Pad shorter ones with -1.",
        )
    output = predictions.outputs[primary]
    edits, lengths = np.zeros(len(targets)), np.zeros(len(targets))
    for place, (answer, target) in enumerate(zip(output, targets, strict=True)):
        said = _words(_tokens(answer, ctc_blank, primary), word_separator)
        meant = _words(target.tolist(), word_separator)
        edits[place], lengths[place] = edit_distance(said, meant), len(meant)
    if not lengths.any():
        raise DataError("no target holds a word, so nothing can be said of those that were missed")
    return RatioTally(edits, lengths)


def edit_distance(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Levenshtein's: the fewest insertions, deletions and substitutions from one to the other."""
    row = list(range(len(second) + 1))
    for done, one in enumerate(first, 1):
        corner, row[0] = row[0], done
        for place, other in enumerate(second, 1):
            corner, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, corner + (one != other)),
            )
    return row[-1]


def _tokens(answer: Array, ctc_blank: int | None, primary: str) -> list[int]:
    if ctc_blank is None:
        ids = answer.reshape(-1).astype(np.int64)
        if max(answer.shape, default=1) != answer.size or (ids != answer.reshape(-1)).any():
            raise DataError(
                f"output {primary}, {list(answer.shape)} per sample, holds no token ids",
                hint="For scores [T, classes] of a model trained with CTC: evaluate.ctc_blank.",
            )
        found: list[int] = ids.tolist()
        return found
    steps = answer.reshape(answer.shape[-2:]) if answer.ndim > 2 and len(answer) == 1 else answer
    if steps.ndim != 2 or not ctc_blank < steps.shape[1]:
        raise DataError(
            f"output {primary} is {list(answer.shape)} per sample; CTC takes scores [T, classes], "
            f"of which {ctc_blank} is the blank",
            hint="See evaluate.ctc_blank; without it the output holds token ids.",
        )
    best = steps.argmax(axis=1)
    changes = np.append(True, best[1:] != best[:-1])
    merged: list[int] = best[changes & (best != ctc_blank)].tolist()
    return merged


def _words(tokens: list[int], separator: int | None) -> list[tuple[int, ...]]:
    kept = [token for token in tokens if token >= 0]
    if separator is None:
        return [(token,) for token in kept]
    words: list[tuple[int, ...]] = []
    word: list[int] = []
    for token in [*kept, separator]:
        if token != separator:
            word.append(token)
        elif word:
            words.append(tuple(word))
            word = []
    return words
