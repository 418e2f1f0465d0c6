"""PyTorch models: a factory with a state dict, an ExportedProgram ``.pt2``, a TorchScript file."""

from __future__ import annotations

import os
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgekit.cache import Cache, content_key, file_sha256
from edgekit.errors import MissingError, SourceError
from edgekit.fetch import fetch, fetch_first
from edgekit.progress import Progress
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.runtimes.session import Session
from edgekit.sources.factory import Factory
from edgekit.sources.factory import locate as locate_factory
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind

INSTALL_HINT = "pip install 'edgekit[torch]'"


def locate(spec: ModelSpec, base: Path | None, progress: Progress, cache: Cache) -> SourceModel:
    """As ``sources.locate``."""
    return _from_file(spec, base, progress) if spec.file else _from_factory(spec, base, progress)


def _from_file(spec: ModelSpec, base: Path | None, progress: Progress) -> SourceModel:
    assert spec.file is not None
    file = fetch(spec.file, sha256=spec.sha256, base=base, progress=progress)
    return saved_model(file, spec.inputs, spec.outputs)


def saved_model(file: Path, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...]) -> SourceModel:
    """The ``.pt2`` or TorchScript at ``file`` as a model.

    Raises:
        SourceError: it is neither.
    """
    kind = file_kind(file)
    return SourceModel(
        kind=kind,
        inputs=inputs,
        outputs=outputs,
        fingerprint=content_key({"file": file_sha256(file), "torch": torch_version()}),
        files={"model": file},
        loader=lambda: load_file(file, kind),
        opener=_open,
    )


def _from_factory(spec: ModelSpec, base: Path | None, progress: Progress) -> SourceModel:
    if spec.factory is None:
        raise SourceError("a pytorch model needs model.factory or model.file")
    factory = locate_factory(spec, base, progress)
    files: dict[str, Path] = {}
    if spec.weights:
        files["weights"] = fetch_first(
            spec.weights, sha256=spec.sha256, base=base, progress=progress
        )
    for number, more in enumerate(spec.more_weights, start=2):
        files[f"weights {number}"] = fetch(
            more.source, sha256=more.sha256, base=base, progress=progress
        )
    weights = tuple(files.values())
    fingerprint = content_key(
        {
            "factory": spec.factory,
            "arguments": dict(spec.factory_args),
            "code": factory.fingerprint,
            "weights": [file_sha256(file) for file in weights],
            "unused": spec.unused_weights,
            "torch": torch_version(),
        }
    )
    return SourceModel(
        kind=ModelKind.TORCH_MODULE,
        inputs=spec.inputs,
        outputs=spec.outputs,
        fingerprint=fingerprint,
        files=files,
        loader=lambda: _build(spec, factory, weights),
        opener=_open,
    )


def _build(spec: ModelSpec, factory: Factory, weights: tuple[Path, ...]) -> Any:
    torch = require_torch()
    from edgekit.sources import torch_weights

    module = factory.call(dict(spec.factory_args))
    if not isinstance(module, torch.nn.Module):
        raise SourceError(
            f"model.factory {spec.factory} made a {type(module).__name__}, not a torch.nn.Module"
        )
    if weights:
        torch_weights.load_into(
            module, *weights, trust_pickle=spec.trust_pickle, unused=spec.unused_weights
        )
    torch_weights.check_finite(module.state_dict())
    if any(entry.layout == "NCHW" for entry in spec.inputs):
        # Only strides change. Feeds come channels-last, and convolutions run twice as fast so.
        module.to(memory_format=torch.channels_last)
    return module.eval()


def file_kind(file: Path) -> ModelKind:
    """What a saved PyTorch file is, by its content: both formats are zip archives.

    Raises:
        SourceError: neither; a bare checkpoint is named as such.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.split("/", 1)[-1] for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(
            f"{file} is neither an ExportedProgram nor a TorchScript file: {error}",
            hint="Make one: torch.export.save(torch.export.export(model, inputs), 'model.pt2')",
        ) from error
    if "archive_format" in names or "serialized_exported_program.json" in names:
        return ModelKind.EXPORTED_PROGRAM
    if any(n.startswith("code/") for n in names) and "constants.pkl" in names:
        return ModelKind.TORCHSCRIPT
    if "data.pkl" in names:
        raise SourceError(
            f"{file} is a checkpoint (weights without the network)",
            hint="Give it as model.weights beside a model.factory, or export the model to .pt2.",
        )
    raise SourceError(f"{file} is a zip archive, but no PyTorch model")


def load_file(file: Path, kind: ModelKind) -> Any:
    """An ``ExportedProgram`` or a ``ScriptModule``.

    Raises:
        SourceError: torch cannot read it; its own reason is quoted.
    """
    torch = require_torch()
    from edgekit.sources import torch_weights

    try:
        if kind is ModelKind.EXPORTED_PROGRAM:
            model = torch.export.load(file)
        else:
            model = torch.jit.load(str(file), map_location="cpu").eval()
    except Exception as error:  # torch raises many types for a bad archive
        raise SourceError(
            f"torch {torch.__version__} cannot read {file}: {_first_line(error)}",
            hint="Save it again with this version of torch, or install the one that wrote it.",
        ) from error
    # A program has its state as a property, a module as a method.
    program = kind is ModelKind.EXPORTED_PROGRAM
    torch_weights.check_finite(model.state_dict if program else model.state_dict())
    return model


def _open(source: SourceModel, threads: int) -> Session:
    require_torch()
    from edgekit.runtimes.torch_module import TorchSession

    value = source.value
    module = value.module() if source.kind is ModelKind.EXPORTED_PROGRAM else value
    return TorchSession(module, source.inputs, source.outputs, threads=threads)


def require_torch() -> Any:
    """The torch module.

    Raises:
        MissingError: it is not installed.
    """
    # OpenMP threads that spin while they wait take ten times as long on a machine that is shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import torch
    except ImportError as error:
        raise MissingError("a PyTorch model needs the package torch", hint=INSTALL_HINT) from error
    return torch


def torch_version() -> str:
    """The installed version, without importing torch; empty when there is none."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
