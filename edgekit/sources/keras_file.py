"""What a Keras file says before it is loaded: its form, its version, and whether it holds code.

Loading runs what the file says. tf_keras, and Keras 3 for some files, unpack Lambda layers whatever
they are told, so the network's description is read here first, without Keras.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgekit.errors import MissingError, SourceError

Library = Literal["keras", "tf_keras"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\3\4"
_AGAIN = "Fetch or copy it again."
_SUFFIXES = {"keras": (".keras",), "h5": (".h5", ".hdf5")}


@dataclass(frozen=True)
class KerasFile:
    """``version`` is the Keras that wrote it; ``config`` the network as plain JSON values."""

    form: Literal["keras", "h5"]
    version: str
    config: Mapping[str, Any]

    @property
    def library(self) -> Library:
        """The package that reads it: ``keras`` is Keras 3, ``tf_keras`` all that came before."""
        return "keras" if self.version.startswith("3.") else "tf_keras"


def read_keras_file(file: Path) -> KerasFile:
    """Look into a ``.keras``, ``.h5`` or ``.hdf5`` file.

    Raises:
        SourceError: another format, damaged, or weights without the network.
        MissingError: HDF5 without the package that reads it.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise SourceError(f"cannot read the model file {file}: {error.strerror}") from error
    if head == _HDF5:
        found = _read_h5(file)
    elif head[:4] == _ZIP:
        found = _read_zip(file)
    else:
        raise SourceError(
            f"{file} is no Keras file: neither HDF5 nor a .keras archive",
            hint=_other_format(head),
        )
    major = found.version.split(".", 1)[0]
    if major not in ("1", "2", "3"):
        raise SourceError(
            f"{file} was written by Keras {found.version}; edgekit reads those of Keras 1 to 3"
        )
    if not file.name.endswith(_SUFFIXES[found.form]):  # Keras goes by the name alone
        suffix = _SUFFIXES[found.form][0]
        raise SourceError(
            f"{file} holds a {suffix} file under another name", hint=f"Rename it to *{suffix}."
        )
    return found


def _read_h5(file: Path) -> KerasFile:
    try:
        import h5py
    except ImportError as error:
        raise MissingError(
            f"{file.name} is an HDF5 file, and the package h5py is not installed",
            hint="pip install 'edgekit[tensorflow]'",
        ) from error
    try:
        with h5py.File(file, "r") as content:
            config, version = (_text(content, key) for key in ("model_config", "keras_version"))
            names = set(content) | set(content.attrs)
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} is a damaged HDF5 file: {error}", hint=_AGAIN) from error
    if config is None:
        if names & {"layer_names", "layers", "_layer_checkpoint_dependencies", "vars"}:
            raise SourceError(
                f"{file} holds weights without the network",
                hint="Give it as model.weights, beside a model.factory that builds the network.",
            )
        raise SourceError(f"{file} is an HDF5 file, but no Keras model")
    # Keras began to write its version late in the days of Keras 1.
    return KerasFile("h5", version or "1", _json(config, file))


def _text(content: Any, key: str) -> str | None:
    value = content.attrs.get(key)
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _read_zip(file: Path) -> KerasFile:
    try:
        with zipfile.ZipFile(file) as archive:
            if not {"config.json", "metadata.json"} <= set(archive.namelist()):
                raise SourceError(f"{file} is a zip archive, but no .keras file")
            config, metadata = (archive.read(f"{name}.json") for name in ("config", "metadata"))
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"{file} is a damaged archive: {error}", hint=_AGAIN) from error
    version = _json(metadata, file).get("keras_version")
    if not isinstance(version, str):
        raise SourceError(f"{file} does not say which Keras wrote it", hint=_AGAIN)
    return KerasFile("keras", version, _json(config, file))


def _json(text: str | bytes, file: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{file} is damaged: {error}", hint=_AGAIN) from error
    if not isinstance(value, dict):
        raise SourceError(f"{file} is damaged: its description is no mapping", hint=_AGAIN)
    return value


def _other_format(head: bytes) -> str:
    if head[4:8] == b"TFL3":
        return "It is a .tflite file: write framework: tflite."
    return "A file that was cut at its start, or of another format; see docs/tensorflow.md."


def lambda_layers(config: Mapping[str, Any]) -> list[str]:
    """Paths of the layers that hold Python code, e.g. ``encoder/scale``."""
    found = []
    for path, node in _nodes(config):
        kind = re.split(r"[.>]", str(node.get("class_name")))[-1]
        code = any(
            value == "lambda" and key.endswith(("function_type", "fn_type"))
            for key, value in node.items()
        )
        if code or kind in ("Lambda", "__lambda__"):
            found.append("/".join(path) or kind)
    return list(dict.fromkeys(found))


def layer_that_names(config: Mapping[str, Any], name: str) -> str | None:
    """Path of the first layer whose class, or whose activation or the like, is called ``name``."""
    for path, node in _nodes(config):
        texts = [text for text in node.values() if isinstance(text, str)]
        if path and any(text == name or text.endswith(f">{name}") for text in texts):
            return "/".join(path)
    return None


def _nodes(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every mapping in ``config``, outer ones first, with the names of the layers around it.

    The model's own name is left out. No recursion: a hostile file may be nested deeply.
    """
    waiting: list[tuple[tuple[str, ...], Any, bool]] = [((), config, True)]
    while waiting:
        path, value, outermost = waiting.pop()
        if isinstance(value, list):
            waiting += [(path, item, False) for item in reversed(value)]
        elif isinstance(value, dict):
            inner, name = value.get("config"), None
            if "class_name" in value and isinstance(inner, dict) and not outermost:
                name = inner.get("name") or value.get("name")
            below = (*path, name) if isinstance(name, str) else path
            yield below, value
            waiting += [(below, item, False) for item in reversed(list(value.values()))]
