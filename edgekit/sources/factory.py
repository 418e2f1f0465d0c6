"""Find and call the function that builds a model, and other functions a recipe names.

``package.module:callable`` (dotted attributes allowed), ``file.py:callable``; of model.factory also
``torchvision:name`` and ``timm:name``.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from edgekit.cache import content_key, file_sha256
from edgekit.errors import EdgekitError, MissingError, SourceError, UsageError
from edgekit.fetch import fetch_package
from edgekit.fetch.source import parse_source
from edgekit.progress import Progress
from edgekit.recipe.schema import ModelSpec


@dataclass(frozen=True)
class Factory:
    """A located function. ``paths`` go in front of ``sys.path`` while it is imported and called;
    ``key`` is where the recipe names it."""

    text: str
    module: str
    attribute: str
    file: Path | None
    paths: tuple[Path, ...]
    fingerprint: str
    key: str = "model.factory"

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Whatever the function makes of ``arguments``.

        Raises:
            MissingError: a module is not installed.
            SourceError: no such callable, or it raised.
        """
        # The code may import more of itself when it is called.
        with importable(self.paths):
            return self._invoke(*self._callable(arguments))

    def function(self) -> Callable[..., Any]:
        """The function itself; call it while ``importable(paths)``: it may import more.

        Raises:
            MissingError: a module is not installed.
            SourceError: no such callable, or importing it raised.
        """
        with importable(self.paths):
            found = self._resolve(self._import(self.module))
        if not callable(found):
            raise SourceError(f"{self.key} {self.text} is a {type(found).__name__}, no function")
        function: Callable[..., Any] = found
        return function

    def _callable(self, arguments: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """The function to call, and its keyword arguments."""
        if self.module == "timm":
            function = self._import("timm").create_model
            return function, {"model_name": self.attribute, **arguments}
        if self.module == "torchvision":
            function = self._import("torchvision.models").get_model
            return function, {"name": self.attribute, **arguments}
        return self._resolve(self._import(self.module)), arguments

    def _import(self, name: str) -> ModuleType:
        try:
            return importlib.import_module(name) if self.file is None else _import_file(self.file)
        except ModuleNotFoundError as error:
            missing = error.name or name
            raise MissingError(
                f"{self.key} {self.text}: there is no module {missing}",
                hint=f"Install the package that holds it, e.g. pip install {missing.split('.')[0]}",
            ) from error
        except SyntaxError as error:
            raise SourceError(f"{error.filename}:{error.lineno}: {error.msg}") from error
        except SystemExit as error:
            what = f"{self.key} {self.text}: importing {self.file or name}"
            raise exit_told(error, what) from error
        except Exception as error:  # the user's own code
            raise SourceError(
                f"{self.key} {self.text}: importing {self.file or name} raised "
                f"{type(error).__name__}: {error}",
                hint="Import it in Python to see the whole traceback.",
            ) from error

    def _resolve(self, module: ModuleType) -> Any:
        found: Any = module
        for name in self.attribute.split("."):
            if not hasattr(found, name):
                near = get_close_matches(name, dir(found), n=1)
                # A file is imported under a name of ours, which nobody has written.
                owner = self.module if found is module else getattr(found, "__name__", found)
                raise SourceError(
                    f"{self.key} {self.text}: {owner} has no {name!r}",
                    hint=f"Did you mean {near[0]!r}?" if near else None,
                )
            found = getattr(found, name)
        return found

    def _invoke(self, function: Any, arguments: Mapping[str, Any]) -> Any:
        try:
            return function(**arguments)
        except EdgekitError:
            raise
        except SystemExit as error:
            raise exit_told(error, f"{self.key} {self.text}") from error
        except Exception as error:  # the user's own code
            raise SourceError(
                f"{self.key} {self.text} raised {type(error).__name__}: {error}",
                hint="Call it in Python with model.factory_args to see the whole traceback.",
            ) from error


def locate(spec: ModelSpec, base: Path | None, progress: Progress) -> Factory:
    """Find the factory of ``spec`` and hash the code it stands in, importing none of it.

    Raises:
        SourceError: not of the form above, or a file that is not there.
        FetchError: a package of ``model.code`` could not be fetched.
    """
    text = spec.factory or ""
    module, attribute = _parts(text, "model.factory")
    paths = tuple(
        fetch_package(code.source, sha256=code.sha256, base=base, progress=progress)
        for code in spec.code
    )
    local = [
        path
        for code, path in zip(spec.code, paths, strict=True)
        if parse_source(code.source).scheme == "file"
    ]
    file = _own_file(text, module, base, "model.factory")
    if file is not None:
        paths = (*paths, file.parent)
    return Factory(
        text=text,
        module=module,
        attribute=attribute,
        file=file,
        paths=paths,
        fingerprint=content_key(
            {
                "packages": [[code.source, code.sha256] for code in spec.code],
                "folders": [_hashes(folder.rglob("*.py")) for folder in local],
                "factory": _hashes(_factory_files(module, file, paths)),
            }
        ),
    )


def locate_function(text: str, base: Path | None, *, key: str) -> Factory:
    """Find the function that a recipe names under ``key``, importing nothing.

    Raises:
        SourceError: not of the form above, or a file that is not there.
    """
    module, attribute = _parts(text, key)
    file = _own_file(text, module, base, key)
    paths = () if file is None else (file.parent,)
    code = {"code": _hashes(_factory_files(module, file, paths))}
    return Factory(text, module, attribute, file, paths, content_key(code), key)


@contextmanager
def importable(paths: tuple[Path, ...]) -> Iterator[None]:
    """``paths`` in front of ``sys.path`` while the block runs."""
    added = [str(path) for path in paths]
    sys.path[:0] = added
    try:
        yield
    finally:
        for path in added:
            sys.path.remove(path)


def exit_told(error: SystemExit, what: str, told_as: type[UsageError] = SourceError) -> UsageError:
    """The error for a ``sys.exit`` of the user's own code, which would end edgekit with a code of
    its own choice: 0 would pass the gate. ``what`` is what called it."""
    frames = traceback.extract_tb(error.__traceback__)
    installed = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    others = (*installed, str(Path(__file__).parents[1]))
    own = [
        frame
        for frame in frames
        if not frame.filename.startswith("<")  # exit() itself is frozen
        and not any(Path(frame.filename).is_relative_to(folder) for folder in others)
    ]
    place = (own or frames)[-1]
    return told_as(
        f"{what} called sys.exit({'' if error.code is None else repr(error.code)})",
        hint=f"at {place.filename}:{place.lineno}; return, or raise an error, instead",
    )


def users_line(error: Exception, located: Factory) -> str:
    """Where in the user's own files, innermost first; TensorFlow has frames of Python as text."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    told = re.findall(r'File "([^"]+)", line (\d+)', str(error))
    frames += [(file, int(line)) for file, line in told]
    own = [
        (file, line)
        for file, line in frames
        if any(Path(file).is_relative_to(folder) for folder in located.paths)
    ]
    file, line = (own or frames)[-1]
    return f"at {file}:{line}"


@contextmanager
def exits_told(what: str) -> Iterator[None]:
    """``exit_told`` of a ``sys.exit`` in the block, or in the function that this decorates.

    Raises:
        SourceError: ``what`` called it.
    """
    try:
        yield
    except SystemExit as error:
        raise exit_told(error, what) from error


def _parts(text: str, key: str) -> tuple[str, str]:
    module, _, attribute = text.rpartition(":")
    if not module or not attribute:
        raise SourceError(
            f"{key} {text!r} does not name a callable",
            hint="Write package.module:function, file.py:function"
            + (" or torchvision:mobilenet_v2." if key == "model.factory" else "."),
        )
    return module, attribute


def _own_file(text: str, module: str, base: Path | None, key: str) -> Path | None:
    """The file of ``file.py:callable``; ``None`` for a module."""
    if not module.endswith(".py"):
        return None
    file = ((base or Path.cwd()) / module).resolve()
    if not file.is_file():
        raise SourceError(f"{key} {text}: there is no file {file}")
    return file


def _factory_files(module: str, file: Path | None, paths: tuple[Path, ...]) -> Iterable[Path]:
    """The Python files beside the factory's, or all of its top-level package."""
    if file is not None:
        return file.parent.glob("*.py")
    package = module.split(".", 1)[0]
    if package == "edgekit":  # of ourselves only the zoo defines models
        return (Path(__file__).parent.parent / "zoo").glob("*.py")
    spec = importlib.machinery.PathFinder.find_spec(package, list(map(str, paths)))
    if spec is None and package in sys.modules:  # it may have no spec, like __main__ of a script
        origin = getattr(sys.modules[package], "__file__", None)
        spec = sys.modules[package].__spec__
        if spec is None:
            return [Path(origin)] if origin else []
    spec = spec or importlib.util.find_spec(package)
    if spec is None:  # said properly, with a way out, when it is imported
        return []
    folders = spec.submodule_search_locations
    if folders:
        return (file for folder in folders for file in Path(folder).rglob("*.py"))
    return [Path(spec.origin)] if spec.has_location and spec.origin else []


def _hashes(files: Iterable[Path]) -> list[str]:
    return [file_sha256(file) for file in sorted(files)]


def _import_file(file: Path) -> ModuleType:
    # Importable by a name of its own, so that two recipes' model.py do not meet in sys.modules.
    name = f"edgekit_factory_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
