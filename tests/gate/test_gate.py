"""Every limit on both sides and on its edge; the verdict that follows, and its exit code."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.gate.check import Check, Status, Verdict, verdict
from edgekit.measure.host import Host
from edgekit.measure.memory import Memory
from edgekit.measure.older_runtime import OlderOutput, OlderRuntime
from edgekit.measure.size import Size
from edgekit.numerics.fidelity import OutputFidelity
from edgekit.recipe.gate_spec import GateSpec
from edgekit.recipe.schema import QuantizeSpec
from edgekit.report import NotMeasured
from edgekit.types import RAISED_TO_FLOAT, FloatOp
from tests.report.sample import (
    CAVEAT,
    FACTS,
    FIDELITY,
    FLOAT_OPS,
    LATENCY,
    OLDER,
    QUANTIZE,
    SIZE,
    TOP1,
    report,
    torch_report,
)

NOTHING_ASKED = GateSpec(full_integer=False)


def check_named(name: str, gate: GateSpec, **changes: Any) -> Check:
    (found,) = (check for check in report(gate, **changes).checks if check.name == name)
    return found


# The verdict ------------------------------------------------------------------------------------


def check(status: Status, required: bool = True) -> Check:
    return Check("a", required, 1.0, 2.0, status, "because")


@pytest.mark.parametrize(
    ("statuses", "expected", "exit_code"),
    [
        ((), Verdict.PASS, 0),
        ((Status.PASS,), Verdict.PASS, 0),
        ((Status.PASS, Status.FAIL), Verdict.FAIL, 1),
        ((Status.PASS, Status.INCONCLUSIVE), Verdict.INCONCLUSIVE, 3),
        ((Status.PASS, Status.NOT_MEASURED), Verdict.INCONCLUSIVE, 3),
        ((Status.INCONCLUSIVE, Status.NOT_MEASURED, Status.FAIL), Verdict.FAIL, 1),
    ],
)
def test_the_worst_required_check_decides(
    statuses: tuple[Status, ...], expected: Verdict, exit_code: int
) -> None:
    for order in itertools.permutations(statuses):
        found = verdict([check(status) for status in order])
        assert found is expected
        assert found.exit_code == exit_code


@given(st.lists(st.sampled_from(Status)), st.lists(st.sampled_from(Status)))
def test_checks_that_are_not_required_decide_nothing(
    required: list[Status], others: list[Status]
) -> None:
    asked = [check(status) for status in required]
    beside = [check(status, required=False) for status in others]
    assert verdict(asked + beside) is verdict(beside + asked) is verdict(asked)


# Each limit -------------------------------------------------------------------------------------


def test_what_is_not_asked_for_is_not_checked() -> None:
    names = [made.name for made in report(NOTHING_ASKED).checks]
    assert names == ["artefact.input_dtype", "artefact.output_dtype"]


def test_the_order_and_the_names_of_all() -> None:
    gate = GateSpec(
        size_ratio_max=0.3,
        size_bytes_max=5_000_000,
        agreement_min=0.9,
        sqnr_db_min=10,
        top1_drop_max=0.3,
        speedup_min=1,
    )
    made = report(gate)
    assert [item.name for item in made.checks] == [
        "artefact.input_dtype",
        "artefact.output_dtype",
        "artefact.full_integer",
        "size.ratio",
        "size.bytes",
        "fidelity.agreement",
        "fidelity.sqnr_db",
        "accuracy.top1.drop",
        "latency.host.speedup",
    ]
    assert all(item.required and item.status is Status.PASS for item in made.checks)
    assert (made.verdict, made.exit_code) == (Verdict.PASS, 0)


@pytest.mark.parametrize(
    ("name", "limit", "values"),
    [
        # below the limit, on it, above it
        ("size.ratio", {"size_ratio_max": 0.3}, (0.2999, 0.3, 0.3001)),
        ("size.bytes", {"size_bytes_max": 300}, (299, 300, 301)),
        ("fidelity.agreement", {"agreement_min": 0.93}, (0.9299, 0.93, 0.9301)),
        ("fidelity.sqnr_db", {"sqnr_db_min": 12.0}, (11.99, 12.0, 12.01)),
    ],
)
def test_a_limit_includes_its_edge(
    name: str, limit: dict[str, Any], values: tuple[float, ...]
) -> None:
    def measured(value: float) -> Check:
        size, fidelity = SIZE, FIDELITY
        match name:
            case "size.ratio":
                size = replace(SIZE, ratio=value)
            case "size.bytes":
                size = Size(1000, int(value), value / 1000)
            case "fidelity.agreement":
                fidelity = replace(FIDELITY, agreement=value)
            case "fidelity.sqnr_db":
                logits = replace(FIDELITY.outputs["logits"], sqnr_db=value)
                fidelity = replace(FIDELITY, outputs={"logits": logits})
        return check_named(name, GateSpec(**limit), size=size, fidelity=fidelity)

    (bound,) = limit.values()
    found = [measured(value) for value in values]
    upper = "_max" in next(iter(limit))
    statuses = [Status.PASS, Status.PASS, Status.FAIL]
    assert [item.status for item in found] == (statuses if upper else statuses[::-1])
    assert [(item.limit, item.value) for item in found] == [(bound, value) for value in values]
    word = "at most" if upper else "at least"
    assert all(f"{word} {bound:g}" in item.why for item in found)


def test_what_the_figures_say_in_words() -> None:
    gate = GateSpec(size_ratio_max=0.295, agreement_min=0.93)
    assert "4,049,872 of 14,020,876 bytes" in check_named("size.ratio", gate).why
    assert "on 373 of 400 samples" in check_named("fidelity.agreement", gate).why


def test_every_output_is_held_to_the_sqnr_limit() -> None:
    good, bad = OutputFidelity(20.0, 0.1, 1.0), OutputFidelity(3.0, 9.0, 0.5)
    made = report(
        GateSpec(sqnr_db_min=15),
        fidelity=replace(FIDELITY, sqnr_db=20.0, outputs={"scores": good, "boxes": bad}),
    )
    found = {item.name: item.status for item in made.checks}
    assert found["fidelity.sqnr_db"] is Status.PASS
    assert found["fidelity.boxes.sqnr_db"] is Status.FAIL
    assert made.verdict is Verdict.FAIL


def test_agreement_outside_classification_is_not_measured() -> None:
    fidelity = replace(FIDELITY, agreement=None)
    found = check_named("fidelity.agreement", GateSpec(agreement_min=0.9), fidelity=fidelity)
    assert (found.status, found.value) == (Status.NOT_MEASURED, None)
    assert "not a classification" in found.why


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.02, 0.0099, Status.PASS),
        (-0.02, 0.01, Status.PASS),
        (-0.02, 0.0101, Status.INCONCLUSIVE),
        (0.01, 0.2, Status.INCONCLUSIVE),
        (0.0101, 0.2, Status.FAIL),
        (-0.3, -0.1, Status.PASS),
    ],
)
def test_the_drop_is_judged_by_its_interval_not_by_its_value(
    low: float, high: float, expected: Status
) -> None:
    accuracy = {"top1": replace(TOP1, ci_low=low, ci_high=high)}
    found = check_named("accuracy.top1.drop", GateSpec(top1_drop_max=0.01), accuracy=accuracy)
    assert found.status is expected
    assert found.value == TOP1.drop
    assert f"{low:+.3f} to {high:+.3f}" in found.why
    assert "20 labelled samples" in found.why


def test_a_drop_without_labels_is_not_measured() -> None:
    made = report(GateSpec(top1_drop_max=0.01), accuracy={})
    assert made.checks[-1].status is Status.NOT_MEASURED
    assert (made.verdict, made.exit_code) == (Verdict.INCONCLUSIVE, 3)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.0, 1.2, Status.PASS),
        (0.99, 1.2, Status.INCONCLUSIVE),
        (0.9, 1.0, Status.INCONCLUSIVE),
        (0.9, 0.99, Status.FAIL),
    ],
)
@pytest.mark.parametrize("dot_product", [True, False, None])
def test_the_speedup_decides_unless_the_cpu_lacks_what_phones_have(
    low: float, high: float, expected: Status, dot_product: bool | None
) -> None:
    gate = GateSpec(speedup_min=1.0)
    latency = replace(LATENCY, ci_low=low, ci_high=high)
    made = report(gate, latency=latency, host=Host("A CPU", dot_product))
    found = made.checks[-1]
    assert found.status is expected
    assert found.required is (dot_product is not False)
    assert "on A CPU" in found.why
    assert ("no INT8 dot product" in found.why) is (dot_product is False)
    if dot_product is False:
        assert made.verdict is Verdict.PASS
    else:
        assert made.verdict is verdict([check(expected)])


def test_a_time_that_speaks_for_no_product_is_shown_and_decides_nothing() -> None:
    gate = GateSpec(speedup_min=100.0)
    made = torch_report(gate)
    found = made.checks[-1]
    assert (found.status, found.required, found.value) == (Status.FAIL, False, 2.219)
    assert found.why.endswith(f"; not held against the model, since {CAVEAT}")
    assert made.verdict is Verdict.PASS
    compiled = torch_report(gate, latency=LATENCY)
    assert compiled.checks[-1].required
    assert compiled.verdict is Verdict.FAIL


def test_a_speedup_that_was_not_timed_is_not_measured() -> None:
    made = report(GateSpec(speedup_min=1.0), latency=NotMeasured("latency.enabled is false"))
    assert made.checks[-1].status is Status.NOT_MEASURED
    assert made.exit_code == 3


# The artefact -----------------------------------------------------------------------------------


def test_a_float_operator_is_named_with_its_layer() -> None:
    made = report(GateSpec(), facts=replace(FACTS, float_ops=FLOAT_OPS))
    found = made.checks[2]
    assert (found.name, found.limit, found.value) == ("artefact.full_integer", 0, 2)
    assert found.status is Status.FAIL
    assert "LEAKY_RELU at features/3/act; PRELU at head/act" in found.why
    assert "quantize.allow_float_ops" in found.why
    assert made.exit_code == 1


def test_float_operators_where_no_full_integer_was_promised() -> None:
    names = [item.name for item in torch_report(GateSpec()).checks]
    assert names == []
    asked = torch_report(GateSpec(full_integer=True)).checks
    assert [(item.name, item.status) for item in asked] == [("artefact.full_integer", Status.FAIL)]
    waived = report(GateSpec(full_integer=False), facts=replace(FACTS, float_ops=FLOAT_OPS))
    assert "artefact.full_integer" not in [item.name for item in waived.checks]


def test_float_operators_that_the_recipe_allows() -> None:
    facts = replace(FACTS, float_ops=FLOAT_OPS)
    one = replace(QUANTIZE, allow_float_ops=("LEAKY_RELU",))
    found = check_named("artefact.full_integer", GateSpec(), quantize=one, facts=facts)
    assert (found.status, found.value) == (Status.FAIL, 1)
    assert "LEAKY_RELU" not in found.why
    both = replace(QUANTIZE, allow_float_ops=("PRELU", "LEAKY_RELU"))
    found = check_named("artefact.full_integer", GateSpec(), quantize=both, facts=facts)
    assert (found.status, found.value) == (Status.PASS, 0)


RULED = tuple(
    replace(FLOAT_OPS[0], layer=f"net/{n}", why="the recipe leaves it out (quantize.modules[0])")
    for n in range(7)
)


def test_operators_that_a_rule_left_float_fail_only_where_integers_were_asked_for() -> None:
    facts = replace(FACTS, float_ops=RULED, ops=9, int8_mac_fraction=0.9996)
    promised = check_named("artefact.full_integer", GateSpec(), facts=facts)
    assert (promised.status, promised.value) == (Status.PASS, "7 by quantize.modules")
    assert promised.why == (
        "7 of 9 operators are float by quantize.modules; "
        "99.9% of multiply-accumulates run on integers"
    )
    asked = check_named("artefact.full_integer", GateSpec(full_integer=True), facts=facts)
    assert (asked.status, asked.value) == (Status.FAIL, 7)
    assert "LEAKY_RELU at net/4; and 2 more (7 of 7: the recipe leaves it out" in asked.why
    assert "quantize.modules[0]); remove the rule" in asked.why


def test_operators_that_were_raised_to_float_fail_unless_they_are_allowed() -> None:
    raised = FloatOp("CONV_2D", "net/raised", why=RAISED_TO_FLOAT)
    facts = replace(FACTS, float_ops=(raised, *RULED), ops=9)
    found = check_named("artefact.full_integer", GateSpec(), facts=facts)
    assert (found.status, found.value) == (Status.FAIL, 1)
    assert "list CONV_2D in quantize.allow_float_ops" in found.why
    allowed = replace(QUANTIZE, allow_float_ops=("CONV_2D",))
    found = check_named("artefact.full_integer", GateSpec(), quantize=allowed, facts=facts)
    assert found.status == Status.PASS


@pytest.mark.parametrize("method", ["tflite_dynamic", "tflite_float16", "litert_weight_only"])
def test_a_method_without_allow_float_ops_is_not_told_to_use_it(method: str) -> None:
    found = check_named(
        "artefact.full_integer",
        GateSpec(full_integer=True),
        quantize=replace(QUANTIZE, method=method),
        facts=replace(FACTS, float_ops=FLOAT_OPS),
    )
    assert f"({method} leaves them float: take method tflite_int8 or litert_static)" in found.why


def test_a_long_list_of_float_operators_is_counted() -> None:
    found = check_named(
        "artefact.full_integer", GateSpec(), facts=replace(FACTS, float_ops=FLOAT_OPS * 4)
    )
    assert found.value == 8
    assert "; and 3 more" in found.why


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ("int8", ("int8",), Status.PASS),
        ("int8", ("float32",), Status.FAIL),
        ("uint8", ("uint8",), Status.PASS),
        ("uint8", ("int8",), Status.FAIL),
        ("float32", ("float32",), Status.PASS),
        ("int8", ("int8", "int32"), Status.PASS),  # token ids stay what they are
        ("int8", ("int64", "float32"), Status.FAIL),
    ],
)
def test_the_types_of_inputs_and_outputs_are_the_files_own(
    wanted: str, found: tuple[str, ...], expected: Status
) -> None:
    quantize = QuantizeSpec("m", input_dtype=wanted, output_dtype=wanted)  # type: ignore[arg-type]
    facts = replace(FACTS, input_dtypes=found, output_dtypes=found)
    made = report(NOTHING_ASKED, quantize, facts=facts)
    assert [item.status for item in made.checks] == [expected, expected]
    assert [(item.limit, item.value) for item in made.checks] == [(wanted, ", ".join(found))] * 2


# The older runtime ------------------------------------------------------------------------------

OLDER_ASKED = replace(NOTHING_ASKED, tflite_runtime_2_14=True)
OLDER_CHECK = "runtime.tflite_runtime_2_14"


def test_the_older_runtime_passes_with_its_figures() -> None:
    made = check_named(OLDER_CHECK, OLDER_ASKED, older_runtime=OLDER)
    assert (made.status, made.required) == (Status.PASS, True)
    assert (made.limit, made.value) == (pytest.approx(14.68), 17.76)
    for words in ("logits", "17.8 dB", "17.7 dB on LiteRT", "24.3 dB (at most 0.9)", "16 samples"):
        assert words in made.why


def test_the_older_runtime_is_judged_by_the_output_that_is_worst_off() -> None:
    outputs = {**OLDER.outputs, "boxes": OlderOutput(12.0, 20.0, 11.0, 3.5, 0.1)}
    made = check_named(OLDER_CHECK, OLDER_ASKED, older_runtime=replace(OLDER, outputs=outputs))
    assert (made.status, made.limit, made.value) == (Status.FAIL, 17.0, 12.0)
    assert "boxes" in made.why
    assert "gate.tflite_runtime_2_14: false" in made.why


def test_a_clear_answer_that_changed_is_named() -> None:
    other = replace(OLDER, changed=("cat.jpg",))
    made = check_named(OLDER_CHECK, OLDER_ASKED, older_runtime=other)
    assert made.status is Status.FAIL
    assert "on 1: cat.jpg" in made.why


def test_a_file_that_does_not_load_there_fails_with_its_reason() -> None:
    failed = OlderRuntime(
        "tflite-runtime 2.14", 16, {}, failure="it does not know ADD in version 9"
    )
    made = report(OLDER_ASKED, older_runtime=failed)
    found = made.checks[-1]
    assert (found.status, found.limit, found.value) == (Status.FAIL, None, None)
    assert found.why.startswith("it does not know ADD in version 9. Try another quantize.method")
    assert made.exit_code == 1


@pytest.mark.parametrize(("required", "exit_code"), [(True, 3), (False, 0)])
def test_an_older_runtime_that_is_missing_decides_nothing(required: bool, exit_code: int) -> None:
    gate = replace(OLDER_ASKED, tflite_runtime_2_14=required)
    made = report(gate, older_runtime=NotMeasured("no network; edgekit bridge setup onnx-tf"))
    found = made.checks[-1]
    assert (found.status, found.required) == (Status.NOT_MEASURED, required)
    assert found.why == "no network; edgekit bridge setup onnx-tf"
    assert made.exit_code == exit_code


def test_an_older_runtime_that_is_only_shown_fails_nothing() -> None:
    failed = OlderRuntime("tflite-runtime 2.14", 16, {}, failure="no such operator")
    gate = replace(OLDER_ASKED, tflite_runtime_2_14=False)
    made = report(gate, older_runtime=failed)
    assert (made.checks[-1].status, made.exit_code) == (Status.FAIL, 0)


def test_float_operators_and_transposes_are_counted() -> None:
    facts = replace(FACTS, float_ops=FLOAT_OPS * 4, transposes=2)
    gate = GateSpec(full_integer=False, float_ops_max=7, transposes_max=2)
    counted = check_named("artefact.float_ops", gate, facts=facts)
    assert (counted.status, counted.value) == (Status.FAIL, 8)
    assert "LEAKY_RELU" in counted.why
    assert "and 3 more" in counted.why
    assert check_named("artefact.transposes", gate, facts=facts).status is Status.PASS
    more = replace(facts, transposes=3)
    assert check_named("artefact.transposes", gate, facts=more).status is Status.FAIL
    untold = replace(FACTS, float_ops=None, transposes=None)
    for name in ("artefact.float_ops", "artefact.transposes"):
        assert check_named(name, gate, facts=untold).status is Status.NOT_MEASURED


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(3.0, Status.FAIL), (3.2, Status.PASS), (4.0, Status.PASS)],
)
@pytest.mark.parametrize("dot_product", [True, False])
def test_a_time_on_this_host_is_held_against_its_limit_whatever_the_cpu(
    limit: float, expected: Status, dot_product: bool
) -> None:
    name, gate = "latency.host.quantized_ms", GateSpec(latency_ms_max=limit)
    found = check_named(name, gate, host=Host("A CPU", dot_product))
    assert (found.status, found.value, found.required) == (expected, LATENCY.quantized_ms, True)
    assert "on A CPU" in found.why


def test_a_time_whose_interval_lies_across_its_limit_is_undecided() -> None:
    name, gate = "latency.host.quantized_ms", GateSpec(latency_ms_max=3.2)
    rounds = np.repeat(np.linspace(2.2, 4.2, 20)[:, None], 5, axis=1)
    shaken = replace(LATENCY, raw=replace(LATENCY.raw, quantized_ms=rounds))
    assert check_named(name, gate, latency=shaken).status is Status.INCONCLUSIVE
    untimed = check_named(name, gate, latency=NotMeasured("latency.enabled is false"))
    assert untimed.status is Status.NOT_MEASURED


@pytest.mark.parametrize(
    ("found", "status", "value"),
    [
        (Memory(18_500_000, 1), Status.PASS, 18.5),
        (Memory(18_500_001, 1), Status.FAIL, 18.500001),
        (NotMeasured("this system does not tell"), Status.NOT_MEASURED, None),
        (None, Status.NOT_MEASURED, None),
    ],
)
def test_memory_is_held_against_its_limit_and_unknown_is_no_pass(
    found: Memory | NotMeasured | None, status: Status, value: float | None
) -> None:
    gate = replace(NOTHING_ASKED, peak_memory_mb_max=18.5)
    made = report(gate, memory=found)
    assert (made.checks[-1].name, made.checks[-1].status) == ("memory.peak_mb", status)
    assert made.checks[-1].value == value
