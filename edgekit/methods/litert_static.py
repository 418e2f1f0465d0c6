"""Full-integer ``.tflite`` from the float graph, by ai-edge-quantizer with our own ranges, and with
as many remedies against what that costs as ``quantize.effort`` allows."""

from __future__ import annotations

from pathlib import Path

from edgekit.choose import Choice
from edgekit.methods.litert_build import build
from edgekit.methods.litert_engine import engine_name
from edgekit.methods.litert_ladder import climb
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.tflite.hard_cases import hard_cases
from edgekit.tflite.names import unique_names
from edgekit.tflite.rewrite import rewrite_for_int8
from edgekit.types import KEPT_FLOAT, Artefact, ArtefactFormat


class LitertStatic:
    """Rewrite, calibrate, estimate ranges, quantize; then up the ladder."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        float_file: Path = job.model.value
        float_graph = unique_names(float_file.read_bytes())
        data, rewritten = rewrite_for_int8(float_graph)
        for line in rewritten:
            job.progress.note(f"rewrote {line} exactly, so that it can run in INT8")
        warnings = tuple(map(str, hard_cases(float_graph)))
        for warning in warnings:
            job.progress.warn(warning)
        # Opened first: data without that role is refused before any work is done.
        dev = None if job.options.effort == "fast" else job.open_dev()
        built = build(job, data, job.options.estimator)
        choices: tuple[Choice, ...] = ()
        if dev is not None:
            climbed = climb(job, built, dev)
            built, choices = climbed.best, (climbed.choice,)
            warnings += climbed.warnings
        file = job.folder / "model.tflite"
        file.write_bytes(built.quantized)
        artefact = Artefact(
            path=file,
            format=ArtefactFormat.TFLITE,
            method="litert_static",
            runtime="litert",
            notes={
                "engine": engine_name(),
                "rewritten": list(rewritten),
                **({KEPT_FLOAT: built.kept} if built.kept else {}),
                **built.notes,
            },
        )
        return Quantized(
            artefact=artefact,
            baseline=job.model,
            calibration_cached=built.cached,
            choices=choices,
            warnings=warnings,
        )


def make() -> Method:
    return LitertStatic()
