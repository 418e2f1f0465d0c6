"""The libraries called directly: one plain script, without edgekit, for a job in a JSON file.

It does what a person would write after reading the libraries' own documentation, and no more:
nothing is checked, cached, isolated or reported. ``python direct.py JOB.json FOLDER`` leaves
model.float.tflite, model.tflite, reference.npy (the float model's answers in PyTorch to the
crops) and result.json in FOLDER.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Job = dict[str, Any]
BATCH = 4


def main(job_file: str, folder: str) -> None:
    job, out = json.loads(Path(job_file).read_text()), Path(folder)
    float_file, int8_file = out / "model.float.tflite", out / "model.tflite"
    threads, seconds = job["threads"], {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        seconds[stage] = round(time.perf_counter() - start, 3)
        return result

    parts = ("calibration", "crops", "photos")
    samples = timed("data", lambda: {part: read_samples(job, part) for part in parts})
    model = timed("load", lambda: load_network(job))
    timed("convert", lambda: convert(model, job, float_file))
    crops, photos = samples["crops"], samples["photos"]
    before = timed("reference", lambda: [run_torch(model, x, threads) for x in (crops, photos)])
    np.save(out / "reference.npy", before[0])
    ranges = timed("calibrate", lambda: exact_ranges(float_file, samples["calibration"], threads))
    int8_file.write_bytes(timed("quantize", lambda: quantize(float_file, ranges)))
    after = timed("evaluate", lambda: [run_tflite(int8_file, x, threads) for x in (crops, photos)])
    labels = np.array(job["labels"])
    float_ms, int8_ms = timed(
        "latency", lambda: time_in_turns([float_file, int8_file], crops[0], **job["latency"])
    )
    result = {
        **compare(before[0], after[0]),
        "float_bytes": float_file.stat().st_size,
        "bytes": int8_file.stat().st_size,
        "top1_float": float((before[1].argmax(1) == labels).mean()),
        "top1": float((after[1].argmax(1) == labels).mean()),
        "float_ms": float(np.median(float_ms)),
        "int8_ms": float(np.median(int8_ms)),
        "seconds": seconds,
    }
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n")


def read_samples(job: Job, which: str) -> np.ndarray:
    """float32 [N, H, W, C]."""
    from PIL import Image

    rule = job["preprocess"]
    kind = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    kind_of_resize = kind[rule["filter"]]
    crop_width, crop_height = rule["crop"]
    mean, std = np.float32(rule["mean"]), np.float32(rule["std"])
    images: dict[str, Image.Image] = {}
    rows = []
    for sample in job[which]:
        path = sample["path"]
        if path not in images:
            images[path] = Image.open(path).convert("RGB")
        image = images[path]
        if sample["box"] is not None:
            image = image.crop(sample["box"])
        width, height, side = image.width, image.height, rule["shorter_side"]
        if width <= height:
            size = (side, int(side * height / width))
        else:
            size = (int(side * width / height), side)
        # Across, then down: Pillow chooses the order by the image's shape otherwise.
        image = image.resize((size[0], height), kind_of_resize).resize(size, kind_of_resize)
        left, top = round((size[0] - crop_width) / 2), round((size[1] - crop_height) / 2)
        image = image.crop((left, top, left + crop_width, top + crop_height))
        rows.append((np.asarray(image, np.float32) / np.float32(rule["divisor"]) - mean) / std)
    return np.stack(rows)


def load_network(job: Job) -> Any:
    """The trained ``nn.Module`` in eval mode."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    network = job["network"]
    sys.path[:0] = network["folders"]
    made: Any = importlib.import_module(network["module"])
    for name in network["attribute"].split("."):
        made = getattr(made, name)
    model = made(**network["arguments"])
    model.load_state_dict(torch.load(network["weights"], weights_only=True))
    return model.eval().to(memory_format=torch.channels_last)


def convert(model: Any, job: Job, file: Path) -> None:
    import litert_torch
    import torch

    n, c, h, w = job["shape"]
    wrapped = litert_torch.to_channel_last_io(model, args=[0]).eval()
    litert_torch.convert(wrapped, (torch.rand(n, h, w, c),)).export(str(file))


def run_torch(model: Any, samples: np.ndarray, threads: int) -> np.ndarray:
    """float32 [N, classes]."""
    import torch

    torch.set_num_threads(threads)
    with torch.inference_mode():
        batches = torch.split(torch.from_numpy(samples).permute(0, 3, 1, 2), BATCH)
        return np.concatenate([model(batch).numpy() for batch in batches])


