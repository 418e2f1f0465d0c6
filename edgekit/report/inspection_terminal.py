"""What a file is, for a person: what matters most comes first; lines wrap at any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edgekit.report.fitting import print_table
from edgekit.report.float_islands import FloatIsland
from edgekit.report.inspection import Inspection
from edgekit.report.units import size_text
from edgekit.tflite.delegates import DelegatePlan
from edgekit.tflite.runtime_need import RuntimeNeed
from edgekit.types import TensorInfo

if TYPE_CHECKING:
    from rich.console import Console

LEFT_SHOWN = 3
"""Operators that stay on the CPU, a delegate."""
ISLANDS_SHOWN = 5
LAYERS_SHOWN = 4
_NAMES = {"xnnpack": "XNNPACK (CPU)", "gpu": "GPU delegate", "nnapi": "NNAPI"}


def first_line(found: Inspection) -> str:
    """``model.tflite: full-integer INT8``."""
    return f"{found.path.name}: {found.kind}"


def print_inspection(found: Inspection, console: Console, *, every_op: bool = False) -> None:
    """Print all of it; ``every_op`` adds a row for each operator."""
    from rich.text import Text

    console.print(Text(first_line(found), style="bold"))
    for line in _figures(found):
        console.print(Text(line))
    _print_ends(found, console)
    _print_groups(found, console)
    if every_op:
        _print_operators(found, console)
    for line in _islands(found.islands):
        console.print(Text(line, style="yellow"))
    if found.runtime is not None:
        for line in _runtime(found.runtime):
            console.print(Text(line))
    _print_delegates(found.delegates, console)
    for key, value in found.file.metadata.items():
        console.print(Text(f"{key}: {value}", style="dim"))


def _figures(found: Inspection) -> Iterator[str]:
    facts = found.file.facts
    yield (
        f"{size_text(found.size_bytes)} as .{found.format.value}, of it "
        f"{size_text(found.file.weights_bytes)} weights"
    )
    macs = "unknown" if facts.macs is None else count_text(facts.macs)
    share = (
        "" if facts.int8_mac_fraction is None else f", {percent(facts.int8_mac_fraction)} in INT8"
    )
    transposes = (
        ""
        if not facts.transposes
        else f", {facts.transposes} transpose{'s' if facts.transposes > 1 else ''}"
    )
    yield f"{macs} MACs{share}; {facts.ops} operators{transposes}"


def _print_ends(found: Inspection, console: Console) -> None:
    rows = [
        (
            role,
            info.name,
            shape_text(info),
            info.dtype,
            _number(info, "scale"),
            _number(info, "zero"),
        )
        for role, infos in (("input", found.file.inputs), ("output", found.file.outputs))
        for info in infos
    ]
    print_table(console, ("", "name", "shape", "dtype", "scale", "zero point"), rows, right=(4, 5))


def _number(info: TensorInfo, what: str) -> str:
    if info.quant is None:
        return "-"
    return f"{info.quant.scale:.6g}" if what == "scale" else str(info.quant.zero_point)


def _print_groups(found: Inspection, console: Console) -> None:
    rows = [
        (
            each.op,
            str(each.count),
            count_text(each.macs) if each.macs else "-",
            percent(each.mac_fraction) if each.macs else "-",
            each.dtypes,
        )
        for each in found.groups
    ]
    print_table(console, ("operator", "count", "MACs", "share", "dtypes"), rows, right=(1, 2, 3))


def _print_operators(found: Inspection, console: Console) -> None:
    rows = [
        (
            str(number),
            each.op if each.version is None else f"{each.op} v{each.version}",
            count_text(each.macs) if each.macs else "-",
            each.compute,
            each.dtypes,
            each.layer,
        )
        for number, each in enumerate(found.file.operators)
    ]
    heads = ("#", "operator", "MACs", "computes", "dtypes", "layer")
    print_table(console, heads, rows, right=(0, 2))


def _islands(islands: Sequence[FloatIsland]) -> Iterator[str]:
    for island in islands[:ISLANDS_SHOWN]:
        named = ", ".join(
            f"{op} at {layer}"
            for op, layer in zip(island.ops[:LAYERS_SHOWN], island.layers, strict=False)
        )
        more = len(island.ops) - LAYERS_SHOWN
        yield (
            f"float island: {named}" + (f" and {more} more" if more > 0 else "") + _shores(island)
        )
    if len(islands) > ISLANDS_SHOWN:
        yield f"and {len(islands) - ISLANDS_SHOWN} more float islands; --json has them all"


def _shores(island: FloatIsland) -> str:
    parts = []
    if island.enters:
        parts.append(f"converted in at {', '.join(island.enters[:LAYERS_SHOWN])}")
    if island.leaves:
        parts.append(f"out at {', '.join(island.leaves[:LAYERS_SHOWN])}")
    return f"; {', '.join(parts)}" if parts else ""


def _runtime(need: RuntimeNeed) -> Iterator[str]:
    if need.oldest is not None:
        because = ", ".join(
            f"{each.op} v{max(each.declared, each.needed)}" for each in need.because[:LAYERS_SHOWN]
        )
        yield f"needs TFLite runtime >= {need.oldest} (for {because})"
    if need.understated:
        named = ", ".join(
            f"{each.op} says v{each.declared}, needs v{each.needed}"
            for each in need.understated[:LAYERS_SHOWN]
        )
        yield f"versions in the file are lower than its types need: {named}"
    if need.unknown:
        named = ", ".join(f"{each.op} v{each.declared}" for each in need.unknown[:LAYERS_SHOWN])
        yield f"in no table of runtimes: {named}"


def _print_delegates(plans: Sequence[DelegatePlan], console: Console) -> None:
    from rich.text import Text

    if not plans:
        return
    console.print(Text("predicted from the file, not measured:"))
    rows = [
        (
            _NAMES.get(plan.delegate, plan.delegate),
            f"{plan.taken} of {len(plan.places)} operators",
            f"{percent(plan.mac_fraction)} of MACs",
            f"{plan.partitions} partition{'s' if plan.partitions != 1 else ''}",
        )
        for plan in plans
    ]
    print_table(console, ("delegate", "takes", "", ""), rows)
    for plan in plans:
        for line in _left(plan):
            console.print(Text(line))


def _left(plan: DelegatePlan) -> Iterator[str]:
    """The first of each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for place in plan.left:
        reasons.setdefault((place.op, place.why or ""), []).append(place.layer)
    name = _NAMES.get(plan.delegate, plan.delegate)
    for (op, why), layers in list(reasons.items())[:LEFT_SHOWN]:
        more = f" and {len(layers) - 1} more" if len(layers) > 1 else ""
        yield f"not on {name}: {op} at {layers[0]}{more}: {why}"
    if len(reasons) > LEFT_SHOWN:
        yield f"not on {name}: {len(reasons) - LEFT_SHOWN} more kinds; --json has them all"


def shape_text(info: TensorInfo) -> str:
    """``1x224x224x3``, a free size as ``?``."""
    return "x".join("?" if size < 0 else str(size) for size in info.shape) or "scalar"


def count_text(count: int) -> str:
    """A count in thousands, millions or billions: ``300.8 M``."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            return f"{count / factor:.1f} {letter}"
    return str(count)


def percent(fraction: float) -> str:
    """A share that is there is never rounded away, one short of all never up to it."""
    if fraction in (0, 1):
        return f"{fraction:.0%}"
    return f"{min(max(fraction, 0.001), 0.999):.1%}"
