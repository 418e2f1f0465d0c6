"""Every error edgekit raises for a reason the user can act on.

::

    EdgekitError
    ├── UsageError                exit 2   the request itself is wrong
    │   ├── RecipeError           exit 2   a recipe file: file, line, key, nearest valid name
    │   ├── SourceError           exit 2   a model, its weights or its shapes
    │   ├── DataError             exit 2   images, labels, representative data
    │   ├── IntegrityError        exit 2   a file whose sha256 is not the promised one
    │   └── OutputError           exit 2   a folder that cannot be written
    ├── ConversionError           exit 1   a model that could not be converted or quantized
    │   ├── MismatchError         exit 1   converted, but its answers differ from the source's
    │   └── WorkerError           exit 1   a tool in its isolated environment refused, crashed, hung
    ├── SessionError              exit 1   a model that fails or crashes its runtime
    ├── DeviceError               exit 1   a device that failed, hung or went away while measuring
    └── MissingError              exit 4   a package, client or environment that is not there
        └── FetchError            exit 4   a file that could not be fetched from its registry

A message says what happened and where; ``hint`` says what to do next. Anything else that escapes
is a bug of ours: exit 70, with a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXIT_PASSED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_MISSING = 4
EXIT_BUG = 70
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Where:
    """A place in a file the user wrote."""

    file: str
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return place if self.key is None else f"{place}: {self.key}"


class EdgekitError(Exception):
    """Base of all errors above; carries what a person needs to go on."""

    exit_code = EXIT_BUG

    def __init__(self, message: str, *, hint: str | None = None, where: Where | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        text = self.message if self.where is None else f"{self.where}: {self.message}"
        return text if self.hint is None else f"{text}\n{self.hint}"


class UsageError(EdgekitError):
    """The request is wrong: an option, a name, a path."""

    exit_code = EXIT_USAGE


class RecipeError(UsageError):
    """A recipe does not validate. ``problems`` lists every one found, in file order."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        where: Where | None = None,
        problems: tuple[RecipeError, ...] = (),
    ):
        super().__init__(message, hint=hint, where=where)
        self.problems = problems

    def __str__(self) -> str:
        listed = (f"  {problem}".replace("\n", "\n    ") for problem in self.problems)
        return "\n".join([super().__str__(), *listed])


class SourceError(UsageError):
    """A model that cannot be loaded as the recipe describes it."""


class DataError(UsageError):
    """Data that cannot be read or must not be used for its role."""


class IntegrityError(UsageError):
    """A file whose content is not the one the recipe promised."""


class OutputError(UsageError):
    """An output folder that cannot take the run."""


class ConversionError(EdgekitError):
    """A converter or quantizer refused the model. ``bridges`` are others that may take it; the hint
    offers them after ``own_hint``."""

    exit_code = EXIT_FAILED

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        where: Where | None = None,
        bridges: Sequence[str] = (),
    ):
        offer = f"Try the bridge {' or '.join(bridges)} (quantize.bridge)." if bridges else None
        whole = "\n".join(filter(None, (hint, offer))) or None
        super().__init__(message, hint=whole, where=where)
        self.own_hint = hint
        self.bridges = tuple(bridges)


class MismatchError(ConversionError):
    """A converted model answers differently from the model it was made from."""


class WorkerError(ConversionError):
    """A tool failed in its isolated environment; ``details`` is what its worker said besides."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        where: Where | None = None,
        bridges: Sequence[str] = (),
        details: Mapping[str, Any] | None = None,
    ):
        super().__init__(message, hint=hint, where=where, bridges=bridges)
        self.details: Mapping[str, Any] = {} if details is None else details


class SessionError(EdgekitError):
    """A model failed to load or run, or took its runtime process down."""

    exit_code = EXIT_FAILED


class DeviceError(EdgekitError):
    """A device failed while measuring: it hung, talked nonsense, or its cable was pulled. A model
    that a device refuses, or that crashes there, is a SessionError as anywhere."""

    exit_code = EXIT_FAILED


class MissingError(EdgekitError):
    """Something needed is not installed. ``hint`` holds the command that installs it."""

    exit_code = EXIT_MISSING


class FetchError(MissingError):
    """A file could not be fetched. ``path`` is the substitute to provide, where one helps."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        where: Where | None = None,
        path: Path | None = None,
    ):
        super().__init__(message, hint=hint, where=where)
        self.path = path
