"""An ``.onnx`` file as the source: checked, and with the shapes that the recipe fixes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.cache import Cache, content_key, file_sha256
from edgekit.capture import captured_output
from edgekit.errors import SessionError, SourceError
from edgekit.fetch import fetch
from edgekit.onnx.checks import (
    check_domains,
    check_finite,
    check_structure,
    check_versions,
    refuse_quantized,
)
from edgekit.onnx.dims import End, ends_fit, graph_inputs, graph_outputs, with_ends
from edgekit.onnx.model_file import external_data, read_model, require_onnx, write_model
from edgekit.onnx.ops import CONTROL_FLOW, listed, operators
from edgekit.progress import Progress
from edgekit.recipe.nearest import did_you_mean
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.runtimes import open_session
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.onnx_runtime import OnnxSession
from edgekit.runtimes.session import Session
from edgekit.sources.source import INPUT_DTYPES, SourceModel
from edgekit.sources.tf_checks import versions
from edgekit.types import ModelKind

_PREPARED = "model.onnx"
# Raise when what is written for the same file and recipe changes.
_REVISION = 1


def locate(spec: ModelSpec, base: Path | None, progress: Progress, cache: Cache) -> SourceModel:
    """As ``sources.locate``; the graph is held against the recipe, and run once in a child
    process, so that no later stage meets a file that crashes the runtime.

    The model's ``value`` is the file itself, or where a shape had to be fixed, an output left out
    or a function inlined, a copy of it in the cache. Its ``files`` are the user's own.
    """
    if spec.file is None:
        raise SourceError("an onnx model needs model.file", hint="e.g. model.file: file:model.onnx")
    file = fetch(spec.file, sha256=spec.sha256, base=base, progress=progress)
    return from_file(file, spec.file, spec.inputs, spec.outputs, progress, cache)


def from_file(
    file: Path,
    name: str,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[str, ...],
    progress: Progress,
    cache: Cache,
) -> SourceModel:
    """As ``locate``, of a local ``file``; ``name`` is what the user calls it."""
    model, external = read_checked(file, name)
    check_ends(graph_inputs(model), graph_outputs(model), inputs, outputs, name)
    flow = [op for op in operators(model) if op.op in CONTROL_FLOW]
    if flow:
        progress.note(
            f"{name} has control flow, which ONNX Runtime runs and few bridges take: {listed(flow)}"
        )
    files = {"model": file, **external}
    parts = {
        "files": {place: file_sha256(path) for place, path in files.items()},
        "inputs": inputs,
        "outputs": outputs,
        "versions": versions("onnx", "onnxruntime"),
        "revision": _REVISION,
    }
    entry = cache.get_or_make(
        "onnx",
        content_key(parts),
        lambda folder: _prepare(model, files, name, inputs, outputs, folder),
    )
    prepared = entry.path / _PREPARED
    prepared = prepared if prepared.is_file() else file
    return _source(prepared, files, inputs, outputs, content_key(parts))


def onnx_model(file: Path, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...]) -> SourceModel:
    """The checked ``.onnx`` at ``file``, its shapes as in ``inputs`` and all its weights inside:
    where every bridge to and from ONNX meets."""
    parts = {"model": file_sha256(file), "inputs": inputs, **versions("onnxruntime")}
    return _source(file, {"model": file}, inputs, outputs, content_key(parts))


def read_checked(file: Path, name: str) -> tuple[Any, dict[str, Path]]:
    """The ``ModelProto`` in ``file`` and the files of its external data, both sound.

    Raises:
        SourceError: no ONNX model, or none that edgekit can start from; says why.
    """
    model = read_model(file, name)
    external = external_data(model, file.parent, name)
    check_versions(model, name)
    check_domains(model, name)
    refuse_quantized(model, name)
    check_structure(file, name)
    check_finite(model, file.parent, name)
    return model, external


def refuse_ends(ends: Sequence[End], what: str, name: str) -> None:
    """Refuse inputs and outputs that are no arrays of numbers a recipe can speak of.

    Raises:
        SourceError: names the end and its type.
    """
    for end in ends:
        if end.shape is not None and 0 in end.shape:
            raise SourceError(
                f"{what} {end} of {name} has a size of zero: it holds no numbers",
                hint="Export the model again with the real sizes.",
            )
        if what == "input" and end.dtype not in INPUT_DTYPES:
            raise SourceError(
                f"input {end} of {name}: edgekit feeds {', '.join(INPUT_DTYPES)}",
                hint=_other_dtype(end.dtype),
            )
        if what == "output" and not is_number(end.dtype):
            raise SourceError(
                f"output {end} of {name} is no array of numbers",
                hint="Leave it out of model.outputs, or export the model without what makes it.",
            )


def check_ends(
    inputs: tuple[End, ...],
    outputs: tuple[End, ...],
    wanted: tuple[InputSpec, ...],
    chosen: tuple[str, ...],
    name: str,
) -> None:
    """Hold the recipe's inputs and outputs against the file's; sizes it leaves open may be any.

    Raises:
        SourceError: another name, element type or shape; says both.
    """
    refuse_ends(inputs, "input", name)
    known = {end.name: end for end in inputs}
    has = "; ".join(map(str, inputs)) or "none"
    for spec in wanted:
        if spec.name not in known:
            near = did_you_mean(spec.name, known)
            raise SourceError(
                f"model.inputs names {spec.name!r}, but the inputs of {name} are {has}",
                hint=near[0].upper() + near[1:] if near else None,
            )
    if missing := [end.name for end in inputs if end.name not in {spec.name for spec in wanted}]:
        raise SourceError(
            f"model.inputs lacks {', '.join(missing)}; the inputs of {name} are {has}",
            hint="List every input, or run: edgekit init " + name,
        )
    for spec in wanted:
        end = known[spec.name]
        if not _fits(end, spec):
            raise SourceError(
                f"model.inputs says {spec.name} {spec.dtype} {list(spec.shape)}, "
                f"but {name} has {end}",
                hint="Write the file's own into the recipe"
                + ("; a size that is no number is yours to choose." if _is_open(end) else "."),
            )
    made = {end.name: end for end in outputs}
    for output in chosen:
        if output not in made:
            near = did_you_mean(output, made)
            raise SourceError(
                f"model.outputs names {output!r}, but the outputs of {name} are {', '.join(made)}",
                hint=near[0].upper() + near[1:] if near else None,
            )
    refuse_ends([made[output] for output in chosen], "output", name)


def _fits(end: End, spec: InputSpec) -> bool:
    if end.dtype != spec.dtype:
        return False
    return end.shape is None or (
        len(end.shape) == len(spec.shape)
        and all(
            own == given or not isinstance(own, int)
            for own, given in zip(end.shape, spec.shape, strict=True)
        )
    )


def _is_open(end: End) -> bool:
    return end.shape is None or not all(isinstance(size, int) for size in end.shape)


def is_number(dtype: str) -> bool:
    """Whether an end's ``dtype`` is one that arrays of numbers have."""
    try:
        return np.dtype(dtype).kind in "fiub"
    except TypeError:
        return False


