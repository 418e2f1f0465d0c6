"""A file on an older runtime: what is asked of it there, and whose fault it is when it fails."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.environments import LocalEnvironment, WorkerError
from edgekit.environments.child import BrokenEnvironmentError
from edgekit.measure.older_runtime import (
    LOSS_MAX_DB,
    OlderOutput,
    OlderRuntime,
    measure_older_runtime,
)
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict
from edgekit.types import Array, Sample
from tests import tflite_models as models
from tests.stand_in_runtime import stand_in_runtime

N = 6
Change = Callable[[dict[str, Array]], dict[str, Array]]


def drawn(n: int, feed: str = "x") -> list[Sample]:
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (n, 1, *models.INPUT_SHAPE[1:])).astype(np.float32)
    return [Sample(f"s{number}", f"s{number}", {feed: each}) for number, each in enumerate(x)]


@pytest.fixture
def samples() -> list[Sample]:
    return drawn(N)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(models.int8_model())
    return path


@dataclass
class Elsewhere:
    """An environment whose runtime answers as LiteRT does, but for ``change`` (of one run)."""

    change: Change | None = None
    error: WorkerError | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)

    def run(
        self, worker: str, request: Mapping[str, Any], *, folder: Path, timeout_s: float
    ) -> Mapping[str, Any]:
        assert worker == "run_tflite_runtime"
        self.requests.append(dict(request))
        if self.error is not None:
            raise self.error
        found: dict[str, Any] = {}
        with np.load(request["feeds"]) as feeds, open_session(request["model"]) as session:
            for n in range(request["runs"]):
                named = {
                    key.partition("/")[2]: feeds[key]
                    for key in feeds.files
                    if key.startswith(f"{n}/")
                }
                answer = session.run(named)
                answer = answer if self.change is None else self.change(answer)
                found |= {f"{n}/{name}": array for name, array in answer.items()}
        np.savez(request["answers"], **found)
        return {"runtime": "2.14.0"}


def tried(
    environment: Elsewhere | LocalEnvironment,
    file: Path,
    samples: list[Sample],
    *,
    classification: bool = True,
    seed: int = 0,
) -> OlderRuntime:
    float_file = file.with_name("float.tflite")
    float_file.write_bytes(models.float_model(seed))
    with open_session(float_file) as session:
        # The float model may have answered to more samples than are tried.
        reference = predict(session, [*samples, *samples[:2]])
    with open_session(file) as litert:
        return measure_older_runtime(
            lambda: environment,
            file,
            litert,
            samples,
            reference,
            primary="scores",
            classification=classification,
        )


def noisy(steps: int) -> Change:
    """Every other score off by ``steps`` of its scale."""
    rng = np.random.default_rng(0)

    def change(answer: dict[str, Array]) -> dict[str, Array]:
        scores = answer["scores"].astype(int)
        moved = scores + steps * rng.integers(-1, 2, scores.shape)
        return {"scores": np.clip(moved, -128, 127).astype(np.int8)}

    return change


def swapped(run: int) -> Change:
    """The two best of one run in each other's place."""
    runs = itertools.count()

    def change(answer: dict[str, Array]) -> dict[str, Array]:
        if next(runs) != run:
            return answer
        scores = answer["scores"].copy()
        second, best = np.argsort(scores[0])[-2:]
        scores[0, [second, best]] = scores[0, [best, second]]
        return {"scores": scores}

    return change


# What agrees -------------------------------------------------------------------------------------


def test_the_same_answers_agree(file: Path, samples: list[Sample]) -> None:
    found = tried(Elsewhere(), file, samples)
    assert found.agrees
    assert (found.runtime, found.n, found.same_class) == ("tflite-runtime 2.14.0", N, 1.0)
    output = found.outputs["scores"]
    assert output.sqnr_db == output.litert_sqnr_db > 15
    assert (output.between_sqnr_db, output.between_max_abs) == (200, 0)


def test_rounding_agrees_and_more_does_not(file: Path, samples: list[Sample]) -> None:
    little = tried(Elsewhere(noisy(1)), file, samples)
    assert little.agrees
    output = little.outputs["scores"]
    assert output.between_max_abs == pytest.approx(output.step, rel=1e-4)
    assert output.sqnr_db < output.limit_db, "one step is a lot in so small a network"
    assert not replace(output, step=output.step / 2).agrees
    much = tried(Elsewhere(noisy(12)), file, samples, classification=False)
    assert not much.agrees
    assert much.failure is None
    assert much.same_class is None


def test_a_quantized_model_that_is_bad_already_is_not_the_older_runtimes_fault(
    file: Path, samples: list[Sample]
) -> None:
    """Held against the weights of another network: far from float on either runtime."""
    found = tried(Elsewhere(noisy(1)), file, samples, seed=5, classification=False)
    assert found.outputs["scores"].litert_sqnr_db < 5
    assert found.agrees


@pytest.mark.parametrize(
    ("litert", "older", "agrees"),
    [
        (20.0, 20.0 - LOSS_MAX_DB, True),
        (20.0, 19.99 - LOSS_MAX_DB, False),
        (20.0, 40.0, True),
        (150.0, 60.0, True),  # from 60 dB on, nothing that matters is lost
        (150.0, 59.9, False),
    ],
)
def test_the_limit(litert: float, older: float, agrees: bool) -> None:
    good = OlderOutput(30, 30, 40, 0.1)
    outputs = {"first": good, "second": OlderOutput(older, litert, 20, 0.1)}
    found = OlderRuntime("a runtime", 16, outputs)
    assert found.agrees is agrees
    assert found.worst is not None
    assert (found.worst[0] == "second") is (older - min(litert - 3, 60) < 3)


