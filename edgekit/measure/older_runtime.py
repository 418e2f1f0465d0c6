"""Whether a ``.tflite`` runs on tflite-runtime 2.14 too, as well as it does on LiteRT.

The two round differently: an INT8 kernel of the one is an integer multiplication and a shift, of
the other a float multiplication. Behind fifty layers that is noise of the size that quantization
itself makes, so bit equality would refuse every file. What counts is how far either is from the
float model: see ``OlderRuntime.agrees``.
"""

from __future__ import annotations

import re
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bridges.verify import MIN_SQNR_DB
from edgekit.environments import Environment, WorkerError
from edgekit.errors import MismatchError, SessionError, UsageError
from edgekit.numerics.fidelity import Fidelity, fidelity
from edgekit.runtimes.predict import Predictions, predict
from edgekit.runtimes.session import ClosingSession, Session, SessionInfo
from edgekit.tflite.graph import read_graph
from edgekit.types import Array, Feeds, Sample

ENVIRONMENT = "onnx-tf"
"""The isolated environment that has it."""
RUNTIME = "tflite-runtime 2.14"
SAMPLES = 16
"""It runs INT8 operator by operator, without XNNPACK: MobileNetV2 takes 0.2 s."""
LOSS_MAX_DB = 3.0
"""Noise against the float model that the older runtime may have more than LiteRT."""
TIMEOUT_S = 600.0

