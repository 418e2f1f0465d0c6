"""Modules to TorchScript files.

A file holds the traced module with its hierarchy, edgekit's description and nothing else: no
example inputs, and none of the source paths that torch keeps for error messages.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ConversionError, MismatchError
from edgekit.progress import Progress
from edgekit.pytorch.description import FILE, Description
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.cause import condensed_cause
from edgekit.types import Feeds

if TYPE_CHECKING:
    import torch

    from edgekit.pytorch.script_fixed import Fixed

Example = tuple[Any, ...]
"""The tensors of one call, in the module's own layout and order."""

RUNTIME = "torchscript"
TOLERANCE = 1e-3
"""Largest difference between traced and eager answers, relative to the largest eager value."""


def example(feeds: Feeds, inputs: Sequence[InputSpec]) -> Example:
    """The channels-last arrays of a sample as the tensors that a module takes."""
    import torch

    tensors = []
    for spec in inputs:
        tensor = torch.from_numpy(np.array(feeds[spec.name], order="C"))
        tensors.append(tensor.permute(0, 3, 1, 2) if spec.layout == "NCHW" else tensor)
    return tuple(tensors)


def save(
    module: torch.nn.Module, examples: Sequence[Example], description: Description, path: Path
) -> Fixed:
    """Trace ``module`` on the first of ``examples``, hold the trace to its answers on all of them,
    and write it to ``path``.

    Returns what the trace keeps as it was for the first example, each with its source line: true
    of the other examples too, or this would not return.

    Raises:
        ConversionError: the module cannot be traced, or takes another path for other values.
        MismatchError: the trace answers an example otherwise than the module does.
    """
    from edgekit.pytorch.script_fixed import Reads, fixed_by_trace, own_tensors

    traced, said = _traced(module, examples[0])
    reads, wanted = [], []
    for tensors in examples:
        with Reads(own_tensors(module)) as read, _no_grad():
            wanted.append(answers(module(*tensors)))
        reads.append(read)
    fixed = fixed_by_trace(type(module).__name__, said, reads)
    for tensors, answer in zip(examples, wanted, strict=True):
        _check(type(module).__name__, traced, tensors, answer, fixed)
    buffer = io.BytesIO()
    with _silent():
        import torch

        torch.jit.save(traced, buffer, _extra_files={FILE: description.to_json()})
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(_without_sources(buffer))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return fixed


def fixed_notes(fixed: Fixed, progress: Progress) -> dict[str, Any]:
    """``fixed`` as notes of an artefact; values are told at once, for they may be wrong elsewhere.

    Sizes are the recipe's own, which are fixed anyway.
    """
    for line in fixed.values:
        progress.note(f"the trace keeps what the checked samples gave at {line}")
    return {"fixed_by_trace": str(fixed)} if fixed.values or fixed.sizes else {}


def _traced(module: torch.nn.Module, tensors: Example) -> tuple[Any, list[Any]]:
    """The trace, and what the tracer warned of."""
    import torch

    jit: Any = torch.jit  # untyped
    with torch.no_grad(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            traced = jit.trace(
                module, tensors, check_trace=False, strict=False, _store_inputs=False
            )
        except Exception as error:  # the module is the user's code: it may raise anything
            cause = condensed_cause(f"{type(error).__name__}: {error}")
            raise ConversionError(
                f"{type(module).__name__} cannot be traced to TorchScript: {cause}",
                hint="Take and return tensors only (or tuples, lists and dicts of them).",
            ) from error
    return traced, [warning for warning in said if issubclass(warning.category, jit.TracerWarning)]


def _check(name: str, traced: Any, tensors: Example, wanted: list[Any], fixed: Fixed) -> None:
    with _no_grad():
        found = answers(traced(*tensors))
    same = len(wanted) == len(found) and all(
        left.shape == right.shape and _near(left, right)
        for left, right in zip(wanted, found, strict=True)
    )
    if same:
        return
    cause = f"; the trace fixed {fixed}" if fixed.values or fixed.sizes else ""
    raise MismatchError(
        f"the TorchScript trace of {name} answers otherwise than the module{cause}",
        hint="Write what depends on the input with tensor operations, and take out randomness and "
        "state that changes between calls; or choose quantize.method: pt2e or dynamic_torchao, "
        "which do not trace.",
    )


def _no_grad() -> AbstractContextManager[None]:
    import torch

    return torch.no_grad()


def _near(wanted: torch.Tensor, found: torch.Tensor) -> bool:
    import torch

    left, right = wanted.detach().to(torch.float64), found.detach().to(torch.float64)
    if not left.numel():
        return True
    limit = TOLERANCE * float(left.abs().nan_to_num(0.0, 0.0, 0.0).max())
    return bool(torch.isclose(left, right, rtol=0.0, atol=limit, equal_nan=True).all())


def answers(answer: Any) -> list[Any]:
    """The tensors that a model returned, in its order, dequantized."""
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    if isinstance(answer, tuple | list):
        return [tensor for item in answer for tensor in answers(item)]
    return [answer.dequantize() if answer.is_quantized else answer]


def _without_sources(saved: io.BytesIO) -> bytes:
    """The archive without the records that map its code to source files.

    They hold paths of the machine that wrote it, and are a tenth of a small INT8 model.
    """
    from torch._C import PyTorchFileReader, PyTorchFileWriter

    saved.seek(0)
    reader = PyTorchFileReader(saved)
    stripped = io.BytesIO()
    writer = PyTorchFileWriter(stripped)
    names = reader.get_all_records()
    # Files of operators younger than format 5 (gelu is one) keep their version elsewhere.
    version = "version" if "version" in names else ".data/version"
    written_at_the_end = {version, "byteorder", ".data/serialization_id", ".format_version"}
    writer.set_min_version(int(reader.get_record(version)))
    for name in names:
        if name in written_at_the_end or name.endswith(".debug_pkl"):
            continue
        record = reader.get_record(name)
        writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return stripped.getvalue()


@contextmanager
def _silent() -> Iterator[None]:
    """Without torch's notice, at every call, that TorchScript is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
