"""What torch.onnx says when it refuses a model, in words a person can act on."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

from edgekit.capture import CapturedOutput, captured_output
from edgekit.errors import ConversionError
from edgekit.runtimes.cause import condensed_cause

_LACKS = re.compile(
    r"No ONNX function found for <OpOverload\(op='([^']+)'|operator '([^']+)' to ONNX"
)
# The exporter's log: what it says of packages that are not there, and of its own steps.
_LOG_LINE = re.compile(r"^[IWE]\d{4} |torchvision|^\[torch\.onnx\]")


@contextmanager
def exporter(
    name: str, *, free_batch: bool, warn: Literal["ignore", "always"] = "ignore"
) -> Iterator[None]:
    """Silence, and one line out of whatever the exporter raises.

    Raises:
        ConversionError: the model could not be exported.
    """
    # Warnings go on to whoever records them, and there is no one else.
    guard = warnings.catch_warnings() if warn == "ignore" else nullcontext()
    with captured_output() as log, guard:
        warnings.simplefilter(warn)
        try:
            yield
        except Exception as error:  # many types, from torch.export down to C++
            raise ConversionError(
                f"{name} could not export the model: {_cause(error)}",
                hint=_hint(error, log, free_batch=free_batch),
            ) from error


def _hint(error: Exception, log: CapturedOutput, *, free_batch: bool) -> str:
    if any(_LACKS.search(str(each)) for each in _chain(error)):
        return "Replace that operator in the model, or choose a method that needs no ONNX."
    if free_batch:
        return "The model may hold on to its batch: leave out onnx.free_batch."
    words = [line for line in log.tail(30).splitlines() if not _LOG_LINE.search(line)]
    return "Check model.inputs first." + (
        "\n".join([" Its own last words:", *words[-8:]]) if words else ""
    )


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what led to it, the first cause last."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    return chain


def _cause(error: Exception) -> str:
    """The innermost reason, in one line, and the node it was about."""
    texts = [str(each) for each in _chain(error)]
    innermost = _chain(error)[-1]
    node = re.search(r"translating node %(\S+)", " ".join(texts))
    where = f" (node {node.group(1)})" if node else ""
    if lacks := _LACKS.search(texts[-1]):
        return f"ONNX has no operator for {lacks.group(1) or lacks.group(2)}{where}"
    first = next((line for line in texts[-1].splitlines() if line.strip()), "")
    return condensed_cause(f"{type(innermost).__name__}: {first}{where}")
