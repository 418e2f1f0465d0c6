"""What all pages share: they load nothing, run no script, fit a phone, and follow the reader's
choice of light or dark."""

from __future__ import annotations

from html import escape
from pathlib import Path

from edgekit.errors import OutputError
from edgekit.report.printable import printable

# Even what a name might smuggle in loads and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# Every text colour has at least 4.5:1 against the page and the panels (WCAG 2.1, 1.4.3).
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --page: #ffffff; --panel: #f6f8fa; --dim: #59636e;
  --grid: #d8dee4; --all: #0b62c4; --own: #b8480a; --good: #14733a; --bad: #b3261e;
  --open: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --page: #15181c; --panel: #1d2228;
  --dim: #9aa4af; --grid: #333a42; --all: #6cb2ff; --own: #ffa566; --good: #56d38a; --bad: #ff8f87;
  --open: #f0c04f; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word;
  -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
.dim, th, figcaption { color: var(--dim); } figcaption { font-size: .87rem; }
figure { margin: 1rem 0; } svg { display: block; width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
.grid { stroke: var(--grid); } .all { fill: none; stroke: var(--all); stroke-width: 1.5; }
.dot { fill: var(--all); } .own { fill: var(--own); }
.key-all { color: var(--all); } .key-own { color: var(--own); }
.wide { overflow-x: auto; } .wide svg { min-width: 40rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--grid);
  vertical-align: top; }
th { font-weight: 600; } .left { text-align: left; }
td.left, th.left { overflow-wrap: anywhere; min-width: 6rem; } .figure { white-space: nowrap; }
@media (max-width: 36rem) { body { margin: 1rem auto; } th, td { padding: .2rem .25rem; }
  table { font-size: .85rem; } td.left, th.left { min-width: 4.5rem; } }
"""


def escaped(text: str) -> str:
    """``text`` for an element or an attribute in double quotes."""
    return escape(printable(text))


def document(title: str, body: str, style: str = "") -> str:
    """A whole page. ``title`` is text, ``body`` and ``style`` are written as they are."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(title)}</title>
<style>{_STYLE}{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def check_place(file: Path) -> None:
    """Refuse what cannot be written, before the work.

    Raises:
        OutputError: a folder, or in one that is not there.
    """
    if file.is_dir():
        raise OutputError(f"{file} is a folder", hint="Give the name of a file.")
    if not file.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {file.parent}", hint="Make it first.")


def write_text(text: str, file: Path) -> None:
    """Write ``text``; a file that is there is replaced whole.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        partial = file.with_name(f".{file.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from error
