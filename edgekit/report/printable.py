"""Names come from files and models; whatever is in them, a page stays a page."""

from __future__ import annotations

import re

# All that XML 1.0 (2.2, Char) cannot hold, not even escaped, and the C1 controls, which HTML
# forbids. A lone surrogate stands for a byte that is no UTF-8, as file names may have.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """``text`` with U+FFFD for each character that XML and HTML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)
