"""torch and torchao called directly: one plain script, without edgekit, for a job in a JSON file.

Each way is what their own tutorials show, and no more. ``python -m benchmarks.direct_torch JOB.json
FOLDER`` leaves in FOLDER what each way saves, its answers as WAY.npy (float.npy: the model's own),
float32 [N, classes], and result.json.
"""

from __future__ import annotations

import copy
import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.direct import Job, load_network

Arguments = tuple[Any, ...]
"""The tensors of one call, in the model's own layout, batch of one."""
Model = Callable[..., Any]
WARM_UP_RUNS = 5


def main(job_file: str, folder: str) -> None:
    job, out = json.loads(Path(job_file).read_text()), Path(folder)
    model = load_network(job)
    import torch

    torch.set_num_threads(job["threads"])
    calibration, evaluation = (read_arguments(job, part) for part in ("calibration", "evaluation"))
    np.save(out / "float.npy", answers(model, evaluation))
    result: dict[str, Any] = {"float_bytes": state_bytes(model), "ways": {}}
    for name, limit in job["ways"].items():
        quantize, save = WAYS[name]
        start = time.perf_counter()
        quantized = quantize(model, calibration, **job["options"].get(name, {}))
        seconds = time.perf_counter() - start
        size_bytes = save(quantized, calibration, out / name)
        np.save(out / f"{name}.npy", answers(quantized, evaluation[:limit]))
        result["ways"][name] = {**size_bytes, "seconds": seconds}
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n")


def read_arguments(job: Job, part: str) -> list[Arguments]:
    """Every sample of ``part``, all of them slices of one tensor an input."""
    import torch

    columns = []
    with np.load(job[part]) as arrays:
        for name, layout in job["inputs"]:
            whole = torch.from_numpy(arrays[name])
            whole = whole.permute(0, 3, 1, 2) if layout == "NCHW" else whole
            columns.append([whole[index : index + 1] for index in range(len(whole))])
    return list(zip(*columns, strict=True))


def answers(model: Model, samples: Sequence[Arguments]) -> np.ndarray:
    """float32 [N, classes], one by one: dynamic ranges depend on what else is in a batch."""
    import torch

    with torch.inference_mode():
        return np.concatenate([model(*arguments).numpy() for arguments in samples])


def observed(
    model: Any, example: Arguments, *, per_channel: bool = False, weight_limit: int = 127
) -> Any:
    """The exported graph with the XNNPACK-style quantizer's own observers in it."""
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e
    from torchao.testing.pt2e._xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    config = get_symmetric_quantization_config(
        is_per_channel=per_channel, weight_qmin=-weight_limit, weight_qmax=weight_limit
    )
    graph = torch.export.export(model, example).module()
    return prepare_pt2e(graph, XNNPACKQuantizer().set_global(config))


def calibrate(prepared: Model, samples: Sequence[Arguments]) -> None:
    import torch

    with torch.no_grad():
        for arguments in samples:
            prepared(*arguments)


def pt2e(model: Any, calibration: Sequence[Arguments], **options: Any) -> Model:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    prepared = observed(model, calibration[0], **options)
    calibrate(prepared, calibration)
    converted: Model = convert_pt2e(prepared)
    return converted