def test_a_near_tie_may_fall_the_other_way_a_clear_answer_may_not(file: Path) -> None:
    """One sample of many, so that the noise of all hardly grows."""
    many = drawn(240)
    with open_session(file) as session:
        scores = np.sort(predict(session, many).outputs["scores"], axis=1)
    leads = scores[:, -1] - scores[:, -2]
    near = int(np.argmin(np.where(leads > 0, leads, np.inf)))
    clear = int(np.argmax(leads))

    tie = tried(Elsewhere(swapped(near)), file, many)
    assert tie.agrees
    assert tie.same_class == 239 / 240
    other = tried(Elsewhere(swapped(clear)), file, many)
    assert other.changed == (f"s{clear}",)
    assert not other.agrees
    tensors = tried(Elsewhere(swapped(clear)), file, many, classification=False)
    assert (tensors.same_class, tensors.changed) == (None, ())


# What is the file's fault, and what is not -------------------------------------------------------


def refusal(message: str, **details: Any) -> Elsewhere:
    return Elsewhere(error=WorkerError(f"onnx-tf: {message}", details=details))


def test_an_operator_it_does_not_know_is_named_with_its_layers(
    file: Path, samples: list[Sample]
) -> None:
    message = (
        "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '3'. An older version of this "
        "builtin might be supported."
    )
    found = tried(refusal(message, stage="load"), file, samples)
    assert found.failure == "it does not know FULLY_CONNECTED in version 3 (at serving_scores)"
    assert (found.agrees, found.outputs, found.worst) == (False, {}, None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal("stride is 0", stage="load"), "does not load there: onnx-tf: stride is 0"),
        (refusal("out of bounds", stage="run"), "does not run there: onnx-tf: out of bounds"),
        (refusal("it crashed (SIGSEGV)", exit_status=-11), "it crashed (SIGSEGV)"),
    ],
)
def test_a_file_that_fails_there_says_how(
    file: Path, samples: list[Sample], error: Elsewhere, said: str
) -> None:
    found = tried(error, file, samples)
    assert found.failure is not None
    assert said in found.failure


@pytest.mark.parametrize(
    "error",
    [
        WorkerError("onnx-tf: no answer within 600 s, so it was stopped"),
        WorkerError("onnx-tf: it crashed (SIGKILL)", details={"exit_status": -9}),
        WorkerError("onnx-tf: its worker ended", details={"exit_status": 1}),
        BrokenEnvironmentError("onnx-tf: no numpy", details={"module": "numpy"}),
    ],
)
def test_what_says_nothing_about_the_file_is_raised(
    file: Path, samples: list[Sample], error: WorkerError
) -> None:
    with pytest.raises(WorkerError) as caught:
        tried(Elsewhere(error=error), file, samples)
    assert caught.value is error


def test_outputs_of_other_names_are_a_failure(file: Path, samples: list[Sample]) -> None:
    found = tried(Elsewhere(lambda answer: {"other": answer["scores"]}), file, samples)
    assert found.failure == "its outputs there are other, not scores"


def test_nan_is_a_failure(tmp_path: Path, samples: list[Sample]) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(models.float_model())
    nan = Elsewhere(lambda answer: {name: array * np.nan for name, array in answer.items()})
    found = tried(nan, model, samples)
    assert found.failure is not None
    assert "NaN" in found.failure


# The worker --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        models.int8_model,
        models.two_output_model,
        models.unsigned_model,
        models.free_batch_model,
        models.two_signature_model,
    ],
)
def test_the_worker_answers_in_the_names_and_types_of_the_file(
    tmp_path: Path,
    content: Callable[[], bytes],
) -> None:
    samples = drawn(N, "serving_x" if content is models.unsigned_model else "x")
    file = tmp_path / "model.tflite"
    file.write_bytes(content())
    with open_session(file) as litert:
        reference = predict(litert, samples)
        found = measure_older_runtime(
            lambda: stand_in_runtime(tmp_path),
            file,
            litert,
            samples,
            reference,
            primary=litert.info.outputs[0].name,
            classification=False,
        )
    assert found.failure is None
    assert set(found.outputs) == set(reference.outputs)
    assert {output.between_sqnr_db for output in found.outputs.values()} == {200}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "        raise ValueError(\"Didn't find op for builtin opcode 'CONV_2D' \"\n"
            "            \"version '3'.\")",
            "it does not know CONV_2D in version 3 (at hidden)",
        ),
        (
            "    def invoke(self):\n        pass\n"
            "    def get_signature_runner(self, name):\n"
            "        raise RuntimeError('no such kernel')",
            "it does not load there: local: no such kernel",
        ),
        (
            "    def get_signature_runner(self, name):\n"
            "        def run(**feeds):\n"
            "            raise RuntimeError('overflow in the kernel')\n"
            "        return run",
            "it does not run there: local: overflow in the kernel",
        ),
        ("        import os; os.kill(os.getpid(), 11)", "it crashed (SIGSEGV)"),
    ],
)
def test_the_worker_tells_where_it_failed(
    tmp_path: Path,
    file: Path,
    samples: list[Sample],
    body: str,
    said: str,
) -> None:
    found = tried(stand_in_runtime(tmp_path, body), file, samples)
    assert found.failure is not None
    assert said in found.failure
