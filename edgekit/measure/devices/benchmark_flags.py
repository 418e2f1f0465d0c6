"""The command line of TensorFlow Lite's benchmark_model.

Names of flags: tensorflow/lite/tools/benchmark/README.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.measure.devices.device import BenchSettings, Delegate
from edgekit.types import TensorInfo

WARM_UP_S = 0.5
"""benchmark_model runs the model at least so long before it times it."""

RESULT_FILE = "result.pb"


def bench_flags(graph: str, settings: BenchSettings) -> list[str]:
    """The flags of one timed launch of the model file ``graph``."""
    return [
        *_common(graph, settings),
        f"--num_runs={settings.runs_per_round}",
        f"--min_secs={settings.min_secs:g}",
        f"--warmup_min_secs={WARM_UP_S:g}",
        "--report_peak_memory_footprint=true",
        f"--result_file_path={RESULT_FILE}",  # builds that do not know it pass over it
        *(["--enable_op_profiling=true"] if settings.profile_ops else []),
    ]


def answer_flags(
    graph: str,
    settings: BenchSettings,
    inputs: Sequence[tuple[TensorInfo, str]],
    output: str,
) -> list[str]:
    """The flags of one launch that runs ``graph`` once on raw input files (each with the input it
    is for, in the graph's order) and writes all its outputs, one after another, to ``output``."""
    names = ",".join(info.name for info, _ in inputs)
    shapes = ":".join(",".join(map(str, info.shape)) for info, _ in inputs)
    files = ",".join(f"{info.name.replace(':', '::')}:{file}" for info, file in inputs)
    return [
        *_common(graph, settings),
        "--num_runs=1",
        "--min_secs=0",
        "--warmup_runs=0",
        "--warmup_min_secs=0",
        f"--input_layer={names}",
        f"--input_layer_shape={shapes}",
        f"--input_layer_value_files={files}",
        f"--output_filepath={output}",
    ]


def _common(graph: str, settings: BenchSettings) -> list[str]:
    return [
        f"--graph={graph}",
        f"--num_threads={settings.threads}",
        *_delegate(settings),
        # The CPU's own kernels are no delegate: the tool would call that a fallback.
        *(
            ["--require_full_delegation=true"]
            if settings.strict and settings.delegate is not Delegate.CPU
            else []
        ),
    ]


def _delegate(settings: BenchSettings) -> list[str]:
    match settings.delegate:
        case Delegate.CPU:
            return ["--use_xnnpack=false"]
        case Delegate.XNNPACK:
            return ["--use_xnnpack=true"]
        case Delegate.GPU:
            backend = settings.gpu_backend
            return [
                "--use_gpu=true",
                f"--gpu_precision_loss_allowed={str(not settings.gpu_float32).lower()}",
                *([] if backend == "auto" else [f"--gpu_backend={backend}"]),
            ]
        case Delegate.NNAPI:
            accelerator, preference = settings.nnapi_accelerator, settings.nnapi_preference
            return [
                "--use_nnapi=true",
                *([f"--nnapi_accelerator_name={accelerator}"] if accelerator else []),
                *([f"--nnapi_execution_preference={preference}"] if preference else []),
            ]
