"""The ``gate`` section of a recipe: what a model may lose, and what it may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.recipe.key_doc import key_doc as _doc


@dataclass(frozen=True)
class GateSpec:
    """Limits. A limit that is absent is not checked."""

    size_ratio_max: float | None = field(
        default=None, metadata=_doc("artefact bytes / float bytes", above=0)
    )
    size_bytes_max: int | None = field(
        default=None, metadata=_doc("bytes of the artefact", at_least=1)
    )
    agreement_min: float | None = field(
        default=None,
        metadata=_doc(
            "share of samples where float and quantized choose the same class",
            at_least=0,
            at_most=1,
        ),
    )
    sqnr_db_min: float | None = field(
        default=None, metadata=_doc("signal to quantization noise of the primary output, dB")
    )
    top1_drop_max: float | None = field(
        default=None,
        metadata=_doc(
            "float top-1 minus quantized top-1, a fraction of 1; short for drop_max: {top1: ...}",
            at_least=0,
            at_most=1,
        ),
    )
    drop_max: Mapping[str, float] = field(
        default_factory=dict,
        metadata=_doc(
            "by metric, what may be lost of it, in its own unit, e.g. {top5: 0.01, recall: 0.02}",
            at_least=0,
        ),
    )
    relative_drop_max: Mapping[str, float] = field(
        default_factory=dict,
        metadata=_doc(
            "the same as a share of the float model's figure, e.g. {map: 0.02}", at_least=0
        ),
    )
    class_recall_drop_max: float | None = field(
        default=None,
        metadata=_doc(
            "what any one class may lose of its recall, a fraction of 1; needs the metric recall",
            at_least=0,
            at_most=1,
        ),
    )
    confidence: float = field(
        default=0.95,
        metadata=_doc(
            "of the intervals that have to lie on one side of a limit as a whole",
            at_least=0.5,
            at_most=0.99,
        ),
    )
    baseline_drop_max: float | None = field(
        default=None,
        metadata=_doc(
            "what a share of right answers may have lost since the baseline (gate --baseline), a "
            "fraction of 1; judged by its paired interval, as drop_max is",
            at_least=0,
            at_most=1,
        ),
    )
    speedup_min: float | None = field(
        default=None, metadata=_doc("float time / quantized time on the host, e.g. 1.0", above=0)
    )
    latency_ms_max: float | None = field(
        default=None, metadata=_doc("median time of one inference on the host, ms", above=0)
    )
    peak_memory_mb_max: float | None = field(
        default=None,
        metadata=_doc(
            "memory, in 10^6 bytes, that loading the artefact and running one sample add to a "
            "process that has its runtime; Linux only",
            above=0,
        ),
    )
    float_ops_max: int | None = field(
        default=None,
        metadata=_doc("operators on float activations, those of allow_float_ops too", at_least=0),
    )
    transposes_max: int | None = field(
        default=None, metadata=_doc("operators that only turn the layout", at_least=0)
    )
    tflite_runtime_2_14: bool | None = field(
        default=None,
        metadata=_doc(
            "whether a .tflite has to run and agree on tflite-runtime 2.14 too; false shows it "
            "without judging; by default it is not tried"
        ),
    )
    full_integer: bool | None = field(
        default=None,
        metadata=_doc(
            "fail on any float operator not in allow_float_ops; by default where the method "
            "promises a full-integer file"
        ),
    )

    @property
    def drop_limits(self) -> dict[str, float]:
        """``drop_max`` with ``top1_drop_max`` among it."""
        short = {} if self.top1_drop_max is None else {"top1": self.top1_drop_max}
        return {**short, **self.drop_max}
