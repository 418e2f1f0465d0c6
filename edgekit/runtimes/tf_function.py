"""TensorFlow behind the Session seam: one traced function of a model, whatever it came from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.capture import captured_output
from edgekit.errors import SessionError, UsageError
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.feeds import check_feeds
from edgekit.runtimes.session import ClosingSession, SessionInfo
from edgekit.tensorflow.function import TFModel, concrete, require_tensorflow
from edgekit.types import Array, Feeds, TensorInfo

if TYPE_CHECKING:
    from edgekit.recipe.schema import InputSpec

MAX_FREE_BATCH = 16


class TFSession(ClosingSession):
    """A ``TFModel`` traced for the shapes of a recipe, in this process.

    Where the model leaves the batch of every input open and the recipe's is one, it is traced with
    an open batch, so that many samples go through one call.

    TensorFlow has one pool of threads in a process, whose size can be chosen before its first use
    only, and loading a model is one: see ``choose_threads``. ``info.threads`` is what the pool has,
    and ``info.caveat`` says so where it is not what was asked for.
    """

    def __init__(
        self,
        model: TFModel,
        inputs: tuple[InputSpec, ...],
        outputs: tuple[str, ...],
        *,
        name: str,
        threads: int,
    ) -> None:
        """Trace ``model`` and run it on zeros. ``name`` is what error messages call it.

        Raises:
            MissingError: TensorFlow is not installed.
            UsageError: ``threads`` below one.
            SessionError: the model cannot be traced for these shapes, or fails on zeros.
        """
        if threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        tensorflow = require_tensorflow()
        pool = choose_threads(threads)
        self._name = name
        self._outputs = outputs
        self._holder = model.holder
        self._inputs = tuple(TensorInfo(spec.name, spec.shape, spec.dtype) for spec in inputs)
        self._batch = inputs[0].shape[0] if inputs and inputs[0].shape else 1
        self._function: Callable[..., Any] | None = None
        max_batch, answers = self._batch, None
        if self._may_be_free(model):
            answers = self._open_free(model, inputs)
        if answers is None:
            answers = self._open(model, inputs)
        else:
            max_batch = MAX_FREE_BATCH
        self._info = SessionInfo(
            runtime="tensorflow",
            version=str(tensorflow.__version__),
            threads=pool,
            inputs=self._inputs,
            outputs=tuple(
                TensorInfo(name, array.shape, array.dtype.name) for name, array in answers.items()
            ),
            max_batch=max_batch,
            caveat=None
            if pool == threads
            else f"TensorFlow runs on {pool} threads, which it was started with, not on {threads}",
        )

    @property
    def info(self) -> SessionInfo:
        return self._info

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """See ``Session.run``."""
        return self._call(self._checked(feeds))

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        """See ``Session.time_ms``."""
        if repeats < 1:
            raise UsageError(f"repeats must be at least 1, not {repeats}")
        tensors = _tensors(self._checked(feeds))
        function = self._open_function()
        times_ns = np.empty(repeats, np.int64)
        with self._failing_as_session_error("while running"):
            for index in range(repeats):
                start = perf_counter_ns()
                function(*tensors)
                times_ns[index] = perf_counter_ns() - start
        return times_ns / 1e6

    def close(self) -> None:
        """Let go of the model; a later ``run`` raises UsageError."""
        self._function = self._holder = None

    def _open_function(self) -> Callable[..., Any]:
        if self._function is None:
            raise UsageError(f"the session of {self._name} is closed")
        return self._function

    def _may_be_free(self, model: TFModel) -> bool:
        shapes = {info.name: info.shape for info in model.inputs}
        return self._batch == 1 and all(
            info.shape[:1] == (1,) and shapes[info.name][:1] == (-1,) for info in self._inputs
        )

    def _open(self, model: TFModel, inputs: tuple[InputSpec, ...]) -> dict[str, Array]:
        """Trace for the stated shapes alone; what the model answers to zeros."""
        with (
            captured_output(),
            self._failing_as_session_error("when traced for the stated shapes"),
        ):
            self._function = concrete(model, inputs, self._outputs)
        with captured_output():
            return self._call(self._zeros(extra=0), "on zeros of the stated shapes")

    def _open_free(self, model: TFModel, inputs: tuple[InputSpec, ...]) -> dict[str, Array] | None:
        """As ``_open`` with an open batch. Tried rather than believed: ``None`` where the model
        says that its batch is open, but answers to one of two otherwise."""
        try:
            with captured_output(), self._failing_as_session_error("when traced"):
                self._function = concrete(model, inputs, self._outputs, free_batch=True)
            with captured_output():
                answers = self._call(self._zeros(extra=0))
                larger = self._call(self._zeros(extra=1))
        except SessionError:
            return None
        grew = all(
            array.ndim and larger[name].shape == (2, *array.shape[1:])
            for name, array in answers.items()
        )
        return answers if grew else None

    def _checked(self, feeds: Feeds) -> dict[str, Array]:
        free = frozenset({0}) if self._info.max_batch > self._batch else frozenset()
        axes = {info.name: free for info in self._inputs}
        return check_feeds(feeds, self._inputs, model=self._name, free_axes=axes)

    def _zeros(self, extra: int) -> dict[str, Array]:
        """Feeds of zeros, the batch larger than the stated one by ``extra``."""
        return {
            info.name: np.zeros(
                (info.shape[0] + extra, *info.shape[1:]) if info.shape else (), info.dtype
            )
            for info in self._inputs
        }

    def _call(self, arrays: Mapping[str, Array], when: str = "while running") -> dict[str, Array]:
        function = self._open_function()
        with self._failing_as_session_error(when):
            answers = function(*_tensors(arrays))
        return {name: _array(tensor) for name, tensor in zip(self._outputs, answers, strict=True)}

    @contextmanager
    def _failing_as_session_error(self, when: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the model is the user's code: it may raise anything
            raise SessionError(f"{self._name} failed {when}: {tf_cause(error)}") from error


def tf_cause(error: BaseException) -> str:
    """One line out of a TensorFlow error, without the names of its own inner functions."""
    text = str(getattr(error, "message", None) or error)
    lines = [re.sub(r"\{\{[^}]*\}\} *| *\[Op:.*\]$", "", line) for line in text.splitlines()]
    noise = ("Detected at node", "File ", "Graph execution error", "[[")
    kept = [line for line in lines if not line.lstrip().startswith(noise)]
    kind, cause = type(error).__name__, condensed_cause(*kept)
    # AutoGraph puts the type in front of what was raised, which may have said nothing more.
    cause = "" if cause == kind else cause.removeprefix(f"{kind}: ")
    return f"{kind}: {cause}" if cause else kind


def choose_threads(threads: int) -> int:
    """Ask for a pool of ``threads``, before a model is loaded; the size that the pool has."""
    threading = require_tensorflow().config.threading
    with captured_output(), suppress(RuntimeError):  # in use already
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(1)
    # 0: TensorFlow's own choice, one for each processor
    return threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1


def _tensors(arrays: Mapping[str, Array]) -> Sequence[Any]:
    import tensorflow

    return [tensorflow.constant(array) for array in arrays.values()]


def _array(tensor: Any) -> Array:
    """A copy; float16 and bfloat16 become float32."""
    array = np.array(tensor.numpy(), order="C")
    return array.astype(np.float32) if tensor.dtype.name in ("float16", "bfloat16") else array
