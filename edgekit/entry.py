"""A row of a table of parts that are imported when they are used: methods, bridges."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from edgekit.errors import MissingError


@dataclass(frozen=True, kw_only=True)
class Entry:
    """``module`` has a function ``make()``; ``requires`` are import names it cannot do without,
    ``install`` the command that brings them, ``summary`` one line for people."""

    module: str
    requires: tuple[str, ...]
    install: str
    summary: str

    @property
    def missing(self) -> tuple[str, ...]:
        """The required packages that are not installed."""
        return tuple(package for package in self.requires if find_spec(package) is None)

    def make(self) -> Any:
        """Import the module and make the part.

        Raises:
            MissingError: a package it needs is not installed.
        """
        if missing := self.missing:
            name = self.module.rpartition(".")[2]
            raise MissingError(f"{name} needs {', '.join(missing)}", hint=self.install)
        return import_module(self.module).make()