def pt2e_qat(
    model: Any, calibration: Sequence[Arguments], *, training: Job, weight_limit: int = 127
) -> Model:
    """The exported graph trained with torchao's simulated quantization and batch norms in it."""
    import torch
    from torchao.quantization.pt2e import move_exported_model_to_eval, move_exported_model_to_train
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e
    from torchao.testing.pt2e._xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    config = get_symmetric_quantization_config(
        is_per_channel=True, is_qat=True, weight_qmin=-weight_limit, weight_qmax=weight_limit
    )
    inputs, labels = read_training(training)
    torch.manual_seed(0)
    example = (inputs[: training["batch"]],)
    shapes = ({0: torch.export.Dim("batch")},)
    trainable = copy.deepcopy(model).train()
    graph = torch.export.export(trainable, example, dynamic_shapes=shapes).module()
    prepared: Any = prepare_qat_pt2e(graph, XNNPACKQuantizer().set_global(config))
    move_exported_model_to_train(prepared)
    optimizer = torch.optim.Adam(prepared.parameters(), lr=training["learning_rate"])
    order: list[int] = []
    for _ in range(training["steps"]):
        order = order or torch.randperm(len(inputs)).tolist()
        drawn, order = order[: training["batch"]], order[training["batch"] :]
        loss: Any = torch.nn.functional.cross_entropy(prepared(inputs[drawn]), labels[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    move_exported_model_to_eval(prepared)
    converted: Model = convert_pt2e(prepared)
    return converted


def read_training(training: Job) -> tuple[Any, Any]:
    """The one input [N, C, H, W] and the labels [N]."""
    import torch

    with np.load(training["file"]) as arrays:
        inputs = torch.from_numpy(arrays[training["input"]]).permute(0, 3, 1, 2)
    return inputs, torch.tensor(training["labels"])


def fx(model: Any, calibration: Sequence[Arguments], engine: str) -> Model:
    import torch
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    torch.backends.quantized.engine = engine
    mapping = get_default_qconfig_mapping(engine)
    prepared = prepare_fx(copy.deepcopy(model), mapping, calibration[0])
    calibrate(prepared, calibration)
    converted: Model = convert_fx(prepared)
    return converted


def dynamic(model: Any, calibration: Sequence[Arguments] = (), *, types: Sequence[str]) -> Model:
    """Eager ``quantize_dynamic`` with its default, one weight scale a tensor."""
    import torch

    quantization: Any = torch.ao.quantization  # untyped
    chosen = {getattr(torch.nn, name) for name in types}
    quantized: Model = quantization.quantize_dynamic(model, chosen, dtype=torch.qint8)
    return quantized


def torchao_dynamic(model: Any, calibration: Sequence[Arguments] = ()) -> Model:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    quantized: Model = copy.deepcopy(model)
    quantize_(quantized, Int8DynamicActivationInt8WeightConfig())
    return quantized


def save_program(converted: Any, calibration: Sequence[Arguments], file: Path) -> dict[str, int]:
    """Exported with the first sample as its example, which is a slice of all of them, and with a
    copy of that sample."""
    import torch

    sizes = {}
    for key, example in (
        ("bytes", calibration[0]),
        ("bytes_own_example", tuple(tensor.clone() for tensor in calibration[0])),
    ):
        target = file.with_suffix(".pt2")
        torch.export.save(torch.export.export(converted, example), target)
        sizes[key] = target.stat().st_size
    return sizes


def save_script(quantized: Any, calibration: Sequence[Arguments], file: Path) -> dict[str, int]:
    import torch

    jit: Any = torch.jit  # untyped
    target = file.with_suffix(".ts")
    jit.save(jit.trace(quantized, calibration[0]), str(target))
    return {"bytes": target.stat().st_size}


def save_both(quantized: Any, calibration: Sequence[Arguments], file: Path) -> dict[str, int]:
    """As a state dict, and as TorchScript, which has the code in it too."""
    script = save_script(quantized, calibration, file)
    return {"bytes": state_bytes(quantized), "script_bytes": script["bytes"]}


def save_state(quantized: Any, calibration: Sequence[Arguments], file: Path) -> dict[str, int]:
    return {"bytes": state_bytes(quantized)}


def state_bytes(model: Any) -> int:
    """Of the saved state dict."""
    import torch

    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getbuffer().nbytes


WAYS: dict[str, tuple[Callable[..., Model], Callable[..., dict[str, int]]]] = {
    "pt2e": (pt2e, save_program),
    "pt2e_per_channel": (partial(pt2e, per_channel=True), save_program),
    "pt2e_qat": (pt2e_qat, save_program),
    "fx_x86": (partial(fx, engine="x86"), save_script),
    "fx_onednn": (partial(fx, engine="onednn"), save_script),
    "dynamic_linear": (partial(dynamic, types=["Linear"]), save_both),
    "dynamic_lstm": (partial(dynamic, types=["LSTM", "Linear"]), save_both),
    "torchao": (torchao_dynamic, save_state),
}


def time_in_turns(
    calls: Mapping[str, tuple[Callable[[], Any], int]], rounds: int
) -> dict[str, np.ndarray]:
    """Milliseconds [rounds, runs] of each call, every round as many runs as stand beside it."""
    import torch

    times = {name: np.empty((rounds, runs)) for name, (_, runs) in calls.items()}
    with torch.inference_mode():
        for call, runs in calls.values():
            for _ in range(min(runs, WARM_UP_RUNS)):
                call()
        for number in range(rounds):
            for name in calls if number % 2 == 0 else reversed(list(calls)):
                call, runs = calls[name]
                for repeat in range(runs):
                    start = time.perf_counter()
                    call()
                    times[name][number, repeat] = 1000 * (time.perf_counter() - start)
    return times


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main(*sys.argv[1:])
