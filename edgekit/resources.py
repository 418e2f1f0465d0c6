"""The data folders that ship with edgekit, found alike in a wheel and in a source checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from edgekit.errors import MissingError

_CHECKOUT = {"kotlin": "android_demo/core/src/main/kotlin/dev/edgekit/core"}
"""Where in a checkout a folder lies that has another name there."""


def shipped(folder: Literal["recipes", "calibration", "kotlin"]) -> Path:
    """The folder of shipped YAML files, or of the Kotlin core's sources.

    Installed, it is the package ``edgekit._<folder>``; in a checkout or an editable install it
    lies beside ``edgekit/``.

    Raises:
        MissingError: this installation has neither.
    """
    package = Path(str(files("edgekit")))
    for candidate in (package / f"_{folder}", package.parent / _CHECKOUT.get(folder, folder)):
        if candidate.is_dir():
            return candidate
    raise MissingError(
        f"this installation of edgekit has no '{folder}' folder",
        hint="Install it again from where it was installed from.",
    )
