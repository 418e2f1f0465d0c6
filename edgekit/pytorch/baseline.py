"""The float model as a file of the artefact's own format, to compare size and speed with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgekit.cache import Cache, content_key
from edgekit.pytorch.description import Description, describe
from edgekit.runtimes import open_timed
from edgekit.sources.pytorch import load_file, torch_version
from edgekit.sources.source import SourceModel
from edgekit.types import ArtefactFormat, ModelKind

_KINDS = {
    ArtefactFormat.PT2: ModelKind.EXPORTED_PROGRAM,
    ArtefactFormat.TORCHSCRIPT: ModelKind.TORCHSCRIPT,
}
# Raise when the float files change.
_REVISION = 2


def float_baseline(
    model: SourceModel,
    file_format: ArtefactFormat,
    runtime: str,
    write: Callable[[Path, Description], object],
    *,
    cache: Cache,
) -> SourceModel:
    """``model`` as a float file in the cache, opened by ``runtime`` and compiled where that can be.

    ``write`` makes the file of PT2 or TORCHSCRIPT, if it is not there.
    """
    key = content_key(
        {
            "model": model.fingerprint,
            "inputs": model.inputs,
            "outputs": model.outputs,
            "torch": torch_version(),
            "revision": _REVISION,
        }
    )
    name, kind = f"model.{file_format.value}", _KINDS[file_format]

    def make(folder: Path) -> None:
        write(folder / name, describe(model.inputs, model.outputs, kept_float={}))

    file = cache.get_or_make(f"float_{file_format.value}", key, make).path / name
    return SourceModel(
        kind=kind,
        inputs=model.inputs,
        outputs=model.outputs,
        fingerprint=key,
        files={"model": file},
        loader=lambda: load_file(file, kind),
        opener=lambda source, threads: open_timed(
            source.files["model"], threads=threads, runtime=runtime
        ),
    )
