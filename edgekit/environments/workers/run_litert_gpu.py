"""A ``.tflite`` on LiteRT's GPU accelerator, on whatever Vulkan device its process finds."""

from __future__ import annotations

from typing import Any, Dict  # noqa: UP035 - as all workers

from protocol import Refused, serve


def work(request: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    """Run ``model`` on each of ``runs`` invocations in ``feeds`` (an .npz of ``<run>/<input>``);
    ``answers`` is written like it, of outputs, in the model's own types. Names are those of the
    first signature, or of the tensors where there is none. ``float32`` rules half floats out.

    The answer's ``whole`` is whether the GPU took all of the graph."""
    from importlib.metadata import version

    import numpy as np
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import GpuOptions, Options

    runtime = version("ai-edge-litert")
    options = Options(
        hardware_accelerators=HardwareAccelerator.GPU,
        gpu_options=GpuOptions(enforce_f32=request["float32"]),
    )
    try:
        model = CompiledModel.from_file(request["model"], options=options)
    except RuntimeError as error:
        raise Refused(str(error), stage="load", runtime=runtime) from error
    signature = next(iter(model.get_signature_list()))
    inputs = model.get_input_tensor_details(signature)
    outputs = model.get_output_tensor_details(signature)
    answers: Dict[str, Any] = {}  # noqa: UP006
    with np.load(request["feeds"], allow_pickle=False) as arrays:
        for number in range(request["runs"]):
            given = {name: model.create_input_buffer_by_name(signature, name) for name in inputs}
            made = {name: model.create_output_buffer_by_name(signature, name) for name in outputs}
            try:
                for name, buffer in given.items():
                    buffer.write(np.ascontiguousarray(arrays[f"{number}/{name}"]))
                model.run_by_name(signature, given, made)
                for name, buffer in made.items():
                    shape, dtype = outputs[name]["shape"], np.dtype(outputs[name]["dtype"])
                    read = buffer.read(int(np.prod(shape)), dtype)
                    answers[f"{number}/{name}"] = np.asarray(read).reshape(shape)
            except RuntimeError as error:
                raise Refused(str(error), stage="run", runtime=runtime) from error
    with open(request["answers"], "wb") as file:
        np.savez(file, **answers)
    return {"runtime": runtime, "whole": model.is_fully_accelerated()}


if __name__ == "__main__":
    serve(work)
