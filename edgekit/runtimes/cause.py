"""One readable line out of what a runtime said when it failed."""

from __future__ import annotations

import re

MAX_CAUSE_CHARS = 400


def condensed_cause(*texts: str) -> str:
    """One line out of a runtime's error texts: no chatter, no repeats, a bounded length.

    >>> condensed_cause("INFO: Created delegate", "stride > 0 was not true.Node number 0 (X)")
    'stride > 0 was not true; node number 0 (X)'
    """
    lines: list[str] = []
    for text in texts:
        parted = re.sub(r"[.\s]*Node number (?=\d)", "\nnode number ", text)
        for line in parted.splitlines():
            line = " ".join(line.split()).rstrip(".")
            # "\x1b": a progress bar drawn by another thread meanwhile is not the runtime's text
            if line and "\x1b" not in line and not line.startswith("INFO:") and line not in lines:
                lines.append(line)
    cause = "; ".join(lines)
    if len(cause) <= MAX_CAUSE_CHARS:
        return cause
    # TorchScript puts the error itself last, below its own trace.
    tail = lines[-1][-(MAX_CAUSE_CHARS // 2) :] if len(lines) > 1 else ""
    return f"{cause[: MAX_CAUSE_CHARS - len(tail) - 1]}…{tail}"
