"""Values of a manifest, each checked where it is taken; an error has its place in the file."""

from __future__ import annotations

import difflib
import math
import re
from typing import Any

from edgekit.errors import DataError, UsageError
from edgekit.fetch import Source, parse_source
from edgekit.recipe.yaml_source import Document, KeyPath
from edgekit.types import Role


class Checker:
    """Takes values out of one document; whatever does not fit raises ``DataError``."""

    def __init__(self, document: Document):
        self._document = document

    def wrong(self, at: KeyPath, message: str, hint: str | None = None) -> DataError:
        return DataError(message, hint=hint, where=self._document.where(at))

    def mapping(self, at: KeyPath, needed: set[str], optional: set[str]) -> dict[str, Any]:
        value = self._document.value
        for part in at:
            value = value[part]
        if not isinstance(value, dict):
            raise self.wrong(at, "expected keys and values")
        for key in value:
            if key not in needed | optional:
                near = difflib.get_close_matches(key, needed | optional, n=1)
                meant = f"did you mean '{near[0]}'?" if near else None
                known = ", ".join(sorted(needed | optional))
                raise self.wrong((*at, key), "unknown key", meant or f"Known keys: {known}")
        if missing := sorted(needed - set(value)):
            raise self.wrong(at, f"'{missing[0]}' is missing")
        return value

    def text(self, at: KeyPath, value: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong(at, "expected text")
        return value

    def choice(self, at: KeyPath, value: Any, known: list[str], what: str) -> str:
        if value not in known:
            raise self.wrong(at, f"'{value}' is not a {what}; expected one of {', '.join(known)}")
        return str(value)

    def role(self, at: KeyPath, value: Any) -> Role:
        return Role(self.choice(at, value, [role.value for role in Role], "role"))

    def whole(self, at: KeyPath, value: Any, *, at_least: int = 0) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            least = f", {at_least} or more" if at_least else ""
            raise self.wrong(at, f"expected a whole number{least}")
        return value

    def source(self, at: KeyPath, row: dict[str, Any]) -> tuple[Source, str | None]:
        """The file that ``row`` names by ``source`` and ``sha256``."""
        try:
            source = parse_source(self.text((*at, "source"), row["source"]))
        except UsageError as cause:
            raise self.wrong((*at, "source"), cause.message, cause.hint) from cause
        if source.path is None:
            raise self.wrong((*at, "source"), "names a package but no file in it")
        sha256 = row.get("sha256")
        if sha256 is None and source.scheme != "file":
            raise self.wrong(at, "a file from a registry needs its sha256")
        text = sha256 if isinstance(sha256, str) else ""  # decimal digits alone are a number
        if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", text):
            raise self.wrong((*at, "sha256"), "expected 64 lower-case hexadecimal digits")
        return source, sha256

    def interval(self, at: KeyPath, value: Any) -> tuple[float, float]:
        numbers = isinstance(value, list) and all(
            isinstance(end, int | float) and not isinstance(end, bool) for end in value
        )
        if not numbers or len(value) != 2 or not 0 < value[0] <= value[1] < math.inf:
            raise self.wrong(at, "expected [low, high] with 0 < low <= high")
        return float(value[0]), float(value[1])
