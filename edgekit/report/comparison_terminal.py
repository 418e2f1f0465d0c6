"""Two files side by side, for a person; lines wrap at any width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgekit.measure.latency import HostLatency
from edgekit.measure.layers import LayerErrors
from edgekit.measure.measurements import NotMeasured
from edgekit.report.comparison import Comparison
from edgekit.report.fitting import print_table
from edgekit.report.inspection import Inspection
from edgekit.report.inspection_terminal import count_text, percent
from edgekit.report.units import latency_text, size_text

if TYPE_CHECKING:
    from rich.console import Console

LAYERS_SHOWN = 8


def print_comparison(found: Comparison, console: Console) -> None:
    """Print the figures, then what differs, then what was measured on which samples."""
    from rich.text import Text

    print_table(console, ("", "A", "B", "B / A"), list(_figures(found)), right=(1, 2, 3))
    for line in _kinds(found):
        console.print(Text(line))
    for line in found.contract:
        console.print(Text(f"differs: {line}", style="yellow"))
    counts = [(each.op, str(each.a), str(each.b)) for each in found.operators]
    if counts:
        print_table(console, ("operators that differ", "A", "B"), counts, right=(1, 2))
    console.print(Text(f"on {found.samples}", style="" if found.real else "yellow"))
    if isinstance(found.fidelity, NotMeasured):
        console.print(Text(f"outputs not compared: {found.fidelity.why}", style="yellow"))
    else:
        for line in _fidelity(found):
            console.print(Text(line))
    console.print(Text(_latency(found)))
    _print_layers(found, console)


def _figures(found: Comparison) -> Iterator[tuple[str, ...]]:
    a, b = found.a, found.b
    yield ("size", size_text(a.size_bytes), size_text(b.size_bytes), f"{found.size_ratio:.3f} x")
    weights = (a.file.weights_bytes, b.file.weights_bytes)
    ratio = f"{weights[1] / weights[0]:.3f} x" if weights[0] else "-"
    yield ("weights", size_text(weights[0]), size_text(weights[1]), ratio)
    macs = [each.file.facts.macs for each in (a, b)]
    yield ("MACs", *("?" if each is None else count_text(each) for each in macs), "-")
    yield ("MACs in INT8", _share(a), _share(b), "-")
    yield ("operators", str(a.file.facts.ops), str(b.file.facts.ops), "-")
    floats = [each.file.facts.float_ops for each in (a, b)]
    yield ("float operators", *("?" if each is None else str(len(each)) for each in floats), "-")
    yield ("transposes", str(a.file.facts.transposes), str(b.file.facts.transposes), "-")
    if isinstance(found.latency, HostLatency):
        time = found.latency
        yield (
            "host latency",
            latency_text(time.float_ms),
            latency_text(time.quantized_ms),
            f"{1 / time.speedup:.3f} x",
        )


def _share(found: Inspection) -> str:
    share = found.file.facts.int8_mac_fraction
    return "?" if share is None else percent(share)


def _kinds(found: Comparison) -> Iterator[str]:
    for side, each in (("A", found.a), ("B", found.b)):
        yield f"{side}: {each.path}, .{each.format.value}, {each.kind}"


def _fidelity(found: Comparison) -> Iterator[str]:
    assert not isinstance(found.fidelity, NotMeasured)
    if found.fidelity.agreement is not None:
        yield f"same class: {found.fidelity.agreement:.2%}"
    for name, output in found.fidelity.outputs.items():
        yield (
            f"output {name}: SQNR {output.sqnr_db:.1f} dB, max error {output.max_abs:.3g}, "
            f"cosine {output.cosine:.5f}"
        )


def _latency(found: Comparison) -> str:
    time = found.latency
    if isinstance(time, NotMeasured):
        return f"latency not compared: {time.why}"
    text = (
        f"latency on this host, {time.threads} thread: B takes {1 / time.speedup:.2f} x the time "
        f"of A, 95 % interval {1 / time.ci_high:.2f} to {1 / time.ci_low:.2f}"
    )
    return text if time.caveat is None else f"{text}; {time.caveat}"


def _print_layers(found: Comparison, console: Console) -> None:
    from rich.text import Text

    if not isinstance(found.layers, LayerErrors):
        console.print(Text(f"layers not compared: {found.layers.why}"))
        return
    worst = sorted(found.layers.layers, key=lambda layer: layer.sqnr_db)[:LAYERS_SHOWN]
    rows = [(each.layer, each.op, f"{each.sqnr_db:.1f} dB") for each in worst]
    heads = (f"lowest SQNR of {len(found.layers.layers)} layers", "operator", "SQNR")
    print_table(console, heads, rows, right=(2,))
