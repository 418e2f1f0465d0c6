"""The rows as Markdown tables, and edgekit's rows held against what they are to reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.figure import Figure, Target
from benchmarks.peers.measure import Row
from benchmarks.peers.rows import EXACT
from benchmarks.peers.work import EVAL
from edgekit.numerics.intervals import RESAMPLES

SIZE_OVER_EXACT, LATENCY_OVER_EXACT, POINTS = 1.005, 1.02, 1.0
TARGETS: dict[tuple[str, str], dict[str, float]] = {
    ("mobilenet_int8", "edgekit, best"): {"agreement": 0.975, "sqnr_db": 21.0, "seconds": 150.0},
    ("mobilenet_int8", "edgekit, balanced"): {"agreement": 0.955, "sqnr_db": 17.0, "seconds": 10.0},
    ("efficientnet_lite0_int8", "edgekit, best"): {"agreement": 0.99, "sqnr_db": 21.0},
}
"""By recipe and row."""


def main_table(rows: Sequence[Row]) -> str:
    """What a peer's file is worth and what it cost."""
    head = ("", "agreement", "SQNR, dB", "MB", "latency, ms", "speed-up over float")
    return _markdown((*head, "quantizing, s", "peak memory, MiB"), [_cells(row) for row in rows])


def other_table(rows: Sequence[Row]) -> str:
    """Agreement and SQNR on every evaluation, the points of agreement won or lost against eval."""
    done = [row for row in rows if row.compared]
    names = list(done[0].compared or ()) if done else []
    body = []
    for row in done:
        assert row.compared is not None
        cells = [row.name]
        for name in names:
            found = row.compared[name]
            text = f"{found.agreement:.4f}, {found.sqnr_db:.2f} dB"
            if name != EVAL:
                text += f" ({100 * (found.agreement - row.compared[EVAL].agreement):+.2f})"
            cells.append(text)
        body.append(cells)
    return _markdown(("", *names), body)


def remarks(rows: Sequence[Row]) -> list[str]:
    """Why a row has no figures, what a peer told of itself, and files that are one and the same."""
    said = [f"{row.name}: failed: {row.failed}" for row in rows if row.failed]
    said += [f"{row.name}: {row.made.note}" for row in rows if row.made and row.made.note]
    first: dict[bytes, str] = {}
    for row in rows:
        if row.file is None:
            continue
        same = first.setdefault(row.file.read_bytes(), row.name)
        if same != row.name:
            said.append(f"{row.name}: byte for byte the file of {same}")
    versions = dict.fromkeys(row.made.version for row in rows if row.made and row.made.version)
    return [*said, f"versions: {', '.join(versions)}"] if versions else said


def figures(recipe: str, rows: Sequence[Row]) -> list[Figure]:
    """edgekit's rows; of those that failed there is none, nor of sizes without ``EXACT``."""
    by_name = {row.name: row for row in rows}
    found: list[Figure] = []
    for (of, name), targets in TARGETS.items():
        row = by_name.get(name)
        if of == recipe and row is not None and row.compared is not None:
            found += _figures(f"{name}, {recipe}", row, targets, by_name)
    return found


def _figures(
    name: str, row: Row, targets: dict[str, float], by_name: Mapping[str, Row]
) -> list[Figure]:
    assert row.compared is not None
    assert row.made is not None
    compared, exact = row.compared[EVAL], by_name.get(EXACT)
    found = [
        Figure(
            name=f"{kind}, {name}",
            value=getattr(compared, key),
            unit=unit,
            target=Target(">=", targets[key]),
            beside=_best_peer(by_name, key),
        )
        for kind, key, unit in (("agreement", "agreement", ""), ("SQNR", "sqnr_db", "dB"))
    ]
    if "seconds" in targets:
        limit = Target("<=", targets["seconds"])
        found.append(Figure(f"quantizing, {name}", row.made.seconds, "s", limit))
    if exact is not None and exact.size_bytes and row.size_bytes:
        ratio, limit = row.size_bytes / exact.size_bytes, Target("<=", SIZE_OVER_EXACT)
        found.append(Figure(f"size / exact min/max, {name}", ratio, "x", limit))
    if row.timed is not None and row.timed.over_exact is not None:
        over = row.timed.over_exact
        found.append(
            Figure(
                name=f"latency / exact min/max, {name}",
                value=over.value,
                unit="x",
                target=Target("<=", LATENCY_OVER_EXACT),
                ci=(over.low, over.high),
                ci_kind="95 % bootstrap of the rounds",
            )
        )
    for other, there in row.compared.items():
        if other != EVAL:
            lost = 100 * (compared.agreement - there.agreement)
            found.append(
                Figure(
                    name=f"agreement lost on {other}, {name}",
                    value=lost,
                    unit="points",
                    target=Target("<=", POINTS),
                    ci=points_lost(compared.by_photo, there.by_photo),
                    ci_kind="95 % bootstrap of the photos",
                )
            )
    return found


def points_lost(here: Sequence[float], there: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the points that agreement falls by from the photos ``here`` to those
    ``there``, each a share of that photo's crops; photos are drawn, not crops (percentile
    interval: Efron and Tibshirani 1993)."""
    if not here or not there:
        return None
    random = np.random.default_rng(0)
    drawn = [random.choice(each, (RESAMPLES, len(each))).mean(axis=1) for each in (here, there)]
    low, high = 100 * np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    return float(low), float(high)


def _best_peer(by_name: Mapping[str, Row], key: str) -> tuple[tuple[str, float], ...]:
    """The highest of what is not edgekit's, and whose it is."""
    others = [
        (name, float(getattr(row.compared[EVAL], key)))
        for name, row in by_name.items()
        if row.made is not None and row.compared and not row.is_edgekit
    ]
    return (max(others, key=lambda other: other[1]),) if others else ()


def _cells(row: Row) -> list[str]:
    if row.failed is not None:
        return [row.name, "failed", *[""] * 6]
    compared = None if row.compared is None else row.compared[EVAL]
    ratio = None if row.timed is None else row.timed.speedup
    size, made = row.size_bytes, row.made
    return [
        row.name,
        "" if compared is None else f"{compared.agreement:.4f}",
        "" if compared is None else f"{compared.sqnr_db:.2f}",
        "" if size is None else f"{size / 1e6:.3f}",
        "" if row.timed is None else f"{row.timed.latency_ms:.2f}",
        "" if ratio is None else f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
        "" if made is None else f"{made.seconds:.1f}",
        "" if made is None else f"{made.peak_bytes / 2**20:,.0f}",
    ]


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body))
