"""What a model file really is: ``edgekit inspect``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import SessionError, SourceError
from edgekit.report.float_islands import float_islands
from edgekit.report.inspection import Inspection
from edgekit.report.model_kind import kind_in_words
from edgekit.types import ArtefactFormat, FileFacts

if TYPE_CHECKING:
    from edgekit.tflite.delegates import DelegatePlan
    from edgekit.tflite.runtime_need import RuntimeNeed

READERS: dict[ArtefactFormat, str] = {
    ArtefactFormat.TFLITE: "edgekit.tflite.file_facts",
    ArtefactFormat.ONNX: "edgekit.onnx.file_facts",
    ArtefactFormat.PT2: "edgekit.pytorch.program_file",
}
"""Module of each format's ``read_file_facts(file) -> FileFacts``."""
_HEAD_BYTES = 16
_FORMS = ".tflite, .onnx or .pt2"


def inspect(path: Path | str) -> Inspection:
    """Look into a ``.tflite``, ``.onnx`` or ``.pt2`` file; nothing is run.

    Raises:
        SourceError: it cannot be read as one of these; says what it looks like instead.
        MissingError: the package that reads it is not installed.
    """
    file = Path(path)
    form = file_format(file)
    try:
        found: FileFacts = import_module(READERS[form]).read_file_facts(file)
    except SessionError as error:  # a .pt2 is read by the runtime that runs it
        raise SourceError(error.message, hint=error.hint) from error
    runtime: RuntimeNeed | None = None
    delegates: tuple[DelegatePlan, ...] = ()
    if form is ArtefactFormat.TFLITE:
        from edgekit.tflite.delegates import predict_delegates
        from edgekit.tflite.graph import read_graph
        from edgekit.tflite.runtime_need import runtime_need

        graph = read_graph(file)
        try:
            runtime, delegates = runtime_need(graph), predict_delegates(graph)
        except IndexError as error:  # the rules count on what the schema promises
            raise SourceError(
                f"{file} is damaged: an operator lacks an input, an output or an axis it must have",
                hint="Copy or convert the file again.",
            ) from error
    return Inspection(
        path=file,
        format=form,
        kind=kind_in_words(found, form),
        size_bytes=file.stat().st_size,
        file=found,
        islands=float_islands(found.operators),
        runtime=runtime,
        delegates=delegates,
    )


def file_format(file: Path) -> ArtefactFormat:
    """By the file's first bytes, and by its name where these say nothing.

    Raises:
        SourceError: missing, a folder, empty, or of another kind.
    """
    if file.is_dir():
        raise SourceError(f"{file} is a folder", hint=f"Give a model file: {_FORMS}.")
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise SourceError(
            f"cannot read {file}: {error.strerror}", hint=f"Give a model file: {_FORMS}."
        ) from error
    if not head:
        raise SourceError(f"{file} is empty", hint="Copy or convert the file again.")
    if head[4:8] == b"TFL3":
        return ArtefactFormat.TFLITE
    suffix = file.suffix.lower().lstrip(".")
    if suffix in READERS:
        return ArtefactFormat(suffix)
    raise SourceError(
        f"{file} is no {_FORMS} file: it begins with {head[:8]!r}",
        hint="A model in another format has to be converted first: edgekit quantize, or "
        "edgekit bridge.",
    )
