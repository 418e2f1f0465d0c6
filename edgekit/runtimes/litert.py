"""LiteRT (ai-edge-litert) behind the Session seam; CPU with XNNPACK, its default."""

from __future__ import annotations

import warnings
from importlib import metadata
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from edgekit.capture import captured_output
from edgekit.errors import MissingError, SessionError, UsageError
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.feeds import check_feeds
from edgekit.runtimes.session import ClosingSession, SessionInfo
from edgekit.types import Array, Feeds, QuantParams, TensorInfo

MAX_FREE_BATCH = 16
"""Batch offered where the graph leaves the batch axis open; more gains no time on a CPU."""


def open_file(path: Path, *, threads: int, signature: str | None) -> LiteRTSession:
    """The table of runtimes calls this."""
    return LiteRTSession(path, threads=threads, signature=signature)


class LiteRTSession(ClosingSession):
    """A .tflite model in this process.

    Names come from the signature (the model's first unless ``signature`` chooses), or from the
    tensors where the model has none; inputs and outputs are in the graph's own order.
    """

    def __init__(
        self,
        model: Path | bytes,
        *,
        threads: int = 1,
        signature: str | None = None,
        xnnpack: bool = True,
    ) -> None:
        """Load and allocate ``model``, a path or the file's content.

        Without ``xnnpack`` TensorFlow Lite's own kernels run it, as on a phone where an app has
        turned that delegate off.

        Raises:
            UsageError: no such file, no such signature, or ``threads`` below one.
            SessionError: the runtime refuses the model.
            MissingError: ai-edge-litert is not installed.
        """
        if threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        if isinstance(model, Path) and not model.is_file():
            raise UsageError(f"no such model file: {model}")
        self._name = model.name if isinstance(model, Path) else "the model"
        self._interpreter = _create(model, threads, self._name, xnnpack=xnnpack)
        try:
            self._bind(signature)
        except (RuntimeError, ValueError) as error:
            raise self._failure("cannot be loaded", error) from error
        batches = [0 in self._free_axes[info.name] for info in self._inputs]
        leading = [info.shape[0] for info in self._inputs if info.shape]
        self._info = SessionInfo(
            runtime="litert",
            version=metadata.version("ai-edge-litert"),
            threads=threads,
            inputs=self._inputs,
            outputs=self._outputs,
            max_batch=MAX_FREE_BATCH
            if batches and all(batches)
            else (leading[0] if leading else 1),
        )

    @property
    def info(self) -> SessionInfo:
        return self._info

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """See ``Session.run``. The arrays returned are copies and stay valid."""
        native = self._set(feeds)
        try:
            native.Invoke(self._subgraph)
            return {
                info.name: np.array(native.GetTensor(index, self._subgraph))
                for info, index in zip(self._outputs, self._output_indices, strict=True)
            }
        except (RuntimeError, ValueError) as error:
            raise self._failure("failed while running", error) from error

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        """See ``Session.time_ms``."""
        if repeats < 1:
            raise UsageError(f"repeats must be at least 1, not {repeats}")
        native = self._set(feeds)
        invoke, subgraph = native.Invoke, self._subgraph
        times_ns = np.empty(repeats, np.int64)
        try:
            for index in range(repeats):
                start = perf_counter_ns()
                invoke(subgraph)
                times_ns[index] = perf_counter_ns() - start
        except (RuntimeError, ValueError) as error:
            raise self._failure("failed while running", error) from error
        return times_ns / 1e6

    @property
    def delegate_partitions(self) -> int:
        """How many pieces of the graph a delegate has taken; of the CPU's there is only XNNPACK."""
        return sum(op["op_name"] == "DELEGATE" for op in self._interpreter._get_ops_details())

    def close(self) -> None:
        """Free the interpreter; a later ``run`` raises UsageError."""
        self._interpreter = None

    def _bind(self, signature: str | None) -> None:
        """Find names, tensor indices and the subgraph."""
        interpreter = self._interpreter
        names = list(interpreter.get_signature_list())
        if signature is not None and signature not in names:
            known = ", ".join(f"'{name}'" for name in names) or "none at all"
            raise UsageError(f"{self._name} has no signature '{signature}'; it has {known}")
        main_inputs, main_outputs = (
            interpreter.get_input_details(),
            interpreter.get_output_details(),
        )
        if names:
            runner = interpreter.get_signature_runner(signature or names[0])
            self._subgraph = interpreter._interpreter.GetSubgraphIndexFromSignature(
                signature or names[0]
            )
            inputs = _in_graph_order(runner.get_input_details(), main_inputs)
            outputs = _in_graph_order(runner.get_output_details(), main_outputs)
        else:
            self._subgraph = 0
            inputs = {detail["name"]: detail for detail in main_inputs}
            outputs = {detail["name"]: detail for detail in main_outputs}
        self._inputs = tuple(_tensor_info(name, detail) for name, detail in inputs.items())
        self._outputs = tuple(_tensor_info(name, detail) for name, detail in outputs.items())
        self._input_indices = tuple(detail["index"] for detail in inputs.values())
        self._output_indices = tuple(detail["index"] for detail in outputs.values())
        self._free_axes = {name: _free_axes(detail) for name, detail in inputs.items()}
        self._shapes = [info.shape for info in self._inputs]
        if self._subgraph != 0:
            with captured_output():
                interpreter._interpreter.AllocateTensors(self._subgraph)

    def _set(self, feeds: Feeds) -> Any:
        """Check and set the inputs, resizing free axes; returns the native interpreter."""
        if self._interpreter is None:
            raise UsageError(f"the session of {self._name} is closed")
        arrays = check_feeds(feeds, self._inputs, model=self._name, free_axes=self._free_axes)
        # The native object, because Interpreter's own set_tensor, invoke and get_tensor reach the
        # first subgraph only, and SignatureRunner allocates anew at every call. No view into its
        # memory is ever taken, which is what Interpreter's own guard is about.
        native = self._interpreter._interpreter
        shapes = [array.shape for array in arrays.values()]
        try:
            if shapes != self._shapes:
                with captured_output():
                    for index, shape in zip(self._input_indices, shapes, strict=True):
                        native.ResizeInputTensor(
                            index, np.array(shape, np.int32), False, self._subgraph
                        )
                    native.AllocateTensors(self._subgraph)
                self._shapes = shapes
            for index, array in zip(self._input_indices, arrays.values(), strict=True):
                native.SetTensor(index, array, self._subgraph)
        except (RuntimeError, ValueError) as error:
            raise self._failure("refused its inputs", error) from error
        return native

    def _failure(self, what: str, error: Exception) -> SessionError:
        return SessionError(f"{self._name} {what}: {condensed_cause(str(error))}")


