"""What calibrating costs beside plain float inference on the same samples."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import direct
from benchmarks.figure import Figure, Target
from benchmarks.ratio import ratio_of_medians
from edgekit.capture import captured_output
from edgekit.methods.litert_build import session_threads
from edgekit.progress import SilentProgress
from edgekit.runtimes import open_session
from edgekit.tflite.collect import collect_extremes
from edgekit.tflite.reductions import with_extremes
from edgekit.types import Sample

ROUNDS = 12


def calibration_cost(
    float_file: Path, samples: np.ndarray, threads: int, recipe: str, rounds: int = ROUNDS
) -> Figure:
    """Both run ``samples``, float32 [N, H, W, C], through a loaded model, in turns.

    Beside it, once: every tensor preserved for NumPy, and the engine's own calibrator, both with
    their loading of the model, which they do not let one take apart.
    """
    start = perf_counter()
    graph = with_extremes(float_file.read_bytes())
    with TemporaryDirectory() as folder:
        instrumented = Path(folder) / "instrumented.tflite"
        instrumented.write_bytes(graph.data)
        with ExitStack() as opened:
            sessions = [
                opened.enter_context(open_session(instrumented, threads=each))
                for each in session_threads(threads)
            ]
            set_up_s = perf_counter() - start
            name = sessions[0].info.inputs[0].name
            fed = [Sample(str(i), str(i), {name: x[None]}) for i, x in enumerate(samples)]

            def calibrate() -> None:
                with SilentProgress().task("") as task:
                    collect_extremes(sessions, graph, fed, task)

            ours, plain = in_turns(calibrate, _plain(float_file, samples, threads), rounds)
    ratio = ratio_of_medians(ours, plain)
    plain_s = float(np.median(plain))
    with captured_output():
        preserved_s = _once(lambda: direct.exact_ranges(float_file, samples, threads))
        engine_s = _once(lambda: direct.calibrate_by_engine(float_file, samples, threads))
    return Figure(
        name=f"calibrating {len(samples)} / plain inference, {_threads(threads)}, {recipe}",
        value=ratio.value,
        unit="x",
        target=Target("<=", 1.5),
        ci=(ratio.low, ratio.high),
        ci_kind=f"95 % bootstrap of {rounds} rounds",
        beside=(
            ("all tensors preserved", preserved_s / plain_s),
            ("the engine's calibrator", engine_s / plain_s),
        ),
        notes=(
            f"medians {np.median(ours):.2f} s and {plain_s:.2f} s; preserved {preserved_s:.2f} s, "
            f"engine {engine_s:.2f} s; adding the reductions and loading, once: {set_up_s:.2f} s",
        ),
    )


def _plain(file: Path, samples: np.ndarray, threads: int) -> Callable[[], None]:
    """The plainest loop there is, XNNPACK by default."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_path=str(file), num_threads=threads)
    interpreter.allocate_tensors()
    first = interpreter.get_input_details()[0]["index"]
    last = interpreter.get_output_details()[0]["index"]

    def loop() -> None:
        for sample in samples:
            interpreter.set_tensor(first, sample[None])
            interpreter.invoke()
            interpreter.get_tensor(last)

    return loop


def in_turns(
    first: Callable[[], None], second: Callable[[], None], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of each by round; even rounds begin with the first. One run each warms up."""
    first()
    second()
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            times[which].append(_once((first, second)[which]))
    return times


def _once(work: Callable[[], Any]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
