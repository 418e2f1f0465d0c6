"""Cross one bridge: convert, verify, and keep both in the cache."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from edgekit.bridges import BRIDGES, BridgeJob
from edgekit.bridges.verify import Hop, HopOutput, converted_answers, verify_hop
from edgekit.cache import Cache, content_key
from edgekit.progress import Progress
from edgekit.recipe.schema import OnnxSpec
from edgekit.runtimes import open_session
from edgekit.sources.source import SourceModel
from edgekit.types import ArtefactFacts, ModelKind, Sample

VERIFY_SAMPLES = 8
_HOP_FILE = "hop.json"
_AS_PREFERRED = OnnxSpec()
# Raise when what is remembered of a hop changes: cached graphs are then remade.
_REVISION = 2
_INSPECTORS = {
    ModelKind.FLOAT_TFLITE: "edgekit.tflite.facts",
    ModelKind.ONNX: "edgekit.onnx.facts",
}
"""Module with ``inspect(file) -> ArtefactFacts`` of the kinds whose operators can be read."""


@dataclasses.dataclass(frozen=True)
class Crossing:
    """Where a bridge led: the converted model, what its check found, whether it was remembered."""

    model: SourceModel
    hop: Hop
    cached: bool


def cross(
    name: str,
    model: SourceModel,
    samples: Iterable[Sample],
    *,
    threads: int,
    cache: Cache,
    progress: Progress,
    onnx: OnnxSpec = _AS_PREFERRED,
) -> Crossing:
    """Take ``model`` over the bridge called ``name``; the first few of ``samples`` verify it.

    Raises:
        MissingError: a package the bridge needs is not installed.
        ConversionError: the converter refused the model.
        SessionError: the converted model fails, or takes its runtime down.
        MismatchError: the converted model answers differently; with the figures, where there are
            any, as WrongAnswersError.
    """
    bridge = BRIDGES[name].load()
    parts: dict[str, Any] = {
        "model": model.fingerprint,
        "bridge": name,
        "version": bridge.version(),
        "hop": _REVISION,
        "inputs": model.inputs,
        "outputs": model.outputs,
    }
    if BRIDGES[name].produces is ModelKind.ONNX:
        parts["onnx"] = onnx
    key = content_key(parts)

    def convert(folder: Path) -> None:
        start = time.perf_counter()
        with progress.task(f"Converting with {name}"):
            file = bridge.convert(BridgeJob(model, folder, onnx, progress))
        seconds = round(time.perf_counter() - start, 3)
        _try_out(name, file, samples)
        with (
            progress.task(f"Verifying {name}"),
            model.open_session(threads) as before,
            bridge.open(file, model).open_session(threads) as after,
        ):
            hop = verify_hop(name, before, after, list(islice(samples, VERIFY_SAMPLES)))
        facts = _facts(BRIDGES[name].produces, file)
        if facts is not None:
            hop = dataclasses.replace(hop, ops=facts.ops, transposes=facts.transposes)
        hop = dataclasses.replace(hop, seconds=seconds)
        fields = dataclasses.asdict(hop) | {"file": file.name}
        (folder / _HOP_FILE).write_text(json.dumps(fields), encoding="utf-8")

    entry = cache.get_or_make("graph", key, convert)
    fields = json.loads((entry.path / _HOP_FILE).read_text(encoding="utf-8"))
    file = entry.path / fields.pop("file")
    outputs = tuple(HopOutput(**output) for output in fields.pop("outputs"))
    return Crossing(bridge.open(file, model), Hop(outputs=outputs, **fields), entry.cached)


def _try_out(name: str, file: Path, samples: Iterable[Sample]) -> None:
    """A file that crashes its runtime is to cost a child process, not the run."""
    if BRIDGES[name].produces is ModelKind.FLOAT_TFLITE:
        with open_session(file, isolated=True) as session:
            converted_answers(name, session, islice(samples, 1))


def _facts(kind: ModelKind, file: Path) -> ArtefactFacts | None:
    if kind not in _INSPECTORS:
        return None
    facts: ArtefactFacts = import_module(_INSPECTORS[kind]).inspect(file)
    return facts
