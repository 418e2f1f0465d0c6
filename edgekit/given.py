"""An artefact that was made elsewhere, or before: what it is, and which of its ends are which.

Names decide. Where a converter gave others, as most do, one input and one output can only be the
model's one input and one output, and several are told apart by their shapes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgekit.artefact import open_artefact
from edgekit.cache import file_sha256
from edgekit.errors import MismatchError, UsageError
from edgekit.inspection import file_format
from edgekit.recipe.schema import ModuleRule
from edgekit.report.saved import read_run
from edgekit.runs.manifest import FILE as MANIFEST_FILE
from edgekit.sources.source import SourceModel
from edgekit.tflite.float_rules import kept_float
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.names import unique_names
from edgekit.tflite.rewrite import rewrite_for_int8
from edgekit.types import KEPT_FLOAT, Artefact, ArtefactFormat, TensorInfo

GIVEN = "given"
"""Stands where reports of edgekit's own runs name a method."""
RUNTIMES = {ArtefactFormat.TFLITE: "litert", ArtefactFormat.ONNX: "onnxruntime"}
"""Of the formats that can be judged without the run that made them."""

Shapes = Mapping[str, tuple[int, ...]]


def given_artefact(model: Path, folder: Path) -> Artefact:
    """A copy in ``folder`` of the model file ``model``, or of the one in the run folder ``model``.

    Raises:
        UsageError: there is none, or it is of a kind that cannot be judged by itself.
    """
    method, file = GIVEN, model
    if model.is_dir():
        report = read_run(model).report
        file = model / report["artefact"]["path"]
        if _is_as_made(file):
            method = report["method"]
    found = file_format(file)
    if found not in RUNTIMES:
        raise UsageError(
            f"{file} is a .{found.value}, and the gate judges .tflite and .onnx files",
            hint="edgekit quantize judges what it makes of a PyTorch model itself.",
        )
    copy = folder / f"model.{found.value}"
    shutil.copyfile(file, copy)
    return Artefact(copy, found, method, RUNTIMES[found])


def _is_as_made(file: Path) -> bool:
    """Whether ``file`` in a run folder is still the one that the run wrote."""
    try:
        outputs = json.loads((file.parent / MANIFEST_FILE).read_text(encoding="utf-8"))["outputs"]
        return bool(outputs[file.name]["sha256"] == file_sha256(file))
    except (OSError, ValueError, LookupError, TypeError):
        return False  # then it is a file like any other


def left_float(artefact: Artefact, model: SourceModel, modules: Sequence[ModuleRule]) -> Artefact:
    """``artefact`` with the layers that the recipe's rules leave float in ``model``, the float
    ``.tflite``: the recipe says so, whatever a report claims.

    Raises:
        RecipeError: a rule matches no operator.
    """
    data, _ = rewrite_for_int8(unique_names(model.files["model"].read_bytes()))
    kept = kept_float(parse_graph(data), modules)
    return replace(artefact, notes={**artefact.notes, KEPT_FLOAT: kept}) if kept else artefact


def with_ends(
    artefact: Artefact, inputs: Shapes, outputs: tuple[str, ...], shapes: Callable[[], Shapes]
) -> Artefact:
    """``artefact`` with its ends called as the model's: ``inputs`` by shape, channels last, and
    ``outputs``, of which ``shapes`` are asked for only where names do not tell.

    Raises:
        SessionError: the file cannot be loaded, or crashes its runtime.
        MismatchError: its ends are not the model's; both are named.
    """
    with open_artefact(artefact, isolated=True) as session:
        info = session.info
    names = _named("input", info.inputs, tuple(inputs), lambda: inputs)
    names |= _named("output", info.outputs, outputs, shapes)
    return replace(artefact, renamed=names)


def _named(
    end: str, found: tuple[TensorInfo, ...], wanted: tuple[str, ...], shapes: Callable[[], Shapes]
) -> dict[str, str]:
    """From the file's names to the model's, of those that differ."""
    own = [tensor.name for tensor in found]
    if set(own) == set(wanted):
        return {}
    if len(own) == len(wanted) == 1:
        return {own[0]: wanted[0]}
    pairs: dict[str, str] = {}
    if len(own) == len(wanted):
        of_model = shapes()
        for name in wanted:
            alike = [t.name for t in found if _fits(t.shape, of_model[name])]
            if len(alike) == 1:
                pairs[alike[0]] = name
    if len(pairs) != len(wanted):
        raise MismatchError(
            f"the file's {end}s are {', '.join(f'{t.name} {list(t.shape)}' for t in found)}; the "
            f"model's are {', '.join(wanted)}, and which is which cannot be told",
            hint=f"Name the file's {end}s as the recipe does (model.{end}s), or make it from the "
            "recipe's model.",
        )
    return {own_name: name for own_name, name in pairs.items() if own_name != name}


def _fits(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """But for the batch."""
    return found[1:] == wanted[1:]