def _other_dtype(dtype: str) -> str:
    if dtype in ("float16", "float64", "bfloat16"):
        return "Export the model in float32: quantizing starts from there."
    return (
        f"Export the model with an input of one of these types: what turns {dtype} into numbers "
        "runs before the model, not in it."
    )


def _prepare(
    model: Any,
    files: Mapping[str, Path],
    name: str,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[str, ...],
    folder: Path,
) -> None:
    """Write the model with the recipe's ends into ``folder``, its external data beside it; nothing
    where the user's own file has them already. What is written, or that file, has run once."""
    if not model.functions and ends_fit(model, inputs, outputs):
        _try_out(files["model"], name)
        return
    onnx = require_onnx()
    if model.functions:
        import onnx.inliner

        model = onnx.inliner.inline_local_functions(model)
    try:
        with captured_output():
            made = with_ends(model, inputs, outputs)
    except onnx.shape_inference.InferenceError as error:
        raise SourceError(
            f"the shapes in model.inputs do not go through {name}: {condensed_cause(str(error))}",
            hint="Correct the shapes in model.inputs.",
        ) from error
    for location, path in files.items():
        if location != "model":
            (folder / location).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / location)
    write_model(made, folder / _PREPARED)
    _try_out(folder / _PREPARED, name)


def _try_out(file: Path, name: str) -> None:
    """Load the file and run it on zeros in a child process.

    Raises:
        SourceError: it fails, hangs or crashes ONNX Runtime.
    """
    try:
        with open_session(file, isolated=True, runtime="onnxruntime") as session:
            session.run(
                {info.name: np.zeros(info.shape, info.dtype) for info in session.info.inputs}
            )
    except SessionError as error:
        raise SourceError(
            f"{name} does not run: {error.message}",
            hint="Check the shapes in model.inputs; if they are right, export the model again, "
            "with an older operator set where ONNX Runtime asks for one.",
        ) from error


def _source(
    file: Path,
    files: Mapping[str, Path],
    inputs: tuple[InputSpec, ...],
    outputs: tuple[str, ...],
    fingerprint: str,
) -> SourceModel:
    return SourceModel(
        kind=ModelKind.ONNX,
        inputs=inputs,
        outputs=outputs,
        fingerprint=fingerprint,
        files=files,
        loader=lambda: file,
        opener=_open,
    )


def _open(source: SourceModel, threads: int) -> Session:
    return OnnxSession(source.value, source.inputs, source.outputs, threads=threads)