def _create(model: Path | bytes, threads: int, name: str, *, xnnpack: bool) -> Any:
    """A LiteRT interpreter with its tensors allocated."""
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise MissingError(
            "running a .tflite model needs ai-edge-litert, which is not installed",
            hint="pip install ai-edge-litert",
        ) from error
    if isinstance(model, bytes) and not model:
        raise SessionError(f"{name} cannot be loaded: it has no bytes")
    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    kernels = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    failure: Exception | None = None
    with warnings.catch_warnings(), captured_output() as output:
        warnings.simplefilter("ignore")
        try:
            interpreter = Interpreter(
                **source, num_threads=threads, experimental_op_resolver_type=kernels
            )
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            failure = error
        said = output.text()
    if failure is not None:
        raise SessionError(
            f"{name} cannot be loaded: {condensed_cause(str(failure), said)}",
            hint="Is it a complete .tflite file whose operators this runtime knows?",
        ) from failure
    return interpreter


def _in_graph_order(details: dict[str, Any], graph: list[Any]) -> dict[str, Any]:
    """LiteRT sorts a signature's names as text ('output_10' before 'output_2'): undo that."""
    place = {detail["index"]: number for number, detail in enumerate(graph)}
    if any(detail["index"] not in place for detail in details.values()):
        return details  # another subgraph than the first, whose order LiteRT does not give
    return dict(sorted(details.items(), key=lambda item: place[item[1]["index"]]))


def _tensor_info(name: str, detail: Any) -> TensorInfo:
    dtype = np.dtype(detail["dtype"])
    parameters = detail["quantization_parameters"]
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    quant = None
    if dtype.kind in "iu" and len(scales) == 1:
        quant = QuantParams(float(scales[0]), int(zero_points[0]) if len(zero_points) else 0)
    return TensorInfo(name, tuple(int(size) for size in detail["shape"]), dtype.name, quant)


def _free_axes(detail: Any) -> frozenset[int]:
    return frozenset(axis for axis, size in enumerate(detail["shape_signature"]) if size < 0)
