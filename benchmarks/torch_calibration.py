"""What PT2E's calibration costs beside plain float inference on the same samples."""

from __future__ import annotations

import copy

import numpy as np
import torch

from benchmarks import direct_torch
from benchmarks.calibration import in_turns
from benchmarks.figure import Figure, Target
from benchmarks.ratio import ratio_of_medians
from benchmarks.torch_job import TorchJob
from edgekit.calibrate import estimate
from edgekit.capture import captured_output
from edgekit.progress import SilentProgress
from edgekit.pytorch.export import (
    example_inputs,
    export_source,
    load_torchao,
    quiet_warnings,
    torch_threads,
)
from edgekit.types import Sample

ROUNDS = 7
DEFAULT_ROUNDS = 3


def calibration_cost(job: TorchJob, threads: int = 1) -> Figure:
    """edgekit's observers and ranges, torchao's default observers, and the float model as it is.

    All run the calibration samples from memory, prepared and warm, in turns.
    """
    load_torchao()
    from edgekit.pytorch.extremes import collect_extremes
    from edgekit.pytorch.pt2e_calibrate import tensors
    from edgekit.pytorch.pt2e_prepare import prepare
    from edgekit.pytorch.pt2e_rules import model_modules

    source, options = job.source, job.recipe.quantize
    arguments = direct_torch.read_arguments(job.direct, "calibration")
    fed = list(job.data.calibration)
    with torch_threads(threads), quiet_warnings():
        program = export_source(source)
        prepared = prepare(
            program, "xnnpack", model_modules(source, program), {}, per_channel=options.per_channel
        )
        with captured_output():
            untouched = direct_torch.observed(source.value, example_inputs(source.inputs))

        def ours() -> None:
            def run(sample: Sample) -> None:
                prepared.graph(*tensors(sample, source.inputs))

            with SilentProgress().task("") as task:
                found = collect_extremes(prepared.observers, run, fed, task)
            estimate(found, options.estimator, exact=prepared.ends)

        def plain() -> None:
            with torch.inference_mode():
                for each in arguments:
                    source.value(*each)

        def theirs() -> None:
            direct_torch.calibrate(observers.pop(), arguments)

        ours_s, plain_s = in_turns(ours, plain, ROUNDS)
        # A histogram that has seen the samples is not the same work again.
        observers = [copy.deepcopy(untouched) for _ in range(DEFAULT_ROUNDS + 1)]
        theirs_s, beside_s = in_turns(theirs, plain, DEFAULT_ROUNDS)
    ratio, default = ratio_of_medians(ours_s, plain_s), ratio_of_medians(theirs_s, beside_s)
    return Figure(
        name=f"PT2E: calibrating {len(fed)} / plain inference, {threads} thread(s)",
        value=ratio.value,
        unit="x",
        target=Target("<=", 3.0),
        ci=(ratio.low, ratio.high),
        ci_kind=f"95 % bootstrap of {ROUNDS} rounds",
        beside=(("torchao's default observers", default.value),),
        notes=(
            f"medians: float {np.median(plain_s):.2f} s, edgekit {np.median(ours_s):.2f} s, "
            f"torchao {np.median(theirs_s):.2f} s, its ratio's interval [{default.low:.2f}, "
            f"{default.high:.2f}] of {DEFAULT_ROUNDS} rounds; ranges included, preparing not",
        ),
    )
