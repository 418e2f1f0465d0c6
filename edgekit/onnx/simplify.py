"""The same model with fewer operators: constants folded, what does nothing gone (onnxslim)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.onnx.model_file import require_onnx
from edgekit.onnx.ops import operators
from edgekit.progress import Progress, SilentProgress
from edgekit.runtimes.cause import condensed_cause


def simplified(model: Any, progress: Progress | None = None) -> Any:
    """``model`` (a ``ModelProto`` with its weights inside) simplified, with shapes inferred.

    Answers, inputs, outputs, their names and order stay; ``model`` itself is not changed, nothing
    is printed or written. Where onnxslim fails, or makes of it what onnx.checker refuses, the model
    comes back as it was, and ``progress`` is warned.

    Raises:
        ConversionError: onnx.checker refuses ``model`` itself.
    """
    require_onnx()
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    plain = inferred(model)
    _check(plain)
    made = type(plain)()
    made.CopyFrom(plain)
    try:
        with captured_output(), _quiet():
            import onnxslim

            made = _with_ends_of(plain, onnxslim.slim(made))
        made = inferred(made)
        _check(made, full=True)
    except Exception as error:  # noqa: BLE001 - of anybody's graph it raises whatever it meets
        cause = condensed_cause(f"{type(error).__name__}: {error}")
        (progress or SilentProgress()).warn(
            f"the ONNX model is used as it was exported, not simplified: {cause}"
        )
        return plain
    return made


def inferred(model: Any) -> Any:
    """A copy of ``model`` with the shapes of its tensors, as far as they follow from its inputs.

    Raises:
        ConversionError: they contradict each other.
    """
    onnx = require_onnx()
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # RuntimeError, InferenceError and protobuf's own
        raise ConversionError(
            f"the shapes of the ONNX model cannot be inferred: {condensed_cause(str(error))}"
        ) from error


def _check(model: Any, *, full: bool = False) -> None:
    onnx = require_onnx()
    try:
        onnx.checker.check_model(model, full_check=full)
    except Exception as error:  # several types, from C++
        cause = condensed_cause(str(error).split("==>")[0])
        raise ConversionError(f"onnx.checker refuses the model: {cause}") from error


def _with_ends_of(before: Any, after: Any) -> Any:
    """``after`` with the inputs and outputs exactly as ``before`` states them: onnxslim takes out
    an input that nothing reads.

    Raises:
        ValueError: it has others, or operators of a domain that was not there.
    """
    wanted = [value.name for value in before.graph.output]
    found = [value.name for value in after.graph.output]
    if found != wanted:
        raise ValueError(f"onnxslim made outputs {found} of {wanted}")
    foreign = {op.domain for op in operators(after)} - {op.domain for op in operators(before)}
    if foreign - {"", "ai.onnx"}:
        raise ValueError(f"onnxslim put in operators of {', '.join(sorted(foreign))}")
    made = type(after)()
    made.CopyFrom(after)
    for what in ("input", "output"):
        del getattr(made.graph, what)[:]
        getattr(made.graph, what).extend(getattr(before.graph, what))
    return made


@contextmanager
def _quiet() -> Iterator[None]:
    """A handler of its own keeps onnxslim from adding one that holds on to today's stderr."""
    logger = logging.getLogger("onnxslim")
    handler, level, propagate = logging.NullHandler(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        logger.setLevel(level)
