"""The recipe's limits held against what was measured: one function a limit, one Check each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgekit.gate.accuracy import check_accuracy
from edgekit.gate.check import Check, Status, at_least, at_most, not_measured
from edgekit.gate.latency import check_latency
from edgekit.measure.host import Host
from edgekit.measure.latency import HostLatency
from edgekit.measure.measurements import NotMeasured
from edgekit.measure.memory import Memory
from edgekit.measure.older_runtime import LOSS_MAX_DB, OlderRuntime
from edgekit.measure.size import Size
from edgekit.methods import METHODS
from edgekit.numerics.fidelity import Fidelity
from edgekit.recipe.gate_spec import GateSpec
from edgekit.recipe.schema import QuantizeSpec
from edgekit.tasks.task import MetricAccuracy
from edgekit.types import RAISED_TO_FLOAT, ArtefactFacts, ArtefactFormat, FloatOp

_SHOWN = 5
_INTEGER_METHODS = {ArtefactFormat.TFLITE: "tflite_int8 or litert_static"}
"""What makes files of integers alone in a format."""

_OLDER_WAY_OUT = (
    "Try another quantize.method, ship LiteRT in the app, or write gate.tflite_runtime_2_14: false"
)


def check_limits(
    gate: GateSpec,
    quantize: QuantizeSpec,
    *,
    promises_full_integer: bool,
    facts: ArtefactFacts,
    size: Size,
    fidelity: Fidelity,
    accuracy: Mapping[str, MetricAccuracy],
    latency: HostLatency | None,
    host: Host,
    older_runtime: OlderRuntime | NotMeasured | None = None,
    memory: Memory | NotMeasured | None = None,
) -> tuple[Check, ...]:
    """Every check that ``gate`` asks for, in the order they are shown. What the method promises is
    checked unasked. ``latency`` is ``None`` where it was not measured; ``host`` is the machine it
    was measured on; ``older_runtime`` and ``memory`` are ``None`` where they were not asked for."""
    checks = [
        *check_promise(gate, quantize, promises_full_integer=promises_full_integer, facts=facts),
        *_operators(gate, facts),
        *_size(gate, size),
        *_fidelity(gate, fidelity),
        *check_accuracy(gate, accuracy),
        *check_latency(gate, latency, host),
        *_memory(gate, memory),
        *_older_runtime(gate, older_runtime),
    ]
    return tuple(checks)


def check_promise(
    gate: GateSpec, quantize: QuantizeSpec, *, promises_full_integer: bool, facts: ArtefactFacts
) -> tuple[Check, ...]:
    """The checks of what the file is, whatever it measures like: ends and operators."""
    full_integer = promises_full_integer if gate.full_integer is None else gate.full_integer
    return (
        *(_ends(quantize, facts) if promises_full_integer else ()),
        *(_full_integer(gate, quantize, facts) if full_integer else ()),
    )


def _ends(quantize: QuantizeSpec, facts: ArtefactFacts) -> Iterator[Check]:
    for end, wanted, found in (
        ("input", quantize.input_dtype, facts.input_dtypes),
        ("output", quantize.output_dtype, facts.output_dtypes),
    ):
        # An integer input such as token ids is not the quantizer's to change.
        fits = all(dtype in (wanted, "int32", "int64") for dtype in found)
        yield Check(
            name=f"artefact.{end}_dtype",
            required=True,
            limit=wanted,
            value=", ".join(found),
            status=Status.PASS if fits else Status.FAIL,
            why=f"the recipe asks for {wanted} {end}s; the file has {', '.join(found)}",
        )


def _full_integer(gate: GateSpec, quantize: QuantizeSpec, facts: ArtefactFacts) -> Iterator[Check]:
    """No float operator but the allowed ones. Those that the recipe's own rules left float are
    allowed too where the method's promise is checked, not where ``gate.full_integer`` asks."""
    if facts.float_ops is None:
        yield not_measured("artefact.full_integer", 0, "the format does not tell its operators")
        return
    listed = [op for op in facts.float_ops if op.op not in quantize.allow_float_ops]
    by_rule = [op for op in listed if op.why not in (None, RAISED_TO_FLOAT)]
    refused = listed if gate.full_integer else [op for op in listed if op not in by_rule]
    value: int | str = len(refused)
    if refused:
        why = f"{_shown(refused)} ({_way_out(quantize, refused)})"
    else:
        share = facts.int8_mac_fraction or 0
        shown = "100%" if share == 1 else f"{min(share, 0.999):.1%}"
        why = f"{shown} of multiply-accumulates run on integers"
        if by_rule:
            value = f"{len(by_rule)} by quantize.modules"
            of_all = f" of {facts.ops}" if facts.ops is not None else ""
            operators = "operator is" if len(by_rule) == 1 else "operators are"
            why = f"{len(by_rule)}{of_all} {operators} float by quantize.modules; {why}"
    yield Check(
        name="artefact.full_integer",
        required=True,
        limit=0,
        value=value,
        status=Status.FAIL if refused else Status.PASS,
        why=why,
    )


