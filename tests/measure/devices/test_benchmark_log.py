"""The log of benchmark_model, of old builds and new ones. The lines are real."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.measure.devices.benchmark_log import parse_log
from edgekit.measure.devices.device import Delegate

OLD = """\
STARTING!
Graph: [/data/local/tmp/m.tflite]
Loaded model /data/local/tmp/m.tflite
resolved reporter
Initialized session in 13.386ms
Running benchmark for at least 1 iterations and at least 0.5 seconds
count=1 curr=11403859

Running benchmark for at least 50 iterations and at least 1 seconds
count=50 first=249042 curr=250889 min=247067 max=254474 avg=249684 std=1442

Inference timings in us: Init: 13386, First inference: 11403859, Warmup (avg): 1.14039e+07, \
Inference (avg): 249684
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE
Peak memory footprint (MB): init=4.92969 overall=138.809
"""
NEW = """\
INFO: STARTING!\r
INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the \
delegate.\r
VERBOSE: Replacing 58 out of 58 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 \
partitions for the whole graph.\r
INFO: count=7 first=80031 curr=80111 min=79031 max=81000 avg=80000 std=120 p5=79100 median=79990 \
p95=80900\r
INFO: count=50 first=1249964 curr=1240143 min=1238588 max=1252566 avg=1.24027e+06 std=2565 \
p5=1238753 median=1239807 p95=1247415\r
INFO: Inference timings in us: Init: 486000, First inference: 1.2e+06, Warmup (avg): 80000, \
Inference (avg): 1.24027e+06\r
INFO: Memory footprint delta from the start of the tool (MB): init=6.36328 overall=109.832\r
INFO: Overall peak memory footprint (MB) via periodic monitoring: 93.2383\r
"""


def test_an_old_build_gives_a_mean_and_its_peak() -> None:
    log = parse_log(OLD, Delegate.CPU)

    assert log.timing is not None
    assert (log.timing.runs, log.timing.mean_us, log.timing.std_us) == (50, 249684, 1442)
    assert (log.timing.min_us, log.timing.max_us) == (247067, 254474)
    assert log.timing.median_us is None
    assert log.timing.p95_us is None
    assert log.warm_up is not None
    assert log.warm_up.mean_us == 11403859
    assert (log.init_us, log.first_us) == (13386, 11403859)
    assert (log.peak_memory_mb, log.memory_delta_mb) == (138.809, None)
    assert log.delegation.effective is Delegate.CPU
    assert log.fault is None


def test_a_new_build_gives_quantiles_nodes_and_partitions() -> None:
    log = parse_log(NEW, Delegate.GPU)

    assert log.timing is not None
    assert (log.timing.mean_us, log.timing.median_us) == (1.24027e6, 1239807)
    assert log.timing.p95_us == 1247415
    assert log.warm_up is not None
    assert log.warm_up.runs == 7
    assert (log.peak_memory_mb, log.memory_delta_mb) == (93.2383, 109.832)
    found = log.delegation
    assert (found.effective, found.complete) == (Delegate.GPU, True)
    assert (found.nodes, found.graph_nodes, found.partitions) == (58, 58, 1)


@pytest.mark.parametrize("prefix", ["", "INFO: ", "I tflite  : ", "I tflite: "])
def test_a_prefix_changes_nothing(prefix: str) -> None:
    with_prefix = "".join(f"{prefix}{line}\n" for line in OLD.splitlines())

    assert parse_log(with_prefix, Delegate.CPU) == parse_log(OLD, Delegate.CPU)


def test_lines_of_a_profile_are_no_timing() -> None:
    profiled = OLD + "Timings (microseconds): count=9 first=1 curr=1 min=1 max=1 avg=1 std=0\n"

    assert parse_log(profiled, Delegate.CPU).timing == parse_log(OLD, Delegate.CPU).timing


PARTLY = (
    "Explicitly applied NNAPI delegate, and the model graph will be partially executed by the "
    "delegate w/ 11 delegate kernels.\n"
)
NOT_AT_ALL = (
    "Though GPU delegate is explicitly applied, the model graph will not be executed by the "
    "delegate.\n"
)


@pytest.mark.parametrize(
    ("line", "requested", "effective", "complete", "partitions"),
    [
        (PARTLY, Delegate.NNAPI, Delegate.NNAPI, False, 11),
        (PARTLY.replace("NNAPI", "XNNPACK"), Delegate.GPU, Delegate.XNNPACK, False, 11),
        (NOT_AT_ALL, Delegate.GPU, Delegate.CPU, None, None),
        ("Applied GPU delegate.\n", Delegate.GPU, Delegate.GPU, None, None),
        ("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n", Delegate.GPU,
         Delegate.XNNPACK, None, None),
        ("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n", Delegate.CPU,
         Delegate.XNNPACK, None, None),
        ("GPU acceleration is unsupported on this platform.\n", Delegate.GPU, Delegate.CPU, None,
         None),
        ("nothing of delegates\n", Delegate.GPU, None, None, None),
    ],
)  # fmt: skip
def test_what_executes_the_graph_is_what_the_log_says(
    line: str,
    requested: Delegate,
    effective: Delegate | None,
    complete: bool | None,
    partitions: int | None,
) -> None:
    found = parse_log(line, requested).delegation

    assert (found.effective, found.complete, found.partitions) == (effective, complete, partitions)


def test_a_part_of_the_nodes_is_counted() -> None:
    line = (
        "VERBOSE: Replacing 40 out of 58 node(s) with delegate (TfLiteXNNPackDelegate) node, "
        "yielding 3 partitions for the whole graph."
    )

    found = parse_log(line, Delegate.XNNPACK).delegation

    assert (found.effective, found.complete) == (Delegate.XNNPACK, False)
    assert (found.nodes, found.graph_nodes, found.partitions) == (40, 58, 3)


def test_a_launch_that_broke_off_has_no_time_but_its_reason() -> None:
    log = parse_log(
        "count=1 curr=20\nERROR: Failed to apply NNAPI delegate.\nERROR: Benchmarking failed.\n",
        Delegate.NNAPI,
    )

    assert log.timing is None
    assert log.fault == "Failed to apply NNAPI delegate."


noise = st.text(
    alphabet=st.sampled_from("countavgmins=0123456789.e+-: \r\n\tINFOx,()\0é"), max_size=400
)


@given(noise, st.sampled_from(Delegate))
def test_noise_never_breaks_the_parser_nor_makes_a_time(text: str, requested: Delegate) -> None:
    assert parse_log(text, requested).timing is None


@given(st.data())
def test_noise_between_the_lines_does_not_change_what_they_say(data: st.DataObject) -> None:
    parts = []
    for line in NEW.splitlines():
        parts.append(line)
        parts += data.draw(st.lists(st.text("abc %#;?!", max_size=20), max_size=2))

    assert parse_log("\r\n".join(parts), Delegate.GPU) == parse_log(NEW, Delegate.GPU)


@given(st.integers(0, len(NEW)))
def test_a_log_cut_anywhere_gives_the_time_or_none(length: int) -> None:
    timing = parse_log(NEW[:length], Delegate.GPU).timing

    assert timing is None or timing.runs in (7, 50)
