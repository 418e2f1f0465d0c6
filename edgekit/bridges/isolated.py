"""What the bridges share whose tools live in isolated environments.

The ONNX model is made ready here, where onnx is new: weights inside, simplified, in a version that
the tool reads. The tool gets one file and answers with another; names are put back here.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgekit.bridges.bridge import BridgeJob
from edgekit.bridges.litert_torch import channels_last
from edgekit.bridges.tool_operators import ONNX2TF, ONNX_TF
from edgekit.environments import WorkerError, environment_version, open_environment
from edgekit.errors import ConversionError
from edgekit.onnx.dims import with_ends
from edgekit.onnx.model_file import (
    MAX_PROTOBUF_BYTES,
    external_data,
    read_model,
    require_onnx,
    write_model,
)
from edgekit.onnx.names import name_ends
from edgekit.onnx.ops import CONTROL_FLOW, Operator, listed, operators
from edgekit.onnx.simplify import simplified
from edgekit.sources.source import SourceModel
from edgekit.sources.tflite import float_tflite
from edgekit.tflite.names import tensorflow_names

TIMEOUT_S = 1800.0
"""MobileNetV2 takes half a minute; a model a hundred times as large should still get through."""

_SIGNATURE = "serving_default"
_OTHERS = {"onnx2tf": "onnx_tf", "onnx_tf": "onnx2tf"}


def tool_version(environment: str, revision: int) -> str:
    """What a conversion depends on: the environment, and what makes the model ready for it."""
    here = ", ".join(f"{name} {version(name)}" for name in ("onnx", "onnxslim"))
    return f"{environment} {environment_version(environment)}, {here}, {revision}"


def ready_model(job: BridgeJob) -> Any:
    """The job's ONNX model as one simplified ``ModelProto`` with its weights inside, every input
    of the recipe's shape.

    Raises:
        ConversionError: over 2 GB with its weights; onnx.checker refuses it.
    """
    onnx = require_onnx()
    source = job.source
    file: Path = source.value
    model = read_model(file)
    beside = external_data(model, file.parent, file.name)
    size_bytes = sum(each.stat().st_size for each in (file, *beside.values()))
    if size_bytes > MAX_PROTOBUF_BYTES:
        raise ConversionError(
            f"the ONNX model has {size_bytes / 1e9:.1f} GB with its weights; its converter gets it "
            "as one protobuf message, which ends at 2 GB",
            hint="Split the model, and convert its parts: a .tflite ends at 2 GB too.",
        )
    if beside:
        onnx.external_data_helper.load_external_data_for_model(model, str(file.parent))
    model = with_ends(model, source.inputs, source.outputs)
    return simplified(model, job.progress)


def lacking(bridge: str, found: Collection[Operator], opset: int) -> tuple[Operator, ...]:
    """Those of ``found`` that the bridge's tool does not know in operator set ``opset``."""
    return tuple(op for op in found if not _knows(bridge, op, opset))


def refuse_lacking(bridge: str, model: Any, opset: int) -> None:
    """Say what the tool would fail at, before it is started.

    Raises:
        ConversionError: names operators and nodes, and whether the other bridge has them.
    """
    lacked = lacking(bridge, operators(model), opset)
    if not lacked:
        return
    other = _OTHERS[bridge]
    still = {op.op for op in lacking(other, lacked, _NEWEST_OPSET[other])}
    kinds = sorted({_kind(op) for op in lacked})
    has = sorted({_kind(op) for op in lacked if op.op not in still})
    hint: str | None
    if not still:
        verdict, hint = f"; {other} has", None
    elif has:
        verdict, hint = f"; {other} has only {', '.join(has)}", _REPLACE
    else:
        verdict, hint = f"; {other} has not either", _REPLACE
    found = CONTROL_FLOW & {op.op for op in lacked}
    if found and still:
        hint = "Export the model without control flow: with fixed shapes, loops unrolled."
    places = listed(sorted({op.layer for op in lacked}))
    raise ConversionError(
        f"{bridge} has no {', '.join(kinds)} (at {places}){verdict}",
        hint=hint,
        bridges=() if still else (other,),
    )


def write_for_tool(model: Any, folder: Path, *, ir_version: int) -> Path:
    """``model`` in a file of ``folder`` that a tool with an older onnx opens. Its ends are numbered
    (``input_0``, ``output_0``): TensorFlow does not take every name that ONNX does."""
    made = type(model)()
    made.CopyFrom(model)
    made.ir_version = min(made.ir_version, ir_version)
    name_ends(
        made,
        [f"input_{index}" for index in range(len(made.graph.input))],
        [f"output_{index}" for index in range(len(made.graph.output))],
    )
    file = folder / "model.onnx"
    write_model(made, file)
    return file


def convert(
    job: BridgeJob, model: Any, *, bridge: str, environment: str, worker: str, ir_version: int
) -> Path:
    """Let the tool make a ``.tflite`` of ``model``; its ends are named as the recipe's.

    Raises:
        MissingError: the environment cannot be made.
        WorkerError: the tool refused the model, failed, crashed, took too long.
        ConversionError: what it made has other inputs or outputs.
    """
    source = job.source
    opened = open_environment(environment, job.progress)
    images = {f"input_{n}": spec.layout == "NCHW" for n, spec in enumerate(source.inputs)}
    folder = Path(tempfile.mkdtemp(prefix=".tool-", dir=job.folder))
    try:
        made = folder / "made.tflite"
        request = {
            "model": write_for_tool(model, folder, ir_version=ir_version),
            "tflite": made,
            "channels_last": [name for name, last in images.items() if last],
            "kept": [name for name, last in images.items() if not last],
        }
        try:
            opened.run(worker, request, folder=folder, timeout_s=TIMEOUT_S)
        except WorkerError as error:
            raise _told(error, bridge) from error
        data = made.read_bytes()
    finally:
        shutil.rmtree(folder)
    names = tuple(spec.name for spec in source.inputs)
    try:
        data = tensorflow_names(data, names, source.outputs, signature=_SIGNATURE)
    except ValueError as error:
        raise ConversionError(
            f"{bridge} made a model with other inputs or outputs: {error}",
            bridges=(_OTHERS[bridge],),
        ) from error
    file = job.folder / "model.float.tflite"
    file.write_bytes(data)
    return file


def open_converted(file: Path, source: SourceModel) -> SourceModel:
    """See ``Bridge.open``."""
    return float_tflite(file, tuple(map(channels_last, source.inputs)), source.outputs)


_NEWEST_OPSET = {"onnx2tf": 23, "onnx_tf": 17}
_REPLACE = "Export the model without them, from operators that both have."


def _knows(bridge: str, op: Operator, opset: int) -> bool:
    if bridge == "onnx2tf":
        return op.op in ONNX2TF  # it looks at no domain
    if op.domain or op.op not in ONNX_TF:
        return False
    onnx = require_onnx()
    try:
        since = onnx.defs.get_schema(op.op, opset, op.domain).since_version
    except onnx.defs.SchemaError:
        return False  # it came later, and has no earlier form
    return since in ONNX_TF[op.op]


def _kind(op: Operator) -> str:
    return f"{op.domain}.{op.op}" if op.domain else op.op


def _told(error: WorkerError, bridge: str) -> WorkerError:
    """The same error with its node and with what to do next."""
    op, layer = error.details.get("op"), error.details.get("layer")
    where = f" ({op} at {layer})" if op else ""
    return WorkerError(
        f"{error.message}{where}",
        hint=error.hint,
        bridges=(_OTHERS[bridge],),
        details=error.details,
    )
