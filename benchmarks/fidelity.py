"""What quantizing cost: edgekit's artefact beside two ways to call the engine directly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import direct
from benchmarks.figure import Figure, Target
from edgekit.capture import captured_output

AGREEMENT = {"mobilenet_int8": 0.93, "efficientnet_lite0_int8": 0.98}
SIZE_RATIO = 0.295
OWN = "its own calibrator"
EXACT = "exact min/max by hand"


def fidelity(job: direct.Job, report: dict[str, Any], folder: Path) -> list[Figure]:
    """``report`` is edgekit's, ``folder`` what ``direct`` left (the engine with exact ranges).

    The engine with its own calibrator is run here, on the direct float model and the same data.
    """
    recipe = job["recipe"]
    exact = json.loads((folder / "result.json").read_text())
    float_file, own_file = folder / "model.float.tflite", folder / "own_calibrator.tflite"
    samples = direct.read_samples(job, "calibration")
    with captured_output():  # its bars
        ranges = direct.calibrate_by_engine(float_file, samples, job["threads"])
        own_file.write_bytes(direct.quantize(float_file, ranges))
    answers = direct.run_tflite(own_file, direct.read_samples(job, "crops"), job["threads"])
    own = direct.compare(np.load(folder / "reference.npy"), answers)
    ours, size = report["fidelity"], report["size"]
    own_ratio = own_file.stat().st_size / float_file.stat().st_size
    return [
        Figure(
            name=f"agreement, {recipe}",
            value=ours["agreement"],
            target=Target(">=", AGREEMENT[recipe]),
            beside=((OWN, own["agreement"]), (EXACT, exact["agreement"])),
            notes=(f"{ours['n']} crops, against the model in PyTorch",),
        ),
        Figure(
            name=f"SQNR, {recipe}",
            value=ours["sqnr_db"],
            unit="dB",
            beside=((OWN, own["sqnr_db"]), (EXACT, exact["sqnr_db"])),
        ),
        Figure(
            name=f"size ratio, {recipe}",
            value=size["ratio"],
            unit="x",
            target=Target("<=", SIZE_RATIO),
            beside=((OWN, own_ratio), (EXACT, exact["bytes"] / exact["float_bytes"])),
            notes=(f"{size['bytes']:,} of {size['float_bytes']:,} bytes",),
        ),
    ]
