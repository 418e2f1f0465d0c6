"""A ``.tflite`` on tflite-runtime, the interpreter that apps shipped before LiteRT."""

from __future__ import annotations

from typing import Any, Dict, List  # noqa: UP035 - workers run on Python 3.9 too

from protocol import Refused, serve


def work(request: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    """Run ``model`` on each of ``runs`` invocations in ``feeds`` (an .npz of ``<run>/<input>``);
    ``answers`` is written like it, of outputs, in the model's own types. Names are those of the
    first signature, or of the tensors where there is none.

    With ``repeats`` the invocations are timed instead, see ``timed``: the answer's ``times_ms``."""
    import numpy as np
    from tflite_runtime import __version__
    from tflite_runtime.interpreter import Interpreter

    try:
        interpreter = Interpreter(request["model"], num_threads=request["threads"])
        interpreter.allocate_tensors()
        # A signature's runner holds the interpreter, which then refuses to be invoked by itself.
        run = None if "repeats" in request else invocation(interpreter)
    except (RuntimeError, ValueError) as error:
        raise Refused(str(error), stage="load", runtime=__version__) from error
    answers = {}
    with np.load(request["feeds"], allow_pickle=False) as arrays:
        if run is None:
            inputs = [arrays[key] for key in arrays.files]
            try:
                times = timed(interpreter, inputs, request["repeats"], request["warm_up"])
            except (RuntimeError, ValueError) as error:
                raise Refused(str(error), stage="run", runtime=__version__) from error
            return {"runtime": __version__, "times_ms": times}
        for number in range(request["runs"]):
            start = f"{number}/"
            feeds = {k[len(start) :]: arrays[k] for k in arrays.files if k.startswith(start)}
            try:
                found = run(feeds)
            except (RuntimeError, ValueError) as error:
                raise Refused(str(error), stage="run", runtime=__version__) from error
            answers.update({start + name: array for name, array in found.items()})
    with open(request["answers"], "wb") as file:
        np.savez(file, **answers)
    return {"runtime": __version__}


def invocation(interpreter: Any) -> Any:
    """A function from named feeds to named answers."""
    names: List[str] = list(interpreter.get_signature_list())  # noqa: UP006
    if names:
        runner = interpreter.get_signature_runner(names[0])
        return lambda feeds: runner(**feeds)
    indices = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}

    def run(feeds: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
        for name, array in feeds.items():
            interpreter.resize_tensor_input(indices[name], array.shape)
        interpreter.allocate_tensors()
        for name, array in feeds.items():
            interpreter.set_tensor(indices[name], array)
        interpreter.invoke()
        outputs = interpreter.get_output_details()
        return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in outputs}

    return run


def timed(
    interpreter: Any,
    inputs: List[Any],  # noqa: UP006
    repeats: int,
    rule: Dict[str, Any],  # noqa: UP006
) -> List[float]:  # noqa: UP006
    """Milliseconds of ``repeats`` bare invocations, once warm by ``rule``: it is that of
    ``edgekit.runtimes.turns.warm_up``, with its limits. ``inputs`` are in the graph's order."""
    from statistics import median
    from time import monotonic, perf_counter_ns

    def times_ms(runs: int) -> List[float]:  # noqa: UP006
        found = []
        for _ in range(runs):
            start = perf_counter_ns()
            interpreter.invoke()
            found.append((perf_counter_ns() - start) / 1e6)
        return found

    for detail, array in zip(interpreter.get_input_details(), inputs):  # noqa: B905
        interpreter.set_tensor(detail["index"], array)
    best_ms, steady, runs, end = float("inf"), 0, 0, monotonic() + rule["limit_s"]
    while steady < 2 and runs < rule["max_runs"] and (runs == 0 or monotonic() < end):
        median_ms = median(times_ms(rule["batch"]))
        runs += rule["batch"]
        steady = 0 if median_ms < best_ms * rule["gain"] else steady + 1
        best_ms = min(best_ms, median_ms)
    return times_ms(repeats)


if __name__ == "__main__":
    serve(work)