WORKER = "run_tflite_runtime"
_UNKNOWN_OP = re.compile(r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'")
_SHOWN = 3
_WHOLE_STEP = 1.001
"""A difference of float32 values that are whole steps."""


@dataclass(frozen=True)
class OlderOutput:
    """One output, pooled over the samples: SQNR against the float model on the older runtime
    (``sqnr_db``) and on LiteRT; SQNR and largest difference between the two runtimes. ``step`` is
    the scale of an integer output, 0 of a float one."""

    sqnr_db: float
    litert_sqnr_db: float
    between_sqnr_db: float
    between_max_abs: float
    step: float = 0.0

    @property
    def agrees(self) -> bool:
        """It loses no more than ``LOSS_MAX_DB``, or differs by one step: the last rounding alone
        may do that, and in a small network it is all the noise there is."""
        return self.sqnr_db >= self.limit_db or self.between_max_abs <= self.step * _WHOLE_STEP

    @property
    def limit_db(self) -> float:
        """What ``sqnr_db`` has to reach; from ``MIN_SQNR_DB`` on nothing was lost anyway."""
        return min(self.litert_sqnr_db - LOSS_MAX_DB, MIN_SQNR_DB)


@dataclass(frozen=True)
class OlderRuntime:
    """What became of the file on the older ``runtime``.

    ``failure`` says why it did not load or run there, ``outputs`` (the primary one first) is empty
    then. ``same_class`` is the share of the ``n`` samples with the same class on both, ``None``
    outside classification; ``changed`` are the samples with another class although LiteRT's led it
    by more than twice the largest error of quantization on these samples: not by a near tie.
    """

    runtime: str
    n: int
    outputs: Mapping[str, OlderOutput]
    same_class: float | None = None
    changed: tuple[str, ...] = ()
    failure: str | None = None

    @property
    def agrees(self) -> bool:
        """It ran, every output is as near the float model as on LiteRT (within ``LOSS_MAX_DB``),
        and no clear answer changed."""
        if self.failure is not None or self.changed:
            return False
        return all(output.agrees for output in self.outputs.values())

    @property
    def worst(self) -> tuple[str, OlderOutput] | None:
        """The output that is furthest beyond its limit, or nearest to it; the first of equals."""
        return min(
            self.outputs.items(),
            key=lambda item: (item[1].agrees, item[1].sqnr_db - item[1].limit_db),
            default=None,
        )


def measure_older_runtime(
    opened: Callable[[], Environment],
    file: Path,
    litert: Session,
    samples: Sequence[Sample],
    reference: Predictions,
    *,
    primary: str,
    classification: bool,
) -> OlderRuntime:
    """Run ``samples`` through ``file`` on both runtimes.

    ``litert`` is a session of ``file``; ``reference`` the float model's answers, to these samples
    first. Nothing is made before it is needed: ``opened`` gives the environment.

    Raises:
        MissingError: the environment cannot be made.
        WorkerError: it could not be tried: too slow, killed, the environment at fault.
    """
    recorder = _Recorder(litert)
    newer = predict(recorder, samples)
    reference = _first(reference, len(samples))
    quantized = fidelity(reference, newer, primary=primary, classification=False)
    runtime = RUNTIME
    try:
        answers, said = answers_elsewhere(
            opened(), file, recorder.feeds, threads=litert.info.threads, worker=WORKER
        )
        runtime = f"tflite-runtime {said['runtime']}"
        older = predict(_Replay(litert.info, answers), samples)
        lost = fidelity(reference, older, primary=primary, classification=False)
        between = fidelity(newer, older, primary=primary, classification=classification)
    except WorkerError as error:
        if (failure := _failure(error, file)) is None:
            raise
        return OlderRuntime(runtime, len(samples), {}, failure=failure)
    except (SessionError, MismatchError) as error:
        return OlderRuntime(runtime, len(samples), {}, failure=error.message)
    changed: tuple[str, ...] = ()
    if classification:
        lead = 2 * quantized.max_abs
        changed = _changed(newer.outputs[primary], older.outputs[primary], newer.ids, lead)
    steps = {end.name: 0.0 if end.quant is None else end.quant.scale for end in litert.info.outputs}
    return OlderRuntime(
        runtime,
        len(samples),
        {name: _output(name, lost, quantized, between, steps[name]) for name in lost.outputs},
        between.agreement,
        changed,
    )


def _first(predictions: Predictions, n: int) -> Predictions:
    outputs = {name: array[:n] for name, array in predictions.outputs.items()}
    return Predictions(outputs, predictions.ids[:n], None)


def _output(
    name: str, lost: Fidelity, quantized: Fidelity, between: Fidelity, step: float
) -> OlderOutput:
    return OlderOutput(
        lost.outputs[name].sqnr_db,
        quantized.outputs[name].sqnr_db,
        between.outputs[name].sqnr_db,
        between.outputs[name].max_abs,
        step,
    )


def _changed(newer: Array, older: Array, ids: Sequence[str], lead: float) -> tuple[str, ...]:
    """Samples whose class in ``newer`` leads that in ``older`` by more than ``lead``."""
    n = len(ids)
    left, right = newer.reshape(n, -1), older.reshape(n, -1)
    rows = np.arange(n)
    led_by = left.max(axis=1) - left[rows, right.argmax(axis=1)]
    return tuple(name for name, led in zip(ids, led_by, strict=True) if led > lead)


def answers_elsewhere(
    environment: Environment,
    file: Path,
    feeds: Sequence[Feeds],
    *,
    threads: int,
    worker: str,
    **settings: bool,
) -> tuple[list[dict[str, Array]], Mapping[str, Any]]:
    """The answers of ``worker`` in ``environment`` to each of ``feeds``, and what it says besides:
    its ``runtime``, the version. ``settings`` are the worker's own.

    Raises:
        WorkerError: it refused the file, crashed, took too long; see ``WorkerError.details``.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        folder = Path(name)
        request = {
            "model": file,
            "feeds": folder / "feeds.npz",
            "runs": len(feeds),
            "answers": folder / "answers.npz",
            "threads": threads,
            **settings,
        }
        named = {f"{n}/{key}": array for n, run in enumerate(feeds) for key, array in run.items()}
        arrays: dict[str, Any] = named
        np.savez(folder / "feeds.npz", **arrays)
        said = environment.run(worker, request, folder=folder, timeout_s=TIMEOUT_S)
        answers: list[dict[str, Array]] = [{} for _ in feeds]
        with np.load(folder / "answers.npz", allow_pickle=False) as found:
            for key in found.files:
                number, _, output = key.partition("/")
                answers[int(number)][output] = found[key]
    return answers, said


def _failure(error: WorkerError, file: Path) -> str | None:
    """Why ``file`` does not run there; ``None`` where the file is not what failed."""
    details = error.details
    if "stage" not in details:
        # Killed: by the system, which was out of memory.
        crashed = details.get("exit_status", 0) < 0 and -details["exit_status"] != signal.SIGKILL
        return error.message if crashed else None
    unknown = dict.fromkeys(_UNKNOWN_OP.findall(error.message))
    if not unknown:
        doing = "load" if details["stage"] == "load" else "run"
        return f"it does not {doing} there: {error.message}"
    return "; ".join(_unknown_op(file, op, int(version)) for op, version in unknown)


def _unknown_op(file: Path, op: str, version: int) -> str:
    graph = read_graph(file)
    layers = [
        owner.layer(each)
        for owner in (graph, *graph.inner)
        for each in owner.ops
        if each.name == op and each.version == version
    ]
    more = f" and {len(layers) - _SHOWN} more" if len(layers) > _SHOWN else ""
    return f"it does not know {op} in version {version} (at {', '.join(layers[:_SHOWN])}{more})"


class _Recorder(ClosingSession):
    """Another's session, which remembers what it was fed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.feeds: list[Feeds] = []

    @property
    def info(self) -> SessionInfo:
        return self._session.info

    def run(self, feeds: Feeds) -> dict[str, Array]:
        self.feeds.append(dict(feeds))
        return self._session.run(feeds)

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        return self._session.time_ms(feeds, repeats)

    def close(self) -> None:
        """It is its opener's to close."""


class _Replay(ClosingSession):
    """Answers that were computed elsewhere, in the order of the invocations."""

    def __init__(self, info: SessionInfo, answers: Sequence[dict[str, Array]]) -> None:
        self._info = info
        self._answers = iter(answers)

    @property
    def info(self) -> SessionInfo:
        return self._info

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """See ``Session.run``."""
        answer = next(self._answers)
        wanted = [output.name for output in self._info.outputs]
        if sorted(answer) != sorted(wanted):
            raise SessionError(
                f"its outputs there are {', '.join(sorted(answer))}, not {', '.join(wanted)}"
            )
        return answer

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        """Raises UsageError: nothing runs here."""
        raise UsageError("answers that were recorded take no time")

    def close(self) -> None:
        """Nothing is open."""