def exact_ranges(file: Path, samples: np.ndarray, threads: int) -> dict[str, Any]:
    """Extremes of every activation over all samples, every tensor kept for NumPy to look at."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(
        model_path=str(file), num_threads=threads, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    names = _activations(file)
    low = dict.fromkeys(names, np.inf)
    high = dict.fromkeys(names, -np.inf)
    place = interpreter.get_input_details()[0]["index"]
    for sample in samples:
        interpreter.set_tensor(place, sample[None])
        interpreter.invoke()
        for index in names:
            values = interpreter.get_tensor(index)
            low[index] = min(low[index], values.min())
            high[index] = max(high[index], values.max())
    return {
        name: {"min": np.array([low[index]], "f4"), "max": np.array([high[index]], "f4")}
        for index, name in names.items()
    }


def _activations(file: Path) -> dict[int, str]:
    """Name by index of every float tensor that an operator makes, and of the input."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0).subgraphs[0]
    made = [*graph.inputs, *(index for op in graph.operators for index in op.outputs)]
    float32 = schema.TensorType.FLOAT32
    return {
        int(index): graph.tensors[index].name.decode()
        for index in made
        if graph.tensors[index].type == float32
    }


def quantize(file: Path, ranges: dict[str, Any]) -> bytes:
    from ai_edge_quantizer import quantizer, recipe

    engine = quantizer.Quantizer(str(file))
    engine.load_quantization_recipe(recipe.static_wi8_ai8())
    result = engine.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def calibrate_by_engine(file: Path, samples: np.ndarray, threads: int) -> dict[str, Any]:
    """ai-edge-quantizer's own calibrator, as its documentation calls it."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    interpreter = Interpreter(model_path=str(file))
    signature = next(iter(interpreter.get_signature_list()))
    name = next(iter(interpreter.get_signature_runner(signature).get_input_details()))
    engine = quantizer.Quantizer(str(file))
    engine.load_quantization_recipe(recipe.static_wi8_ai8())
    inputs = [{name: sample[None]} for sample in samples]
    found: dict[str, Any] = engine.calibrate({signature: inputs}, num_threads=threads)
    return found


def run_tflite(file: Path, samples: np.ndarray, threads: int) -> np.ndarray:
    """float32 [N, classes], quantized on the way in and dequantized on the way out."""
    interpreter = _interpreter(file, threads)
    first, last = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for sample in samples:
        interpreter.set_tensor(first["index"], _stored(sample[None], first))
        interpreter.invoke()
        answer = interpreter.get_tensor(last["index"])[0]
        if last["dtype"] != np.float32:
            scale, zero = last["quantization"]
            answer = (answer.astype(np.float32) - zero) * np.float32(scale)
        answers.append(answer)
    return np.stack(answers)


def time_in_turns(
    files: Sequence[Path], sample: np.ndarray, threads: int, rounds: int, runs_per_round: int
) -> list[np.ndarray]:
    """Milliseconds [rounds, runs] of each file."""
    loaded = []
    for file in files:
        interpreter = _interpreter(file, threads)
        first = interpreter.get_input_details()[0]
        interpreter.set_tensor(first["index"], _stored(sample[None], first))
        for _ in range(10):
            interpreter.invoke()
        loaded.append(interpreter)
    times = [np.empty((rounds, runs_per_round)) for _ in files]
    for number in range(rounds):
        order = range(len(files)) if number % 2 == 0 else reversed(range(len(files)))
        for which in order:
            for repeat in range(runs_per_round):
                start = time.perf_counter()
                loaded[which].invoke()
                times[which][number, repeat] = 1000 * (time.perf_counter() - start)
    return times


def compare(reference: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """Share of samples with the same largest value, and the noise over all of them."""
    f, q = reference.astype(np.float64), answers.astype(np.float64)
    return {
        "agreement": float((f.argmax(1) == q.argmax(1)).mean()),
        "sqnr_db": float(10 * np.log10((f**2).sum() / ((f - q) ** 2).sum())),
    }


def _interpreter(file: Path, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file), num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _stored(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """``values`` [1, H, W, C] as the model wants them, some of which take [1, C, H, W]."""
    if values.shape != tuple(detail["shape"]):
        values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    if detail["dtype"] == np.float32:
        return values
    scale, zero = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    stored: np.ndarray = np.clip(np.round(values / scale) + zero, limits.min, limits.max)
    return stored.astype(detail["dtype"])


if __name__ == "__main__":
    main(*sys.argv[1:])
