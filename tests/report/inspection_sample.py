"""A file with everything that ``inspect`` has words for; nothing is read or run."""

from __future__ import annotations

from pathlib import Path

from edgekit.report.float_islands import float_islands
from edgekit.report.inspection import Inspection
from edgekit.report.model_kind import kind_in_words
from edgekit.tflite.delegates import DelegatePlan, OperatorPlace
from edgekit.tflite.runtime_need import RuntimeNeed, VersionNeed
from edgekit.types import (
    ArtefactFacts,
    ArtefactFormat,
    FileFacts,
    FloatOp,
    OperatorCompute,
    OperatorFact,
    QuantParams,
    TensorInfo,
)


def operator(
    op: str,
    layer: str,
    compute: OperatorCompute,
    reads: str,
    *,
    dtypes: str = "int8 -> int8",
    macs: int = 0,
    version: int | None = 1,
) -> OperatorFact:
    """It writes a tensor of the name of its layer."""
    return OperatorFact(op, layer, compute, dtypes, macs, (reads,), (layer,), version)


OPERATORS = (
    operator(
        "CONV_2D", "stem/conv", "int8", "image", dtypes="int8 x int8 -> int8", macs=10_838_016
    ),
    operator("DEQUANTIZE", "act_in", "conversion", "stem/conv", dtypes="int8 -> float32"),
    operator("PRELU", "act", "float", "act_in", dtypes="float32 -> float32"),
    operator("QUANTIZE", "act_out", "conversion", "act", dtypes="float32 -> int8"),
    operator("TRANSPOSE", "last", "int8", "act_out"),
    operator(
        "FULLY_CONNECTED", "logits", "int8", "last", dtypes="int8 x int8 -> int8", macs=12_800
    ),
)
FILE = FileFacts(
    facts=ArtefactFacts(
        input_dtypes=("int8",),
        output_dtypes=("int8",),
        ops=6,
        float_ops=(FloatOp("PRELU", "act"),),
        transposes=1,
        macs=10_850_816,
        int8_mac_fraction=1.0,
    ),
    inputs=(TensorInfo("image", (-1, 224, 224, 3), "int8", QuantParams(0.0186584, -14)),),
    outputs=(TensorInfo("logits", (-1, 10), "int8", QuantParams(0.125, 3)),),
    operators=OPERATORS,
    weights_bytes=2_345_678,
    metadata={"signatures": "serving_default", "labels": "10 for logits"},
)
PLACES = tuple(
    OperatorPlace(number, each.op, each.layer, each.macs, 0, None)
    for number, each in enumerate(OPERATORS)
)
SPLIT = tuple(
    OperatorPlace(
        place.index,
        place.op,
        place.layer,
        place.macs,
        None if place.op == "PRELU" else int(place.index > 2),
        "no such operator in NNAPI" if place.op == "PRELU" else None,
    )
    for place in PLACES
)
INSPECTION = Inspection(
    path=Path("model.tflite"),
    format=ArtefactFormat.TFLITE,
    kind=kind_in_words(FILE, ArtefactFormat.TFLITE),
    size_bytes=2_456_789,
    file=FILE,
    islands=float_islands(OPERATORS),
    runtime=RuntimeNeed(
        (
            VersionNeed("CONV_2D", 1, 1, 3, "1.14"),
            VersionNeed("FULLY_CONNECTED", 1, 5, 5, "2.0"),
            VersionNeed("MyOperator", 1, 1, 1, None),
        )
    ),
    delegates=(
        DelegatePlan("xnnpack", "LiteRT 2.3 on the CPU", PLACES),
        DelegatePlan("nnapi", "Android 11 or later", SPLIT),
    ),
)
