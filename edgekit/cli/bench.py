"""``edgekit bench``: how fast a model file is, on this machine or on phones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from edgekit.measure.devices.device import BenchSettings

EPILOG = """\b
Examples:
  edgekit bench model.tflite
  edgekit bench model.tflite --float model.float.tflite --delegate cpu
  edgekit bench model.tflite --device adb --delegate gpu --benchmark-model ./benchmark_model
  edgekit bench model.tflite --device all --delegate xnnpack --json
  edgekit bench model.tflite --device qemu-aarch64
  edgekit bench model.tflite --device swiftshader

A phone is reached by adb and runs TensorFlow Lite's benchmark_model, which you give with
--benchmark-model or $EDGEKIT_BENCHMARK_MODEL; its raw log is kept.
There is no verdict. Exit code 4: a device or a program is missing; 1: a device failed."""


@click.command(epilog=EPILOG)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--device",
    default="host",
    show_default=True,
    metavar="host|adb[:SERIAL]|all|qemu-aarch64|swiftshader",
    help="This machine, a phone, all phones, or an emulated Arm core or GPU (answers only).",
)
@click.option(
    "--delegate",
    type=click.Choice(["cpu", "xnnpack", "gpu", "nnapi"]),
    help="What is to execute the graph. [default: xnnpack for .tflite, else cpu; swiftshader: gpu]",
)
@click.option(
    "--float",
    "reference",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The float model: both are timed in turns, and compared.",
)
@click.option(
    "--runtime",
    type=click.Choice(["litert", "tflite-runtime"]),
    default="litert",
    show_default=True,
    help="What runs a .tflite on the host; tflite-runtime is what apps shipped before LiteRT.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--rounds", type=click.IntRange(min=2), help="Turns of each model. [default: host 20, phone 6]"
)
@click.option(
    "--runs", type=click.IntRange(min=1), help="Runs in a turn. [default: host 5, phone 50]"
)
@click.option(
    "--benchmark-model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TensorFlow Lite's benchmark_model, built for the phone.",
)
@click.option("--strict", is_flag=True, help="Fail where the delegate does not take all of it.")
@click.option("--gpu-backend", type=click.Choice(["auto", "cl", "gl"]), default="auto")
@click.option("--gpu-float32", is_flag=True, help="No loss of precision on the GPU.")
@click.option("--nnapi-accelerator", metavar="NAME", help="NNAPI's name of the accelerator.")
@click.option(
    "--nnapi-preference",
    type=click.Choice(["fast_single_answer", "sustained_speed", "low_power", "undefined"]),
)
@click.option("--profile-ops", is_flag=True, help="A table of operators in the log; costs time.")
@click.option(
    "--cool-down",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Seconds between turns on a phone.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds that one turn on a phone may take.",
)
@click.option(
    "--logs",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where raw logs go. [default: runs/bench/<UTC time>-<hash>]",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no notes.")
def bench(
    model: Path,
    device: str,
    delegate: str | None,
    reference: Path | None,
    runtime: Literal["litert", "tflite-runtime"],
    threads: int,
    rounds: int | None,
    runs: int | None,
    benchmark_model: Path | None,
    strict: bool,
    gpu_backend: Literal["auto", "cl", "gl"],
    gpu_float32: bool,
    nnapi_accelerator: str | None,
    nnapi_preference: str | None,
    profile_ops: bool,
    cool_down: float,
    timeout: float,
    logs: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Time MODEL on this machine or on phones, and say what really executed it.

    Turns of the float and the quantized model alternate; a measurement that is noisy, or made on
    a phone that throttles, is taken again once, and then marked as not to be believed.
    """
    from dataclasses import replace

    from edgekit.bench import bench_model, default_settings
    from edgekit.cli.console import make_progress, stdout_console
    from edgekit.cli.failure import render
    from edgekit.cli.interrupt import CheckedProgress
    from edgekit.measure.devices.device import Delegate

    base = default_settings(device, model)
    if runtime == "tflite-runtime":
        base = replace(base, delegate=Delegate.CPU)
    settings: BenchSettings = replace(
        base,
        delegate=base.delegate if delegate is None else Delegate(delegate),
        runtime=runtime,
        threads=threads,
        rounds=rounds or base.rounds,
        runs_per_round=runs or base.runs_per_round,
        strict=strict,
        gpu_backend=gpu_backend,
        gpu_float32=gpu_float32,
        nnapi_accelerator=nnapi_accelerator,
        nnapi_preference=nnapi_preference,
        profile_ops=profile_ops,
        cool_down_s=cool_down,
        timeout_s=timeout,
    )
    report = bench_model(
        model,
        device=device,
        reference=reference,
        settings=settings,
        benchmark_model=benchmark_model,
        logs=logs,
        progress=CheckedProgress(make_progress(quiet)),
    )
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        from edgekit.report.bench import print_bench

        print_bench(report, stdout_console())
    for failure in report.failures:
        render(failure.error, sys.argv[1:])
        if failure.log is not None:
            click.echo(f"  its log: {failure.log}", err=True)
    return report.exit_code
