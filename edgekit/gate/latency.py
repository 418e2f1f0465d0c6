"""Times on this host against the limits. Estimates: their intervals decide."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.gate.check import Check, Status, enough_rounds, not_measured, percent, side
from edgekit.measure.host import Host
from edgekit.measure.latency import HostLatency
from edgekit.recipe.gate_spec import GateSpec

_NOT_TIMED = "latency.enabled is false"


def check_latency(gate: GateSpec, latency: HostLatency | None, host: Host) -> Iterator[Check]:
    """The speed-up, and the time itself; ``latency`` is ``None`` where it was not measured."""
    yield from _speedup(gate, latency, host)
    yield from _time(gate, latency, host)


def _speedup(gate: GateSpec, latency: HostLatency | None, host: Host) -> Iterator[Check]:
    """A CPU without an INT8 dot product tells nothing about a phone, which has one, nor does a
    runtime that is no product's: such a figure is shown beside the limit, but does not decide."""
    limit = gate.speedup_min
    if limit is None:
        return
    if latency is None:
        yield not_measured("latency.host.speedup", limit, _NOT_TIMED)
        return
    latency = latency.at(gate.confidence)
    if latency.ci_low >= limit:
        status, word = Status.PASS, "above"
    elif latency.ci_high < limit:
        status, word = Status.FAIL, "below"
    else:
        status, word = Status.INCONCLUSIVE, "across"
    why = (
        f"the {percent(gate.confidence)} interval {latency.ci_low:.2f} to {latency.ci_high:.2f} "
        f"lies {word} the limit on {host.cpu}"
    )
    status, few = enough_rounds(status, latency.rounds, gate.confidence)
    why += few
    decides = host.int8_dot_product is not False
    if not decides:
        why += ", which has no INT8 dot product, as phones have: shown, not held against the model"
    if latency.caveat is not None:
        decides = False
        why += f"; not held against the model, since {latency.caveat}"
    yield Check(
        name="latency.host.speedup",
        required=decides,
        limit=limit,
        value=latency.speedup,
        status=status,
        why=why,
    )


def _time(gate: GateSpec, latency: HostLatency | None, host: Host) -> Iterator[Check]:
    """Whoever limits milliseconds means this kind of machine, whatever its CPU lacks."""
    limit, name = gate.latency_ms_max, "latency.host.quantized_ms"
    if limit is None:
        return
    if latency is None:
        yield not_measured(name, limit, _NOT_TIMED)
        return
    interval = latency.quantized_ms_interval(gate.confidence)
    status, word = side(interval.low, interval.high, limit)
    threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
    why = (
        f"the {percent(gate.confidence)} interval {interval.low:.3g} to {interval.high:.3g} ms of "
        f"the median lies {word} the limit on {host.cpu}, {threads}"
    )
    status, few = enough_rounds(status, latency.rounds, gate.confidence)
    why += few
    if latency.caveat is not None:
        why += f"; not held against the model, since {latency.caveat}"
    yield Check(name, latency.caveat is None, limit, latency.quantized_ms, status, why)
