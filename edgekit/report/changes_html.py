"""The samples that changed class, as a part of the page: which became which, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgekit.report.page import escaped

_HEADINGS = {
    "fidelity": "Samples that changed class",
    "labelled": "Labelled samples that changed class",
}
_TINY = "data:image/png"
"""What is kept without loss is so small that a reader wants to see each pixel."""


def changes_section(changes: Mapping[str, Any], classes: Mapping[str, str]) -> str:
    """``changes`` is one entry of evidence.json, ``classes`` the names of classes by index."""
    heading = _HEADINGS.get(changes["use"], f"{changes['use']}: samples that changed class")
    parts = [f"<h2>{escaped(heading)}</h2>", f"<p>{_summary(changes)}</p>"]
    if changes["pairs"]:
        parts.append(_pairs(changes, classes))
    if changes["flips"]:
        shares = "the softmax of its scores" if changes["softmax"] else "what it answers"
        parts.append(
            f'<p class="dim">{_shown(changes)} Percentages are each model\'s probability of its '
            f"own class, {shares}.</p>"
        )
        figures = "\n".join(_flip(flip, classes) for flip in changes["flips"])
        parts.append(f'<div class="flips">\n{figures}\n</div>')
    return "\n".join(parts)


def _summary(changes: Mapping[str, Any]) -> str:
    words = f"{changes['changed']} of {changes['n']} samples got another class."
    if changes["lost"] is None or not changes["changed"]:
        return words
    other = changes["changed"] - changes["lost"] - changes["won"]
    return (
        f"{words} {changes['lost']} were right before and are wrong now, {changes['won']} the "
        f"other way round, {other} wrong both times."
    )


def _shown(changes: Mapping[str, Any]) -> str:
    shown, changed = len(changes["flips"]), changes["changed"]
    of = "All of them" if shown == changed else f"{shown} of the {changed}"
    order = "those the float model was surest of first"
    if changes["lost"]:
        order = f"the newly wrong ones first, {order}"
    return f"{of}, {order}." if shown > 1 else ""


def _pairs(changes: Mapping[str, Any], classes: Mapping[str, str]) -> str:
    most = max((pair["count"] for pair in changes["pairs"]), default=1) or 1
    rows = "\n".join(
        f'<tr><th scope="row" class="left">{_class(pair["float_class"], classes)}</th>'
        f'<td class="left">{_class(pair["quantized_class"], classes)}</td>'
        f'<td>{pair["count"]}</td><td class="meter" aria-hidden="true">'
        f'<div style="width: {100 * min(pair["count"] / most, 1):.0f}%"></div></td></tr>'
        for pair in changes["pairs"]
    )
    table = (
        '<table class="full"><thead><tr><th scope="col" class="left">float</th>'
        '<th scope="col" class="left">became</th><th scope="col">samples</th><td></td></tr></thead>'
        f"\n<tbody>\n{rows}\n</tbody></table>"
    )
    counted = sum(pair["count"] for pair in changes["pairs"])
    beyond = changes["changed"] - counted
    more = f'<p class="dim">{beyond} more samples among rarer pairs.</p>' if beyond > 0 else ""
    if len(changes["pairs"]) <= 6:
        return f"{table}{more}"
    return f"<details open><summary>Which classes became which</summary>\n{table}{more}\n</details>"


def _flip(flip: Mapping[str, Any], classes: Mapping[str, str]) -> str:
    return "<figure>" + "".join(_flip_parts(flip, classes)) + "</figure>"


def _flip_parts(flip: Mapping[str, Any], classes: Mapping[str, str]) -> Iterator[str]:
    before, after = _class(flip["float_class"], classes), _class(flip["quantized_class"], classes)
    if flip["picture"] is not None:
        tiny = ' class="tiny"' if flip["picture"].startswith(_TINY) else ""
        yield (
            f'<img{tiny} src="{escaped(flip["picture"])}" width="96" height="96" '
            f'alt="Sample {escaped(flip["id"])}">'
        )
    yield "<figcaption>"
    for side, name, share, number in (
        ("float", before, flip["float_share"], flip["float_class"]),
        ("quantized", after, flip["quantized_share"], flip["quantized_class"]),
    ):
        right = "" if flip["label"] is None or flip["label"] != number else ", right"
        key = "key-own" if side == "float" else "key-all"
        yield f'<p><span class="{key}">{side}</span> <b>{name}</b> {share:.0%}{right}</p>'
    if flip["label"] is not None and flip["label"] not in (
        flip["float_class"],
        flip["quantized_class"],
    ):
        yield f"<p>is <b>{_class(flip['label'], classes)}</b></p>"
    yield f'<p class="id">{escaped(flip["id"])}</p></figcaption>'


def _class(index: int, classes: Mapping[str, str]) -> str:
    name = classes.get(str(index))
    return f"class {index}" if name is None else escaped(name)
