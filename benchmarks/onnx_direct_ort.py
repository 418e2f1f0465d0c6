"""ONNX Runtime's own quantizer called directly: one plain script, without edgekit, for a job in a
JSON file.

``python onnx_direct_ort.py JOB.json FOLDER`` leaves, for every way, its INT8 file ``WAY.onnx`` and
``WAY.npy`` (its answers) in FOLDER, those of the float model as ``float.npy``, and result.json.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

WAYS: dict[str, dict[str, Any]] = {
    "minmax_int8": {"calibrate": "MinMax", "activation": "QInt8"},
    "minmax_uint8": {"calibrate": "MinMax", "activation": "QUInt8"},
    "minmax_reduced": {"calibrate": "MinMax", "activation": "QUInt8", "reduce_range": True},
    "entropy_int8": {"calibrate": "Entropy", "activation": "QInt8"},
    "entropy_reduced": {"calibrate": "Entropy", "activation": "QUInt8", "reduce_range": True},
}


def main(job_file: str, folder: str) -> None:
    job, out = json.loads(Path(job_file).read_text()), Path(folder)
    model = Path(job["model"])
    # [N, H, W, C] as edgekit feeds them; the model takes NCHW.
    calibration, evaluation = (
        np.ascontiguousarray(np.load(job[part])[job["input"]].transpose(0, 3, 1, 2))
        for part in ("calibration", "evaluation")
    )
    np.save(out / "float.npy", answers(model, evaluation, job["threads"]))
    ways = {}
    for way in job["ways"]:
        start = time.perf_counter()
        quantize(model, out / f"{way}.onnx", calibration, **WAYS[way])
        seconds = time.perf_counter() - start
        np.save(out / f"{way}.npy", answers(out / f"{way}.onnx", evaluation, job["threads"]))
        ways[way] = {"seconds": seconds, "bytes": (out / f"{way}.onnx").stat().st_size}
        print(f"{way} {seconds:.1f} s", file=sys.stderr, flush=True)
    (out / "result.json").write_text(json.dumps({"ways": ways}, indent=2) + "\n")


def quantize(
    model: Path,
    out: Path,
    samples: np.ndarray,
    *,
    calibrate: str,
    activation: str,
    reduce_range: bool = False,
) -> None:
    """Preprocessing included, as its documentation advises; weights by channel, int8."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.feeds = iter({name: sample[None]} for sample in samples)

        def get_next(self) -> Any:
            return next(self.feeds, None)

    import onnx

    ready = out.with_suffix(".ready.onnx")
    quant_pre_process(str(model), str(ready))
    quantize_static(
        str(ready),
        str(out),
        Reader(onnx.load(ready, load_external_data=False).graph.input[0].name),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType[activation],
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[calibrate],
    )
    ready.unlink()


def answers(file: Path, samples: np.ndarray, threads: int) -> np.ndarray:
    """float32 [N, classes]."""
    session = open_session(file, threads)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[None]})[0] for sample in samples])


def open_session(file: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def time_in_turns(
    files: list[Path], sample: np.ndarray, rounds: int, runs_per_round: int
) -> list[np.ndarray]:
    """Milliseconds [rounds, runs] of each file on one thread; ``sample`` is [1, C, H, W]."""
    sessions = [open_session(file, 1) for file in files]
    feeds = {sessions[0].get_inputs()[0].name: sample}
    for session in sessions:
        for _ in range(10):
            session.run(None, feeds)
    times = [np.empty((rounds, runs_per_round)) for _ in files]
    for number in range(rounds):
        order = range(len(files)) if number % 2 == 0 else reversed(range(len(files)))
        for which in order:
            for repeat in range(runs_per_round):
                start = time.perf_counter()
                sessions[which].run(None, feeds)
                times[which][number, repeat] = 1000 * (time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main(*sys.argv[1:])
