"""ONNX Runtime behind the Session seam; its CPU provider, one operator after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import SessionError, UsageError
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.feeds import check_feeds
from edgekit.runtimes.onnx_loading import load, own_words, require_onnxruntime, stated_layouts
from edgekit.runtimes.session import ClosingSession, SessionInfo
from edgekit.types import Array, Feeds, TensorInfo

if TYPE_CHECKING:
    from edgekit.recipe.schema import InputSpec

MAX_FREE_BATCH = 4

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}


def open_file(path: Path, *, threads: int, signature: str | None) -> OnnxSession:
    """The table of runtimes calls this; layouts are those the file's metadata states.

    Raises:
        UsageError: missing file, a signature (the format has none), threads below 1.
        SessionError: damaged, operators that this ONNX Runtime lacks.
        MissingError: onnxruntime is not installed.
    """
    if signature is not None:
        raise UsageError(f"{path.name} has no signature '{signature}'; ONNX has none at all")
    return OnnxSession(path, threads=threads)


class OnnxSession(ClosingSession):
    """An ``.onnx`` file in this process.

    Layout: an input that is NCHW is fed channels-last and permuted here. If any input is NCHW, the
    model is channels-first, and every output with four axes is permuted to channels-last; all
    others are returned as they are.
    """

    def __init__(
        self,
        path: Path,
        inputs: tuple[InputSpec, ...] | None = None,
        outputs: tuple[str, ...] | None = None,
        *,
        threads: int = 1,
    ) -> None:
        """Load ``path``, and run it on zeros where its outputs' shapes are not stated.

        ``inputs`` give layouts, and the sizes that the file leaves open; without them the layouts
        are the file's own (``stated_layouts``), and an open batch is one. ``outputs`` choose
        among the file's and order them.

        Raises:
            UsageError: no such file, input or output; ``threads`` below one; an open size besides
                the batch that nothing fixes.
            SessionError: ONNX Runtime refuses the file, or fails on zeros.
            MissingError: onnxruntime is not installed.
        """
        if threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        if not path.is_file():
            raise UsageError(f"no such model file: {path}")
        self._name = path.name
        ort = require_onnxruntime()
        self._session: Any = load(ort, path, threads)
        self._output_names = self._chosen(outputs)
        specs = {spec.name: spec for spec in inputs or ()}
        layouts = stated_layouts(self._session, self._name)
        if inputs is not None:
            layouts = {spec.name: spec.layout for spec in inputs}
        arguments = {argument.name: argument for argument in self._session.get_inputs()}
        if unknown := [name for name in (*specs, *layouts) if name not in arguments]:
            raise UsageError(
                f"{self._name} has no input '{unknown[0]}'; it has {', '.join(arguments)}"
            )
        self._channels_first = frozenset(
            name for name, layout in layouts.items() if layout == "NCHW"
        )
        self._free_batch = bool(arguments) and all(
            argument.shape and not isinstance(argument.shape[0], int)
            for argument in arguments.values()
        )
        self._inputs = tuple(
            self._input(argument, specs.get(name)) for name, argument in arguments.items()
        )
        self._max_batch = self._batch()
        outputs_info = self._find_outputs()
        self._info = SessionInfo(
            runtime="onnxruntime",
            version=str(ort.__version__),
            threads=threads,
            inputs=self._inputs,
            outputs=outputs_info,
            max_batch=self._max_batch,
        )

    @property
    def info(self) -> SessionInfo:
        return self._info

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """See ``Session.run``."""
        return self._call(self._checked(feeds))

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        """See ``Session.time_ms``; the permutation to the model's layout is not timed."""
        if repeats < 1:
            raise UsageError(f"repeats must be at least 1, not {repeats}")
        arrays = self._native(self._checked(feeds))
        session = self._open_session()
        times_ns = np.empty(repeats, np.int64)
        try:
            binding = session.io_binding()
            for name, array in arrays.items():
                binding.bind_cpu_input(name, array)
            for name in self._output_names:
                binding.bind_output(name)
            for index in range(repeats):
                start = perf_counter_ns()
                session.run_with_iobinding(binding)
                times_ns[index] = perf_counter_ns() - start
        except Exception as error:  # its errors have no base of their own
            raise self._failure("failed while running", error) from error
        return times_ns / 1e6

    def close(self) -> None:
        """Free the model; a later ``run`` raises UsageError."""
        self._session = None

    def _open_session(self) -> Any:
        if self._session is None:
            raise UsageError(f"the session of {self._name} is closed")
        return self._session

    def _chosen(self, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
        known = tuple(argument.name for argument in self._session.get_outputs())
        if wanted is None:
            return known
        if unknown := [name for name in wanted if name not in known]:
            raise UsageError(
                f"{self._name} has no output '{unknown[0]}'; it has {', '.join(known)}"
            )
        return wanted

    def _input(self, argument: Any, spec: InputSpec | None) -> TensorInfo:
        """Name, shape and dtype of one input, channels-last."""
        shape = tuple(size if isinstance(size, int) else None for size in argument.shape)
        if spec is not None and len(spec.shape) == len(shape):
            closed = [
                given if own is None else own for own, given in zip(shape, spec.shape, strict=True)
            ]
        else:
            closed = [
                1 if own is None and axis == 0 else own or 0 for axis, own in enumerate(shape)
            ]
            if None in shape[1:]:
                shown = ", ".join(map(str, argument.shape))
                raise UsageError(
                    f"input '{argument.name}' of {self._name} leaves sizes open: [{shown}]",
                    hint="Give the file its sizes; only the batch may be open.",
                )
        if argument.name in self._channels_first:
            if len(closed) != 4:
                raise UsageError(
                    f"input '{argument.name}' has layout NCHW but shape {closed}",
                    hint="Give four sizes (batch, channels, height, width), or layout 'any'.",
                )
            n, c, h, w = closed
            closed = [n, h, w, c]
        return TensorInfo(argument.name, tuple(closed), self._dtype(argument))

    def _dtype(self, argument: Any) -> str:
        if argument.type not in _DTYPES:
            raise UsageError(
                f"'{argument.name}' of {self._name} is a {argument.type}, not an array of numbers"
            )
        return _DTYPES[argument.type]

    def _batch(self) -> int:
        return self._inputs[0].shape[0] if self._inputs and self._inputs[0].shape else 1

    def _find_outputs(self) -> tuple[TensorInfo, ...]:
        """As the file states them where it does; sets the batch that was found to be free."""
        stated = {argument.name: argument for argument in self._session.get_outputs()}
        chosen = [stated[name] for name in self._output_names]
        dtypes = [self._dtype(argument) for argument in chosen]
        fixed = all(
            argument.shape is not None and all(isinstance(size, int) for size in argument.shape)
            for argument in chosen
        )
        if fixed and not self._free_batch:
            return tuple(
                TensorInfo(argument.name, self._permuted(tuple(argument.shape)), dtype)
                for argument, dtype in zip(chosen, dtypes, strict=True)
            )
        answers = self._call(self._zeros(extra=0), "fails on zeros of the stated shapes")
        if self._free_batch:
            self._max_batch = self._tried_batch(answers)
        return tuple(
            TensorInfo(name, array.shape, array.dtype.name) for name, array in answers.items()
        )

    def _tried_batch(self, answers: Mapping[str, Array]) -> int:
        """Tried rather than guessed: a batch that is open by name may be fixed inside the graph."""
        batch = self._batch()
        try:
            larger = self._call(self._zeros(extra=1))
        except SessionError:
            return batch
        grew = all(
            array.ndim and larger[name].shape == (batch + 1, *array.shape[1:])
            for name, array in answers.items()
        )
        return max(MAX_FREE_BATCH, batch) if grew else batch

    def _zeros(self, extra: int) -> dict[str, Array]:
        """Feeds of zeros, the batch larger than the stated one by ``extra``."""
        return {
            info.name: np.zeros(
                (info.shape[0] + extra, *info.shape[1:]) if info.shape else (), info.dtype
            )
            for info in self._inputs
        }

    def _checked(self, feeds: Feeds) -> dict[str, Array]:
        free = frozenset({0}) if self._max_batch > self._batch() else frozenset()
        axes = {info.name: free for info in self._inputs}
        return check_feeds(feeds, self._inputs, model=self._name, free_axes=axes)

    def _native(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The feeds in the model's own layout."""
        return {
            name: np.ascontiguousarray(array.transpose(0, 3, 1, 2))
            if name in self._channels_first
            else array
            for name, array in arrays.items()
        }

    def _call(
        self, arrays: Mapping[str, Array], when: str = "failed while running"
    ) -> dict[str, Array]:
        session = self._open_session()
        try:
            answers = session.run(list(self._output_names), self._native(arrays))
        except Exception as error:  # its errors have no base of their own
            raise self._failure(when, error) from error
        return {
            name: np.ascontiguousarray(answer.transpose(0, 2, 3, 1))
            if self._channels_first and answer.ndim == 4
            else answer
            for name, answer in zip(self._output_names, answers, strict=True)
        }

    def _permuted(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not self._channels_first or len(shape) != 4:
            return shape
        n, c, h, w = shape
        return (n, h, w, c)

    def _failure(self, what: str, error: Exception) -> SessionError:
        return SessionError(f"{self._name} {what}: {condensed_cause(own_words(error))}")
