"""What is missing or damaged in the environment that runs this, against its lock."""

from __future__ import annotations

import os
from importlib import import_module, metadata
from typing import Any

from protocol import serve


def work(request: dict[str, Any]) -> dict[str, Any]:
    """``packages`` maps names to versions, ``imports`` are tried once all of them are whole;
    ``damaged`` in the answer says why, by name."""
    damaged = {}
    for name, version in request["packages"].items():
        why = _fault(name, version)
        if why is not None:
            damaged[name] = why
    if not damaged:
        for name in request["imports"]:
            import_module(name)
    return {"damaged": damaged}


def _fault(name: str, version: str) -> Any:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return "it is gone"
    if found.version != version:
        return f"it is {found.version}, not {version}"
    if found.files is None:
        return "its list of files is gone"
    for file in found.files:
        # Only what pip unpacked: bytecode comes and goes, scripts were given another first line.
        if file.hash is None or file.suffix == ".pyc" or ".." in file.parts:
            continue
        try:
            size = os.stat(str(file.locate())).st_size
        except OSError:
            return f"{file} is gone"
        if file.size is not None and size != file.size:
            return f"{file} has {size} bytes, not {file.size}"
    return None


serve(work)
