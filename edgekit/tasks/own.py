"""A metric of the user's own: a Python function of answers and what they should have been."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from edgekit.capture import captured_output
from edgekit.errors import DataError, EdgekitError
from edgekit.recipe.metric_rules import own_name
from edgekit.runtimes.predict import Predictions
from edgekit.sources.factory import (
    Factory,
    exit_told,
    importable,
    locate_function,
    users_line,
)
from edgekit.tasks.tally import MeanTally
from edgekit.tasks.task import Metric, Tally
from edgekit.types import Array

KEY = "evaluate.metric"
_FORM = "Return one number, or an array of one score a sample."


@dataclass(frozen=True)
class WholeTally:
    """A function that gives one figure for all samples: of resamples it is asked anew, for which
    samples are repeated as often as they count."""

    figure: Callable[[Array], float]
    """Of the places of samples, int64 [any]."""
    n: int

    @property
    def contributions(self) -> Array | None:
        return None

    @property
    def groups(self) -> Sequence[int]:
        return (self.n,)

    @property
    def classes(self) -> Mapping[str, Tally]:
        return {}

    def value(self, weights: Array | None = None) -> float:
        places = np.arange(self.n)
        return self.figure(places if weights is None else np.repeat(places, weights.astype(int)))


def own_metric(text: str, *, higher_is_better: bool) -> Metric:
    """The function that ``text`` names; it is found now, and imported and called only when scored.

    It is called as ``function(outputs, targets)``: float32 [N, ...] of the only output, or a dict
    of them by name; targets [N, ...], or labels int64 [N] where there are none.

    Raises:
        SourceError: there is no such file.
    """
    located = locate_function(text, None, key=KEY)
    return Metric(own_name(text), higher_is_better, None, None, partial(_tally, located))


def _tally(located: Factory, predictions: Predictions, primary: str) -> Tally:
    answers = predictions.labels if predictions.targets is None else predictions.targets
    if answers is None:
        raise DataError(f"{located.text} needs labels or targets, and these samples have none")
    n = len(predictions)
    with captured_output():
        function = located.function()
    found = _call(located, function, predictions, answers, np.arange(n))
    if found.ndim == 0:

        def figure(places: Array) -> float:
            whole = _call(located, function, predictions, answers, places)
            return float(whole)

        return WholeTally(figure, n)
    if found.shape != (n,):
        raise DataError(
            f"{KEY} {located.text} returned an array {list(found.shape)} for {n} samples",
            hint=_FORM,
        )
    return MeanTally(found)


def _call(
    located: Factory,
    function: Callable[..., Any],
    predictions: Predictions,
    answers: Array,
    places: Array,
) -> Array:
    """float64, finite. Whatever the user's code does is the user's to mend: told by its line."""
    whole = len(places) == len(answers) and (places == np.arange(len(places))).all()
    # A copy: what one call does to its arrays must not be what the next one sees.
    own = slice(None) if whole else places
    outputs = {name: np.array(array[own]) for name, array in predictions.outputs.items()}
    given = outputs if len(outputs) > 1 else next(iter(outputs.values()))
    try:
        with importable(located.paths), captured_output():
            returned = function(given, np.array(answers[own]))
    except EdgekitError:
        raise
    except SystemExit as error:
        raise exit_told(error, f"{KEY} {located.text}", DataError) from error
    except Exception as error:  # the user's own code
        raise DataError(
            f"{KEY} {located.text} raised {type(error).__name__}: {error}",
            hint=f"{users_line(error, located)}; it was given outputs {_shapes(given)} and targets "
            f"{answers.dtype} {[len(places), *answers.shape[1:]]}",
        ) from error
    try:
        found = np.asarray(returned, np.float64)
    except (TypeError, ValueError) as error:
        kind = type(returned).__name__
        raise DataError(f"{KEY} {located.text} returned {kind}, no number", hint=_FORM) from error
    if not np.isfinite(found).all():
        raise DataError(f"{KEY} {located.text} returned NaN or infinity", hint=_FORM)
    return found


def _shapes(given: Any) -> str:
    if isinstance(given, dict):
        return ", ".join(f"{name} {list(array.shape)}" for name, array in given.items())
    return str(list(given.shape))
