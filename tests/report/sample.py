"""A report of plausible figures, to hold checks and renderings against; every part replaceable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bridges.verify import Hop, HopOutput
from edgekit.choose import Candidate, Samples, choose
from edgekit.gate.limits import check_limits
from edgekit.measure.host import Host
from edgekit.measure.latency import HostLatency, PairTimes
from edgekit.measure.measurements import Alternative
from edgekit.measure.older_runtime import OlderOutput, OlderRuntime
from edgekit.measure.size import Size
from edgekit.numerics.fidelity import Fidelity, OutputFidelity
from edgekit.recipe.gate_spec import GateSpec
from edgekit.recipe.schema import QuantizeSpec
from edgekit.report import Report, Stage
from edgekit.tasks.task import MetricAccuracy
from edgekit.types import Artefact, ArtefactFacts, ArtefactFormat, FloatOp, ModuleFact

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
CAVEAT = "both models are run operator by operator, right but not fast: there is no C++ compiler"
REFERENCE_LATENCY = replace(
    LATENCY,
    float_engine="torch_export 2.13.0",
    quantized_engine="torch_export 2.13.0",
    reference_only=True,
    caveat=CAVEAT,
)
MODULES = (
    ModuleFact("features.0", "Conv2d", "int8", 1_376),
    ModuleFact("encoder.out", "Linear", "int8 dynamic", 40_000),
    ModuleFact("embedding", "Embedding", "int8 weights", 90_000),
    ModuleFact("classifier.1", "Linear", "float", 5_124_000, "the recipe leaves it out (a rule)"),
)
TORCH_FACTS = ArtefactFacts(
    ("float32",),
    ("float32",),
    99,
    (FloatOp("aten.linear.default", "classifier.1"),),
    0,
    300_774_272,
    0.996,
    MODULES,
)
UNTUNED = Alternative(
    size=Size(14_020_876, 4_210_000, 4_210_000 / 14_020_876),
    fidelity=replace(FIDELITY, agreement=0.9, sqnr_db=12.5),
    accuracy={"top1": replace(TOP1, quantized=0.8, drop=0.1)},
)
CHOICE = choose(
    "method",
    [
        Candidate(
            "tflite_int8",
            4.13,
            agreeing=np.arange(200) < 189,
            sqnr_db={"logits": 13.9},
            size_bytes=4_049_872,
            float_ops=2,
        ),
        Candidate(
            "litert_static",
            2.5,
            agreeing=np.arange(200) < 188,
            sqnr_db={"logits": 17.04},
            size_bytes=4_061_000,
            float_ops=0,
        ),
        Candidate("other", 0.2, error="no kernel for SEARCH at net/find"),
    ],
    Samples("dev", "photos", 200),
)
_EXPORTED = Hop(
    "torch_onnx", 8, (HopOutput("logits", 1e-5, 131.2),), ops=100, transposes=0, seconds=6.5
)
_ROUNDS = np.linspace(0.99, 1.01, 15)
WAYS = choose(
    "bridge",
    [
        Candidate(
            "litert_torch",
            2.5,
            agreeing=np.arange(200) < 188,
            sqnr_db={"logits": 17.04},
            size_bytes=4_061_000,
            ops=70,
            float_ops=0,
            transposes=0,
            hops=(Hop("litert_torch", 8, (HopOutput("logits", 1e-5, 129.0),), 67, 0, 11.9),),
            round_ms=3.2 * _ROUNDS,
        ),
        Candidate(
            "torch_onnx, onnx2tf",
            2.6,
            agreeing=np.arange(200) < 189,
            sqnr_db={"logits": 17.06},
            size_bytes=4_065_000,
            ops=74,
            float_ops=0,
            transposes=4,
            hops=(
                _EXPORTED,
                Hop("onnx2tf", 8, (HopOutput("logits", 1e-5, 121.4),), 71, 4, 41.8),
            ),
            round_ms=3.4 * _ROUNDS,
        ),
        Candidate(
            "torch_onnx, onnx_tf",
            0.0,
            error="onnx_tf converted the model, but output 'logits' differs from the source's by "
            "up to 7.31 (11.5 dB; at least 60 dB wanted) on 8 samples",
            hops=(_EXPORTED, Hop("onnx_tf", 8, (HopOutput("logits", 7.31, 11.5),))),
        ),
    ],
    Samples("dev", "photos", 200),
)
OLDER = OlderRuntime(
    "tflite-runtime 2.14.0", 16, {"logits": OlderOutput(17.76, 17.68, 24.33, 0.9, 0.129)}, 0.9375
)
HOST = Host("Some CPU", int8_dot_product=True)
GATE = GateSpec(size_ratio_max=0.295, agreement_min=0.93, top1_drop_max=0.3, speedup_min=1.0)
QUANTIZE = QuantizeSpec(method="litert_static")


def torch_report(gate: GateSpec = GATE, **changes: Any) -> Report:
    """As ``report``, of a program with a float module and an alternative, timed for reference."""
    parts: dict[str, Any] = {
        "recipe": "fashion_qat",
        "artefact": Artefact(
            Path("anywhere/model.pt2"),
            ArtefactFormat.PT2,
            "pt2e",
            "torch_export",
            {"engine": "torchao 0.18.0", "backend": "x86", "observer": "minmax"},
        ),
        "facts": TORCH_FACTS,
        "latency": REFERENCE_LATENCY,
        "alternatives": {"without fine-tuning": UNTUNED},
        "notes": (f"host latency: {CAVEAT}",),
    }
    return report(
        gate, QuantizeSpec(method="pt2e"), promises_full_integer=False, **{**parts, **changes}
    )


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
        older_runtime=made.older_runtime,
        memory=made.memory,
    )
    return replace(made, checks=checks)
