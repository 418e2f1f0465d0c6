"""A report of plausible figures, to hold checks and renderings against; every part replaceable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bridges.verify import Hop, HopOutput
from edgekit.gate.limits import check_limits
from edgekit.measure.host import Host
from edgekit.measure.latency import HostLatency, PairTimes
from edgekit.measure.size import Size
from edgekit.numerics.fidelity import Fidelity, OutputFidelity
from edgekit.recipe.schema import GateSpec, QuantizeSpec
from edgekit.report import Report, Stage
from edgekit.tasks.task import MetricAccuracy
from edgekit.types import Artefact, ArtefactFacts, ArtefactFormat, FloatOp

FACTS = ArtefactFacts(("int8",), ("int8",), 70, (), 1, 300_774_272, 1.0)
FLOAT_OPS = (FloatOp("LEAKY_RELU", "features/3/act"), FloatOp("PRELU", "head/act"))
SIZE = Size(14_020_876, 4_049_872, 4_049_872 / 14_020_876)
FIDELITY = Fidelity(400, 0.9325, 14.106, 7.0914, {"logits": OutputFidelity(14.106, 7.0914, 0.9816)})
TOP1 = MetricAccuracy(0.9, 0.85, 0.05, 20, -0.119, 0.236, 0.64, 0.948)
LATENCY = HostLatency(
    float_ms=7.1,
    quantized_ms=3.2,
    float_p90_ms=7.9,
    quantized_p90_ms=3.5,
    speedup=2.219,
    ci_low=2.1,
    ci_high=2.3,
    float_engine="litert 2.3.0",
    quantized_engine="litert 2.3.0",
    reference_only=False,
    caveat=None,
    threads=1,
    rounds=20,
    runs_per_round=5,
    float_warm_up_runs=15,
    quantized_warm_up_runs=9,
    raw=PairTimes(np.full((20, 5), 7.1), np.full((20, 5), 3.2)),
)
HOST = Host("Some CPU", int8_dot_product=True)
GATE = GateSpec(size_ratio_max=0.295, agreement_min=0.93, top1_drop_max=0.3, speedup_min=1.0)
QUANTIZE = QuantizeSpec(method="litert_static")


def report(
    gate: GateSpec = GATE,
    quantize: QuantizeSpec = QUANTIZE,
    *,
    promises_full_integer: bool = True,
    **changes: Any,
) -> Report:
    """The report with ``changes`` to its fields, and the checks that follow from them."""
    base = Report(
        recipe="mobilenet_int8",
        folder=Path("runs/mobilenet_int8/20260304T050607Z-0123456"),
        artefact=Artefact(
            Path("anywhere/model.tflite"),
            ArtefactFormat.TFLITE,
            "litert_static",
            "litert",
            {"engine": "an engine 1.0"},
        ),
        facts=FACTS,
        size=SIZE,
        fidelity=FIDELITY,
        accuracy={"top1": TOP1},
        latency=LATENCY,
        host=HOST,
        checks=(),
        stages=(Stage("locate", 0.1), Stage("quantize", 1.25, cached=True)),
        notes=("twenty photos are no proof",),
        data={"calibration": {"dataset": "photos", "samples": 100}},
        bridges=(Hop("litert_torch", 8, (HopOutput("logits", 1e-5, 120.0),)),),
    )
    made = replace(base, **changes)
    checks = check_limits(
        gate,
        quantize,
        promises_full_integer=promises_full_integer,
        facts=made.facts,
        size=made.size,
        fidelity=made.fidelity,
        accuracy=made.accuracy,
        latency=made.latency if isinstance(made.latency, HostLatency) else None,
        host=made.host,
    )
    return replace(made, checks=checks)
