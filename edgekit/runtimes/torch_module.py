"""PyTorch behind the Session seam: anything callable with tensors, fed channels-last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import SessionError, UsageError
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.feeds import check_feeds, describe
from edgekit.runtimes.session import ClosingSession, SessionInfo
from edgekit.types import Array, Feeds, TensorInfo

if TYPE_CHECKING:
    from edgekit.recipe.schema import InputSpec

MAX_FREE_BATCH = 4


class TorchSession(ClosingSession):
    """An ``nn.Module``, ``ExportedProgram.module()`` or TorchScript in this process.

    Layout: an input whose spec says NCHW is fed channels-last and permuted here. If any input is
    NCHW, the model is channels-first, and every output with four axes is permuted to
    channels-last; all others are returned as they are. The model must already be in eval mode.
    """

    def __init__(
        self,
        module: Callable[..., Any],
        inputs: tuple[InputSpec, ...],
        outputs: tuple[str, ...],
        threads: int,
        runtime_name: str = "torch",
        one_by_one: bool = False,
    ) -> None:
        """Run ``module`` on zeros to learn its outputs and whether it takes a larger batch.

        ``inputs`` are in call order, ``outputs`` name what the model returns (a tensor, a tuple or
        list of tensors, or a dict: by key where the keys are these names, else in its order).
        ``one_by_one`` keeps the stated batch, though the module would take a larger one.

        Raises:
            UsageError: the outputs are not as many as their names, or no tensors; an NCHW input
                without four axes.
            SessionError: the model fails on zeros of the stated shapes.
        """
        import torch

        if threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        self._module: Callable[..., Any] | None = module
        self._output_names = outputs
        self._threads = threads
        self._channels_first = frozenset(spec.name for spec in inputs if spec.layout == "NCHW")
        self._inputs = tuple(
            TensorInfo(spec.name, _channels_last(spec), spec.dtype) for spec in inputs
        )
        answers = self._call(self._zeros(extra=0), "on zeros of the stated shapes")
        self._info = SessionInfo(
            runtime=runtime_name,
            version=str(torch.__version__),
            threads=threads,
            inputs=self._inputs,
            outputs=tuple(
                TensorInfo(name, array.shape, array.dtype.name) for name, array in answers.items()
            ),
            max_batch=self._batch() if one_by_one else self._max_batch(answers),
        )

    @property
    def info(self) -> SessionInfo:
        return self._info

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """See ``Session.run``."""
        return self._call(self._checked(feeds))

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        """See ``Session.time_ms``; the permutation to the model's layout is not timed."""
        import torch

        from edgekit.pytorch.export import torch_threads

        if repeats < 1:
            raise UsageError(f"repeats must be at least 1, not {repeats}")
        tensors = self._tensors(self._checked(feeds))
        module = self._open_module()
        times_ns = np.empty(repeats, np.int64)
        with torch.inference_mode(), torch_threads(self._threads), _failing_as_session_error():
            for index in range(repeats):
                start = perf_counter_ns()
                module(*tensors)
                times_ns[index] = perf_counter_ns() - start
        return times_ns / 1e6

    def close(self) -> None:
        """Let go of the module; a later ``run`` raises UsageError."""
        self._module = None

    def _open_module(self) -> Callable[..., Any]:
        if self._module is None:
            raise UsageError("the session of the torch model is closed")
        return self._module

    def _checked(self, feeds: Feeds) -> dict[str, Array]:
        free = frozenset({0}) if self._info.max_batch > self._batch() else frozenset()
        axes = {info.name: free for info in self._inputs}
        return check_feeds(feeds, self._inputs, model="the torch model", free_axes=axes)

    def _batch(self) -> int:
        return self._inputs[0].shape[0] if self._inputs and self._inputs[0].shape else 1

    def _zeros(self, extra: int) -> dict[str, Array]:
        """Feeds of zeros, the batch larger than the stated one by ``extra``."""
        return {
            info.name: np.zeros(
                (info.shape[0] + extra, *info.shape[1:]) if info.shape else (), info.dtype
            )
            for info in self._inputs
        }

    def _max_batch(self, answers: Mapping[str, Array]) -> int:
        """Tried rather than guessed: exported and traced graphs may or may not have fixed it."""
        batch = self._batch()
        if not all(info.shape and info.shape[0] == batch for info in self._inputs):
            return batch
        try:
            larger = self._call(self._zeros(extra=1))
        except SessionError:
            return batch
        grew = all(
            array.ndim and larger[name].shape == (batch + 1, *array.shape[1:])
            for name, array in answers.items()
        )
        return max(MAX_FREE_BATCH, batch) if grew else batch

    def _tensors(self, arrays: Mapping[str, Array]) -> list[Any]:
        import torch

        tensors = []
        for name, array in arrays.items():
            tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
            if name in self._channels_first:
                tensor = tensor.permute(0, 3, 1, 2)  # torch calls these strides channels_last
            tensors.append(tensor)
        return tensors

    def _call(self, arrays: Mapping[str, Array], when: str = "while running") -> dict[str, Array]:
        import torch

        from edgekit.pytorch.export import torch_threads

        module = self._open_module()
        tensors = self._tensors(arrays)
        with torch.inference_mode(), torch_threads(self._threads), _failing_as_session_error(when):
            answer = module(*tensors)
        with torch.inference_mode():
            return {
                name: self._array(name, value)
                for name, value in _named(answer, self._output_names).items()
            }

    def _array(self, name: str, value: Any) -> Array:
        """A copy: the model may return its own buffer, or a view of its input."""
        import torch

        if not isinstance(value, torch.Tensor):
            raise UsageError(f"output '{name}' is a {type(value).__name__}, not a tensor")
        tensor = value.dequantize() if value.is_quantized else value
        if tensor.dtype in (torch.bfloat16, torch.float16):
            tensor = tensor.float()
        if self._channels_first and tensor.ndim == 4:
            tensor = tensor.permute(0, 2, 3, 1)
        return np.array(tensor.detach().cpu().numpy(), order="C")


def _channels_last(spec: InputSpec) -> tuple[int, ...]:
    if spec.layout != "NCHW":
        return tuple(spec.shape)
    if len(spec.shape) != 4:
        raise UsageError(
            f"input '{spec.name}' has layout NCHW but shape {list(spec.shape)}",
            hint="Give four sizes (batch, channels, height, width), or layout 'any'.",
        )
    n, c, h, w = spec.shape
    return (n, h, w, c)


def _named(answer: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(answer, Mapping):
        if set(answer) == set(names):
            return {name: answer[name] for name in names}
        values = list(answer.values())
        found = [f"'{key}' {_describe(value)}" for key, value in answer.items()]
    else:
        values = list(answer) if isinstance(answer, tuple | list) else [answer]
        found = [_describe(value) for value in values]
    if len(values) != len(names):
        raise UsageError(
            f"the torch model returns {len(values)} outputs ({', '.join(found)}), "
            f"but {len(names)} are named ({', '.join(names)})",
            hint="Name every output, in the model's order, under model.outputs.",
        )
    return dict(zip(names, values, strict=True))


def _describe(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        dtype = str(value.dtype).removeprefix("torch.")
        return describe(TensorInfo("", tuple(value.shape), dtype))
    return type(value).__name__


@contextmanager
def _failing_as_session_error(when: str = "while running") -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the model is the user's code: it may raise anything
        cause = condensed_cause(f"{type(error).__name__}: {error}")
        raise SessionError(f"the torch model failed {when}: {cause}") from error
