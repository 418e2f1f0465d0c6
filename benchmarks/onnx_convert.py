"""One of edgekit's bridges alone, without the check that follows it: what converting itself costs.

``python -m benchmarks.onnx_convert BRIDGE MODEL.onnx OUT.tflite``
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from edgekit.bridges import BRIDGES
from edgekit.bridges.bridge import BridgeJob
from edgekit.conversion import write_copy
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import ModelSpec, OnnxSpec
from edgekit.sources import locate
from edgekit.sources.described_onnx import describe_onnx


def main(bridge: str, model: str, out: str) -> None:
    file, progress = Path(model), SilentProgress()
    described = describe_onnx(file, None, None)
    spec = ModelSpec(
        framework="onnx",
        inputs=described.inputs,
        outputs=described.outputs,
        file=f"file:{file.absolute()}",
    )
    source = locate(spec, progress=progress)
    with TemporaryDirectory() as folder:
        job = BridgeJob(source, Path(folder), OnnxSpec(), progress)
        write_copy(BRIDGES[bridge].load().convert(job), Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
