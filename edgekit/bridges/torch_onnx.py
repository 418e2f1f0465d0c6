"""PyTorch to ONNX by torch.onnx, channels-first as it is."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bridges.bridge import Bridge, BridgeJob
from edgekit.bridges.to_onnx import batch_symbol, finish, open_onnx, refuse_opset, refuse_size
from edgekit.bridges.torch_onnx_errors import exporter
from edgekit.errors import ConversionError
from edgekit.onnx.names import name_layers, rename_tensors
from edgekit.recipe.schema import InputSpec
from edgekit.sources.pytorch import require_torch
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind

# Raise when what this module writes changes for the same input: cached models are then remade.
_REVISION = 1
# What torch.onnx itself states: below 18 the newer exporter can only translate back, and where it
# cannot, silently writes 18; the older one knows no operator that came after 20.
_DYNAMO_OPSETS = range(18, 24)
_TORCHSCRIPT_OPSETS = range(13, 21)
_OPSETS = range(_TORCHSCRIPT_OPSETS[0], _DYNAMO_OPSETS[-1] + 1)
_ROOT = "model."  # of every path: our wrapper holds the user's model under this name
_SCOPES = "pkg.torch.onnx.name_scopes"
_TRACING = "torch.onnx's TorchScript exporter"
# How both exporters, and torch.export below them, speak of a branch that hangs on values.
_DATA_DEPENDENT = re.compile(r"data-dependent|DataDependent|unbacked", re.IGNORECASE)


class TorchOnnx:
    """torch.export's exporter first; the older one, which traces, where that fails."""

    def version(self) -> str:
        tools = ("torch", "onnx", "onnxscript", "onnxslim")
        return ", ".join(f"{tool} {version(tool)}" for tool in tools) + f", {_REVISION}"

    def convert(self, job: BridgeJob) -> Path:
        refuse_opset(job.onnx.opset, "torch.onnx", _OPSETS)
        torch = require_torch()
        from edgekit.bridges.channels_last import ChannelsLast

        source = job.source
        exporting = _Exporting(
            # Of layout 'any' nothing is permuted; what is left is the order of the outputs.
            ChannelsLast(
                _module(source),
                tuple(replace(spec, layout="any") for spec in source.inputs),
                source.outputs,
            ),
            tuple(_example(torch, spec, job.onnx.free_batch) for spec in source.inputs),
            source.inputs,
            job.onnx.opset,
            job.onnx.free_batch,
        )
        refuse_size(_weight_bytes(source.value))
        return finish(job, _exported(exporting, job))

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        return open_onnx(file, source)


def make() -> Bridge:
    return TorchOnnx()


@dataclass(frozen=True)
class _Exporting:
    """What is exported, and how."""

    module: Any
    examples: tuple[Any, ...]
    inputs: tuple[InputSpec, ...]
    opset: int | None
    free_batch: bool

    @property
    def names(self) -> list[str]:
        return [spec.name for spec in self.inputs]


def _exported(exporting: _Exporting, job: BridgeJob) -> Any:
    """The ``ModelProto`` of the first exporter that takes the model."""
    free = exporting.free_batch
    if job.source.kind is ModelKind.TORCHSCRIPT:  # branches in it are written down: none gets lost
        with exporter(_TRACING, free_batch=free):
            return _by_torchscript(exporting)
    opset = exporting.opset
    try:
        with exporter("torch.onnx", free_batch=free):
            if opset is None or opset in _DYNAMO_OPSETS:
                return _by_dynamo(exporting)
            # Tracing keeps the branch that the example takes, and says nothing; this refuses.
            _capture(exporting)
    except ConversionError as error:
        return _traced_instead(error, exporting, job)
    with exporter(_TRACING, free_batch=free):
        return _by_torchscript(exporting)


def _traced_instead(first: ConversionError, exporting: _Exporting, job: BridgeJob) -> Any:
    if exporting.opset is not None and exporting.opset not in _TORCHSCRIPT_OPSETS:
        raise first
    if _DATA_DEPENDENT.search(first.message):
        raise ConversionError(
            first.message,
            hint="A branch in the model hangs on the values it is fed. Write it with torch.where "
            "or torch.cond, or leave it to the app.",
        ) from first
    with warnings.catch_warnings(record=True) as said:
        try:
            with exporter(_TRACING, free_batch=exporting.free_batch, warn="always"):
                model = _by_torchscript(exporting)
        except ConversionError as second:
            raise ConversionError(
                f"{first.message}; neither could its TorchScript exporter: "
                f"{second.message.partition(': ')[2]}",
                hint=first.hint,
            ) from first
    fixed = [each for each in said if "might cause the trace to be incorrect" in str(each.message)]
    places = dict.fromkeys(f"{Path(each.filename).name}:{each.lineno}" for each in fixed)
    job.progress.warn(
        "torch_onnx: exported by tracing (the TorchScript exporter), for the newer exporter "
        f"failed: {first.message.partition(': ')[2]}"
        + (f"; fixed as it was for an example: what {', '.join(places)} decides" if places else "")
    )
    return model


