"""INT8 weights and float arithmetic, from the float ``.tflite`` by ai-edge-quantizer.

A DEQUANTIZE stands before every weight, so that all operators compute in float: the file is about
as small as a full-integer one, loses only what rounding the weights loses, and needs no samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.methods.litert_engine import engine_name, run_engine, weight_granularity
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.names import unique_names
from edgekit.types import Artefact, ArtefactFormat

if TYPE_CHECKING:
    from ai_edge_quantizer.quantizer import Quantizer


class LitertWeightOnly:
    """Quantize the weights, and nothing else."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        def configure(engine: Quantizer) -> None:
            from ai_edge_quantizer.qtyping import TFLOperationName

            engine.add_weight_only_config(
                ".*",
                TFLOperationName.ALL_SUPPORTED,
                num_bits=8,
                granularity=weight_granularity(per_channel=job.options.per_channel),
            )

        float_file: Path = job.model.value
        with job.progress.task("Quantizing weights"):
            quantized = run_engine(unique_names(float_file.read_bytes()), configure)
        file = job.folder / "model.tflite"
        # The engine writes every zero point of every channel out.
        file.write_bytes(pack(unpack(quantized)))
        artefact = Artefact(
            path=file,
            format=ArtefactFormat.TFLITE,
            method="litert_weight_only",
            runtime="litert",
            notes={"engine": engine_name()},
        )
        return Quantized(artefact=artefact, baseline=job.model, calibration_cached=False)


def make() -> Method:
    return LitertWeightOnly()
