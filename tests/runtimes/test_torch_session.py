"""TorchSession: layouts, output structures, batches, threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.errors import SessionError, UsageError
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.torch_module import MAX_FREE_BATCH, TorchSession
from edgekit.types import TensorInfo
from tests import tflite_models as models

IMAGE = InputSpec("x", (1, 3, 4, 4), "float32", "NCHW")
VECTOR = InputSpec("v", (1, 6), "float32", "any")


class Net(torch.nn.Module):
    """The network of tflite_models, channels-first; also returns the hidden feature map."""

    def __init__(self) -> None:
        super().__init__()
        w = models.weights()
        self.conv = torch.nn.Conv2d(3, models.FILTERS, 3, padding=1)
        self.fc = torch.nn.Linear(4 * 4 * models.FILTERS, models.CLASSES)
        with torch.no_grad():
            self.conv.weight.copy_(torch.from_numpy(w.filter.transpose(0, 3, 1, 2).copy()))
            self.conv.bias.copy_(torch.from_numpy(w.filter_bias))
            self.fc.weight.copy_(torch.from_numpy(w.matrix))
            self.fc.bias.copy_(torch.from_numpy(w.matrix_bias))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = torch.relu(self.conv(x))
        return h, self.fc(h.permute(0, 2, 3, 1).flatten(1))


def images(batch: int) -> models.Array:
    return np.random.default_rng(5).normal(size=(batch, 4, 4, 3)).astype(np.float32)


def test_channels_last_in_and_out_of_a_channels_first_model() -> None:
    with TorchSession(Net().eval(), (IMAGE,), ("hidden", "scores"), threads=1) as session:
        assert session.info.inputs == (TensorInfo("x", (1, 4, 4, 3), "float32"),)
        assert session.info.outputs == (
            TensorInfo("hidden", (1, 4, 4, models.FILTERS), "float32"),
            TensorInfo("scores", (1, models.CLASSES), "float32"),
        )
        x, w = images(1), models.weights()
        answer = session.run({"x": x})
    np.testing.assert_allclose(answer["hidden"], models.hidden(x, w), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer["scores"], models.reference(x, w), rtol=1e-4, atol=1e-5)


def test_other_layouts_pass_through_both_ways() -> None:
    spec = InputSpec("x", (1, 4, 4, 3), "float32", "NHWC")
    with TorchSession(lambda x: x * 2, (spec,), ("y",), threads=1) as session:
        x = images(1)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x * 2)


def test_an_eager_model_takes_batches_and_answers_the_same() -> None:
    with TorchSession(Net().eval(), (IMAGE,), ("hidden", "scores"), threads=1) as session:
        assert session.info.max_batch == MAX_FREE_BATCH
        x = images(5)
        together = session.run({"x": x})["scores"]
        apart = [session.run({"x": x[i : i + 1]})["scores"][0] for i in range(5)]
    np.testing.assert_allclose(together, np.stack(apart), rtol=1e-4, atol=1e-5)


def test_an_exported_program_keeps_its_fixed_batch() -> None:
    program = torch.export.export(Net().eval(), (torch.zeros(1, 3, 4, 4),))
    with TorchSession(program.module(), (IMAGE,), ("hidden", "scores"), threads=1) as session:
        assert session.info.max_batch == 1
        x = images(1)
        expected = models.reference(x, models.weights())
        np.testing.assert_allclose(session.run({"x": x})["scores"], expected, rtol=1e-4, atol=1e-5)
        with pytest.raises(UsageError, match=r"given float32 \[2, 4, 4, 3\]"):
            session.run({"x": images(2)})


def test_a_model_that_mixes_its_batch_gets_one_sample_at_a_time() -> None:
    with TorchSession(lambda v: v.reshape(1, -1), (VECTOR,), ("y",), threads=1) as session:
        assert session.info.max_batch == 1


def test_torchscript_runs() -> None:
    script = torch.jit.trace(Net().eval(), torch.zeros(1, 3, 4, 4))  # type: ignore[no-untyped-call]
    with TorchSession(script, (IMAGE,), ("hidden", "scores"), 1, "torchscript") as session:
        assert session.info.runtime == "torchscript"
        x = images(2)
        expected = models.reference(x, models.weights())
        np.testing.assert_allclose(session.run({"x": x})["scores"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "module",
    [
        lambda v: {"b": v + 2, "a": v + 1},  # by key, whatever its order
        lambda v: [v + 1, v + 2],
        lambda v: (v + 1, v + 2),
        lambda v: {"p": v + 1, "q": v + 2},  # other keys: in the dict's order
    ],
)
def test_output_structures(module: Callable[..., Any]) -> None:
    v = np.ones((1, 6), np.float32)
    with TorchSession(module, (VECTOR,), ("a", "b"), threads=1) as session:
        answer = session.run({"v": v})
    assert list(answer) == ["a", "b"]
    np.testing.assert_array_equal(answer["a"], v + 1)
    np.testing.assert_array_equal(answer["b"], v + 2)


def test_outputs_are_copies_even_of_the_input_or_a_buffer() -> None:
    buffer = torch.zeros(1, 6)
    with TorchSession(lambda v: (v, buffer), (VECTOR,), ("same", "buffer"), threads=1) as session:
        v = np.ones((1, 6), np.float32)
        answer = session.run({"v": v})
        v += 1
        buffer += 1
    assert answer["same"].max() == 1
    assert answer["buffer"].max() == 0


def test_outputs_that_do_not_match_their_names_list_both() -> None:
    message = (
        r"returns 2 outputs \(float32 \[1, 2, 4, 4\], float32 \[1, 5\]\), but 1 are named \(scores"
    )
    with pytest.raises(UsageError, match=message):
        TorchSession(Net().eval(), (IMAGE,), ("scores",), threads=1)
    with pytest.raises(UsageError, match=r"'p' float32.*but 2 are named"):
        TorchSession(lambda v: {"p": v}, (VECTOR,), ("a", "b"), threads=1)
    with pytest.raises(UsageError, match="output 'a' is a str"):
        TorchSession(lambda v: "text", (VECTOR,), ("a",), threads=1)


def test_wrong_specs_and_failing_models_say_so() -> None:
    with pytest.raises(UsageError, match=r"layout NCHW but shape \[1, 6\]"):
        TorchSession(lambda v: v, (InputSpec("v", (1, 6), "float32", "NCHW"),), ("y",), 1)
    with pytest.raises(
        SessionError, match=r"failed on zeros of the stated shapes: RuntimeError: .*shape"
    ):
        TorchSession(torch.nn.Linear(7, 2), (VECTOR,), ("y",), threads=1)
    with pytest.raises(UsageError, match="threads"):
        TorchSession(lambda v: v, (VECTOR,), ("y",), threads=0)


def test_threads_hold_inside_a_run_and_are_given_back() -> None:
    seen: list[int] = []

    def module(v: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        assert not torch.is_grad_enabled()
        return v

    before = torch.get_num_threads()
    wanted = 1 if before != 1 else 2
    with TorchSession(module, (VECTOR,), ("y",), threads=wanted) as session:
        times = session.time_ms({"v": np.ones((1, 6), np.float32)}, 3)
    assert set(seen) == {wanted}
    assert torch.get_num_threads() == before
    assert times.shape == (3,)
    assert (times > 0).all()


def test_integer_inputs_and_read_only_feeds() -> None:
    ids = InputSpec("ids", (1, 4), "int64", "any")
    embedding = torch.nn.Embedding(10, 3)
    with TorchSession(embedding, (ids,), ("y",), threads=1) as session:
        feed = np.array([[1, 2, 3, 9]])
        feed.flags.writeable = False
        expected = embedding.weight.detach().numpy()[feed]
        np.testing.assert_array_equal(session.run({"ids": feed})["y"], expected)
        with pytest.raises(UsageError, match="given int32"):
            session.run({"ids": feed.astype(np.int32)})