def _way_out(quantize: QuantizeSpec, refused: Sequence[FloatOp]) -> str:
    """What to change in the recipe, so that ``refused`` are integer or accepted."""
    raised = [op for op in refused if op.why == RAISED_TO_FLOAT]
    if raised:
        names = ", ".join(sorted({op.op for op in raised}))
        return (
            f"{len(raised)} of {len(refused)}: {RAISED_TO_FLOAT}; list {names} in "
            "quantize.allow_float_ops to accept them, or take raise_to: int16"
        )
    reasons = sorted({op.why for op in refused if op.why is not None})
    if reasons:
        count = sum(op.why is not None for op in refused)
        return (
            f"{count} of {len(refused)}: {', '.join(reasons)}; remove the rule, or leave "
            "gate.full_integer out"
        )
    method = METHODS.get(quantize.method)  # none: auto, whose candidates all take the option
    if method is not None and "allow_float_ops" not in method.options:
        other = _INTEGER_METHODS.get(method.produces)
        return f"{quantize.method} leaves them float" + (f": take method {other}" if other else "")
    return "list the operator in quantize.allow_float_ops to accept it"


def _operators(gate: GateSpec, facts: ArtefactFacts) -> Iterator[Check]:
    untold = "the format does not tell its operators"
    if gate.float_ops_max is not None:
        name, limit = "artefact.float_ops", gate.float_ops_max
        if facts.float_ops is None:
            yield not_measured(name, limit, untold)
        else:
            why = _shown(facts.float_ops) if facts.float_ops else "no operator is float"
            yield at_most(name, limit, len(facts.float_ops), why)
    if gate.transposes_max is not None:
        name, limit = "artefact.transposes", gate.transposes_max
        if facts.transposes is None:
            yield not_measured(name, limit, untold)
        else:
            transposes = (
                "1 transpose" if facts.transposes == 1 else f"{facts.transposes} transposes"
            )
            yield at_most(name, limit, facts.transposes, f"the file has {transposes}")


def _shown(ops: Sequence[FloatOp]) -> str:
    more = f"; and {len(ops) - _SHOWN} more" if len(ops) > _SHOWN else ""
    return "; ".join(str(op) for op in ops[:_SHOWN]) + more


def _size(gate: GateSpec, size: Size) -> Iterator[Check]:
    if gate.size_ratio_max is not None:
        yield at_most(
            "size.ratio",
            gate.size_ratio_max,
            size.ratio,
            f"{size.bytes:,} of {size.float_bytes:,} bytes",
        )
    if gate.size_bytes_max is not None:
        yield at_most(
            "size.bytes", gate.size_bytes_max, size.bytes, f"the file has {size.bytes:,} bytes"
        )


def _fidelity(gate: GateSpec, fidelity: Fidelity) -> Iterator[Check]:
    if gate.agreement_min is not None:
        if fidelity.agreement is None:
            yield not_measured("fidelity.agreement", gate.agreement_min, "not a classification")
        else:
            same = round(fidelity.agreement * fidelity.n)
            yield at_least(
                "fidelity.agreement",
                gate.agreement_min,
                fidelity.agreement,
                f"float and quantized choose the same class on {same} of {fidelity.n} samples",
            )
    if gate.sqnr_db_min is None:
        return
    for position, (name, output) in enumerate(fidelity.outputs.items()):
        # The first is the primary one, whose figure stands flat in the report.
        yield at_least(
            "fidelity.sqnr_db" if position == 0 else f"fidelity.{name}.sqnr_db",
            gate.sqnr_db_min,
            output.sqnr_db,
            f"signal to quantization noise of {name} over {fidelity.n} samples",
        )


def _memory(gate: GateSpec, found: Memory | NotMeasured | None) -> Iterator[Check]:
    limit, name = gate.peak_memory_mb_max, "memory.peak_mb"
    if limit is None:
        return
    if isinstance(found, Memory):
        why = f"loading and one run took {found.peak_bytes:,} bytes beside the imported runtime"
        yield at_most(name, limit, found.peak_bytes / 1e6, why)
    else:
        yield not_measured(name, limit, "it was not weighed" if found is None else found.why)


def _older_runtime(gate: GateSpec, found: OlderRuntime | NotMeasured | None) -> Iterator[Check]:
    """By the output that is worst off; see ``OlderRuntime.agrees``."""
    required = gate.tflite_runtime_2_14
    if required is None or found is None:
        return
    limit = value = None
    if isinstance(found, NotMeasured):
        status, why = Status.NOT_MEASURED, found.why
    elif found.worst is None:
        status, why = Status.FAIL, f"{found.failure}. {_OLDER_WAY_OUT}"
    else:
        name, output = found.worst
        limit, value = output.limit_db, output.sqnr_db
        status = Status.PASS if found.agrees else Status.FAIL
        why = (
            f"{name} is {value:.1f} dB from the float model there and {output.litert_sqnr_db:.1f} "
            f"dB on LiteRT, of which at most {LOSS_MAX_DB:g} dB may be lost; the two are "
            f"{output.between_sqnr_db:.1f} dB (at most {output.between_max_abs:.3g}) apart on "
            f"{found.n} samples"
        )
        if found.changed:
            shown = ", ".join(found.changed[:_SHOWN])
            why += f"; another class, and not by a near tie, on {len(found.changed)}: {shown}"
        if status is Status.FAIL:
            why += f". {_OLDER_WAY_OUT}"
    yield Check("runtime.tflite_runtime_2_14", required, limit, value, status, why)
