"""Find and call the function that builds a PyTorch model.

``package.module:callable`` (dotted attributes allowed), ``file.py:callable``,
``torchvision:name`` and ``timm:name``.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from edgekit.cache import content_key, file_sha256
from edgekit.errors import EdgekitError, MissingError, SourceError
from edgekit.fetch import fetch_package
from edgekit.progress import Progress
from edgekit.recipe.schema import ModelSpec

_MODEL_LIBRARIES = ("torchvision", "timm")


@dataclass(frozen=True)
class Factory:
    """A located factory. ``paths`` are put in front of ``sys.path`` while it is imported."""

    text: str
    module: str
    attribute: str
    file: Path | None
    paths: tuple[Path, ...]
    fingerprint: str

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Build the model.

        Raises:
            MissingError: the module cannot be imported.
            SourceError: no such callable, or it raised, or made something that is no module.
        """
        import torch

        if self.module in _MODEL_LIBRARIES:
            module = self._from_library(arguments)
        else:
            module = self._invoke(self._resolve(self._import()), arguments)
        if not isinstance(module, torch.nn.Module):
            raise SourceError(
                f"model.factory {self.text} made a {type(module).__name__}, not a torch.nn.Module"
            )
        return module

    def _import(self) -> ModuleType:
        added = [str(path) for path in self.paths]
        sys.path[:0] = added
        try:
            if self.file is not None:
                return _import_file(self.file)
            return importlib.import_module(self.module)
        except ImportError as error:
            missing = error.name or self.module
            raise MissingError(
                f"model.factory {self.text}: cannot import {missing}: {error}",
                hint=f"Install the package that holds it, e.g. pip install {missing.split('.')[0]}",
            ) from error
        finally:
            for path in added:
                sys.path.remove(path)

    def _resolve(self, module: ModuleType) -> Any:
        found: Any = module
        for name in self.attribute.split("."):
            if not hasattr(found, name):
                near = get_close_matches(name, dir(found), n=1)
                owner = getattr(found, "__name__", found)
                raise SourceError(
                    f"model.factory {self.text}: {owner} has no {name!r}",
                    hint=f"Did you mean {near[0]!r}?" if near else None,
                )
            found = getattr(found, name)
        return found

    def _from_library(self, arguments: Mapping[str, Any]) -> Any:
        library = self._import()
        if self.module == "timm":
            return self._invoke(library.create_model, {"model_name": self.attribute, **arguments})
        models = importlib.import_module("torchvision.models")
        return self._invoke(models.get_model, {"name": self.attribute, **arguments})

    def _invoke(self, function: Any, arguments: Mapping[str, Any]) -> Any:
        try:
            return function(**arguments)
        except EdgekitError:
            raise
        except Exception as error:  # the user's own code
            raise SourceError(
                f"model.factory {self.text} raised {type(error).__name__}: {error}",
                hint="Call it in Python with model.factory_args to see the whole traceback.",
            ) from error


def locate(spec: ModelSpec, base: Path | None, progress: Progress) -> Factory:
    """Find the factory of ``spec`` and hash the code it stands in, importing none of it.

    Raises:
        SourceError: not of the form above, or a file that is not there.
        FetchError: a package of ``model.code`` could not be fetched.
    """
    text = spec.factory or ""
    left, colon, attribute = text.rpartition(":")
    if not colon or not left or not attribute:
        raise SourceError(
            f"model.factory {text!r} does not name a callable",
            hint="Write package.module:function, file.py:function or torchvision:mobilenet_v2.",
        )
    paths = tuple(
        fetch_package(code.source, sha256=code.sha256, progress=progress) for code in spec.code
    )
    file: Path | None = None
    if left.endswith(".py"):
        file = ((base or Path.cwd()) / left).resolve()
        if not file.is_file():
            raise SourceError(f"model.factory {text}: there is no file {file}")
    return Factory(
        text=text,
        module=left,
        attribute=attribute,
        file=file,
        paths=paths,
        fingerprint=_code_fingerprint(left, file, paths),
    )


def _code_fingerprint(module: str, file: Path | None, paths: tuple[Path, ...]) -> str:
    """Hash of the Python files the factory may use: its folder, or its top-level package."""
    if file is not None:
        sources = sorted(file.parent.glob("*.py"))
    else:
        sources = sorted(_package_files(module.split(".", 1)[0], paths))
    return content_key({"sources": [file_sha256(source) for source in sources]})


def _package_files(package: str, paths: tuple[Path, ...]) -> list[Path]:
    if package == "edgekit":  # of ourselves only the zoo defines models
        return list((Path(__file__).parent.parent / "zoo").glob("*.py"))
    for path in paths:
        if (path / package).is_dir():
            return list((path / package).rglob("*.py"))
    spec = importlib.util.find_spec(package)
    if spec is None:  # said properly, with a way out, when it is imported
        return []
    if spec.submodule_search_locations:
        return [f for folder in spec.submodule_search_locations for f in Path(folder).rglob("*.py")]
    return [Path(spec.origin)] if spec.origin else []


def _import_file(file: Path) -> ModuleType:
    # Importable by a name of its own, so that two recipes' model.py do not meet in sys.modules.
    name = f"edgekit_factory_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise SourceError(f"{file}:{error.lineno}: {error.msg}") from error
    finally:
        sys.path.remove(str(file.parent))
    return module
