"""Cross one bridge: convert, verify, and keep both in the cache."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from edgekit.bridges import BRIDGES, BridgeJob
from edgekit.bridges.verify import Hop, HopOutput, verify_hop
from edgekit.cache import Cache, content_key
from edgekit.progress import Progress
from edgekit.recipe.schema import OnnxSpec
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind, Sample

VERIFY_SAMPLES = 8
_HOP_FILE = "hop.json"
_AS_PREFERRED = OnnxSpec()


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
        MismatchError: the converted model answers differently.
    """
    bridge = BRIDGES[name].load()
    parts: dict[str, Any] = {
        "model": model.fingerprint,
        "bridge": name,
        "version": bridge.version(),
        "inputs": model.inputs,
        "outputs": model.outputs,
    }
    if BRIDGES[name].produces is ModelKind.ONNX:
        parts["onnx"] = onnx
    key = content_key(parts)

    def convert(folder: Path) -> None:
        with progress.task(f"Converting with {name}"):
            file = bridge.convert(BridgeJob(model, folder, onnx, progress))
        with (
            progress.task(f"Verifying {name}"),
            model.open_session(threads) as before,
            bridge.open(file, model).open_session(threads) as after,
        ):
            hop = verify_hop(name, before, after, list(islice(samples, VERIFY_SAMPLES)))
        fields = dataclasses.asdict(hop) | {"file": file.name}
        (folder / _HOP_FILE).write_text(json.dumps(fields), encoding="utf-8")

    entry = cache.get_or_make("graph", key, convert)
    fields = json.loads((entry.path / _HOP_FILE).read_text(encoding="utf-8"))
    hop = Hop(
        bridge=fields["bridge"],
        samples=fields["samples"],
        outputs=tuple(HopOutput(**output) for output in fields["outputs"]),
    )
    return Crossing(bridge.open(entry.path / fields["file"], model), hop, entry.cached)