def _capture(exporting: _Exporting) -> None:
    import torch

    torch.export.export(
        exporting.module,
        exporting.examples,
        dynamic_shapes=_dynamic_shapes(exporting),
        strict=False,
    )


def _dynamic_shapes(exporting: _Exporting) -> Any:
    import torch

    if not exporting.free_batch:
        return None
    return (tuple(_free(torch, spec, exporting.inputs) for spec in exporting.inputs),)


def _by_dynamo(exporting: _Exporting) -> Any:
    import torch

    program = torch.onnx.export(
        exporting.module,
        exporting.examples,
        dynamo=True,
        verbose=False,
        opset_version=exporting.opset,
        dynamic_shapes=_dynamic_shapes(exporting),
    )
    assert program is not None
    model = program.model_proto
    name_layers(model, _layer)
    return _without_root(model)


def _by_torchscript(exporting: _Exporting) -> Any:
    import onnx
    import torch

    buffer: Any = io.BytesIO()  # which this exporter takes, though its types do not say so
    trace: Any = torch.jit.trace
    with torch.no_grad():
        # Traced first: the exporter would switch a program to its training mode and back, which
        # that refuses, and cannot look into a module that holds a script.
        traced = trace(exporting.module, exporting.examples, check_trace=False)
        torch.onnx.export(
            traced,
            exporting.examples,
            buffer,
            dynamo=False,
            opset_version=exporting.opset,
            input_names=exporting.names,
            dynamic_axes={
                spec.name: {0: batch_symbol(spec, exporting.inputs)}
                for spec in exporting.inputs
                if exporting.free_batch and spec.shape
            },
        )
    model = onnx.load_from_string(buffer.getvalue())
    _add_unused_inputs(model, exporting)
    name_layers(model, _traced_layer)
    return _without_root(model)


def _without_root(model: Any) -> Any:
    """Weights are called as in the user's model; after the layers, which their names tell."""
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    plain = {tensor.name: tensor.name.removeprefix(_ROOT) for tensor in model.graph.initializer}
    rename_tensors(model, {old: new for old, new in plain.items() if new not in taken})
    return model


def _add_unused_inputs(model: Any, exporting: _Exporting) -> None:
    """Tracing drops an input that reaches no output; whoever feeds the model still feeds it."""
    import onnx

    found = {value.name: value for value in model.graph.input}
    values = []
    for spec in exporting.inputs:
        dtype = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
        value = onnx.helper.make_tensor_value_info(spec.name, dtype, spec.shape)
        values.append(found.get(spec.name, value))
    del model.graph.input[:]
    model.graph.input.extend(values)


def _layer(node: Any) -> str:
    """The module that a node belongs to: ``features.0.1``, not ``node_Conv_806``.

    The name of its weight tells, else the scope that the exporter wrote down; a program that was
    exported before has lost its scopes.
    """
    weights = (name for name in node.input if name.startswith(_ROOT) and "." in name[len(_ROOT) :])
    scopes = next((p.value for p in node.metadata_props if p.key == _SCOPES), "")
    path = re.findall(r"'([^']*)'", scopes)
    module = next(weights, "").rpartition(".")[0] or (path[-2] if len(path) > 1 else "")
    operator = path[-1] if path else node.name.removeprefix("node_")
    return f"{module}.".removeprefix(_ROOT).strip(".") or operator.strip("_") or node.op_type


def _traced_layer(node: Any) -> str:
    """As ``_layer``, of the names that tracing gives: ``/model/features/0/1/Conv``."""
    *modules, operator = node.name.removeprefix("/").split("/")
    return ".".join(modules[1:]) or operator or str(node.op_type)


def _module(source: SourceModel) -> Any:
    return source.value.module() if source.kind is ModelKind.EXPORTED_PROGRAM else source.value


def _weight_bytes(model: Any) -> int:
    state = model.state_dict
    tensors = (state() if callable(state) else state).values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _example(torch: Any, spec: InputSpec, free_batch: bool) -> Any:
    shape = list(spec.shape)
    if free_batch and shape and shape[0] == 1:
        shape[0] = 2  # torch.export takes a size of 1 for a constant
    dtype = getattr(torch, spec.dtype)
    # Seeded: the values do not reach the graph, but nothing here should depend on chance.
    generator = torch.Generator().manual_seed(0)
    if dtype.is_floating_point:
        return torch.rand(shape, generator=generator, dtype=dtype)
    return torch.zeros(shape, dtype=dtype)


def _free(torch: Any, spec: InputSpec, inputs: tuple[InputSpec, ...]) -> Any:
    return {0: torch.export.Dim(batch_symbol(spec, inputs))} if spec.shape else None
