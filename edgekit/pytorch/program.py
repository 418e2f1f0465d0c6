"""ExportedPrograms to files: graph, tensors, description, no more.

As torch saves it by default, a program carries its example inputs (whose storage may be a whole
calibration set), parameters that nothing reads any more and the Python stack of every operator.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch.export.graph_signature import InputKind

from edgekit.pytorch.description import FILE, Description
from edgekit.pytorch.export import quiet_warnings

TOOLS = ("torch", "torchao")
"""What a quantized program needs to run, for its description."""
# What the description of a node keeps: its shape, and the modules it came from.
_KEPT_META = ("val", "nn_module_stack")
_UNREAD = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


def save_program(
    program: torch.export.ExportedProgram, file: Path, description: Description
) -> None:
    """Write ``program`` to ``file``; it is stripped on the way, in place.

    ``torch.export.load(file).module()`` runs it again; a program with operators of torchao wants
    ``import torchao`` before. The same program gives the same tensors and the same graph.
    """
    strip(program)
    temporary = file.with_name(f".{file.name}.writing")
    try:
        with quiet_warnings(), temporary.open("wb") as stream:
            torch.export.save(program, stream, extra_files={FILE: description.to_json()})
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def strip(program: torch.export.ExportedProgram) -> None:
    """Remove example inputs, tensors that nothing reads and the trace of Python code, in place."""
    program.example_inputs = None
    _drop_unread(program)
    for module in program.graph_module.modules():
        if not isinstance(module, torch.fx.GraphModule):
            continue
        for node in module.graph.nodes:
            node.meta = {key: node.meta[key] for key in _KEPT_META if key in node.meta}
    _own_storage(program)


def _drop_unread(program: torch.export.ExportedProgram) -> None:
    signature, graph = program.graph_signature, program.graph_module.graph
    placeholders = {node.name: node for node in graph.nodes if node.op == "placeholder"}
    kept = []
    for spec in signature.input_specs:
        node = placeholders.get(getattr(spec.arg, "name", ""))
        if spec.kind in _UNREAD and node is not None and not node.users:
            graph.erase_node(node)
            continue
        kept.append(spec)
    signature.input_specs = kept
    read = {spec.target for spec in kept if spec.target is not None}
    for tensors in (program.state_dict, program.constants):
        for name in [name for name in tensors if name not in read]:
            del tensors[name]
    program.graph_module.recompile()


def _own_storage(program: torch.export.ExportedProgram) -> None:
    """A view is saved with all of the tensor it looks into."""
    for tensors in (program.state_dict, program.constants):
        for name, tensor in tensors.items():
            if isinstance(tensor, torch.Tensor) and _is_view(tensor):
                tensors[name] = _copied(tensor)


def _is_view(tensor: torch.Tensor) -> bool:
    return tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size()


def _copied(tensor: torch.Tensor) -> Any:
    copy = tensor.detach().clone()
    return torch.nn.Parameter(copy, False) if isinstance(tensor, torch.nn.Parameter) else copy
