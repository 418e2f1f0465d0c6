"""What the methods of TFLiteConverter have in common: all but the scheme."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.bridges.cross import cross
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.sources.tf_checks import tensorflow_version
from edgekit.tensorflow.convert import Scheme, convert, op_sets
from edgekit.types import Artefact, ArtefactFormat


@dataclass(frozen=True)
class TFLiteConversion:
    """Converts straight from the TensorFlow model; the float ``.tflite`` is made beside it."""

    method: str
    scheme: Scheme

    def quantize(self, job: QuantizeJob) -> Quantized:
        with job.progress.task(f"Converting to {self.scheme}"):
            data = convert(
                job.model.value,
                job.model.inputs,
                job.model.outputs,
                scheme=self.scheme,
                samples=job.calibration,
                options=job.options,
                progress=job.progress,
            )
        crossing = cross(
            "tflite_converter",
            job.model,
            job.calibration,
            threads=job.threads,
            cache=job.cache,
            progress=job.progress,
        )
        file = job.folder / "model.tflite"
        file.write_bytes(data)
        artefact = Artefact(
            path=file,
            format=ArtefactFormat.TFLITE,
            method=self.method,
            runtime="litert",
            notes={
                "engine": f"TFLiteConverter of tensorflow {tensorflow_version()}",
                "op_sets": list(op_sets(self.scheme, job.options)),
            },
        )
        return Quantized(artefact=artefact, baseline=crossing.model, calibration_cached=False)
