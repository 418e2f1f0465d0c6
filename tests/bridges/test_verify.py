"""The check after every hop: a model that answers differently does not get through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.bridges.verify import MIN_SQNR_DB, verify_hop
from edgekit.errors import MismatchError
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.torch_module import TorchSession
from edgekit.types import Sample

SPEC = InputSpec("x", (1, 4), "float32", "any")
SAMPLES = [Sample(str(i), str(i), {"x": np.full((1, 4), i + 1.0, np.float32)}) for i in range(3)]


def _session(function: Callable[..., Any], *outputs: str) -> TorchSession:
    return TorchSession(function, (SPEC,), outputs, threads=1)


def _verify(before: Callable[..., Any], after: Callable[..., Any], *outputs: str) -> Any:
    with _session(before, *outputs) as first, _session(after, *outputs) as second:
        return verify_hop("the_bridge", first, second, SAMPLES)


def test_equal_models_pass_and_say_how_equal_they_are() -> None:
    hop = _verify(lambda x: (x, x * 2), lambda x: (x, x + x), "a", "b")
    assert (hop.bridge, hop.samples) == ("the_bridge", 3)
    assert [(o.name, o.max_abs, o.sqnr_db) for o in hop.outputs] == [
        ("a", 0.0, 200.0),
        ("b", 0.0, 200.0),
    ]


def test_float_rounding_passes() -> None:
    hop = _verify(lambda x: x / 3, lambda x: x * (1 / 3), "y")
    assert hop.outputs[0].sqnr_db > MIN_SQNR_DB


def test_a_difference_is_told_by_output_size_and_limit() -> None:
    with pytest.raises(MismatchError) as caught:
        _verify(lambda x: (x, x), lambda x: (x, x * 1.01), "good", "bad")
    assert caught.value.message == (
        "the_bridge converted the model, but output 'bad' differs from the source's by up to 0.03 "
        "(40.0 dB; at least 60 dB wanted) on 3 samples"
    )
    assert "model.inputs" in str(caught.value.hint)


def test_a_later_output_is_looked_at_even_if_the_first_is_right() -> None:
    with pytest.raises(MismatchError, match="'c'"):
        _verify(lambda x: (x, x, x), lambda x: (x, x, -x), "a", "b", "c")


def test_another_shape() -> None:
    with pytest.raises(MismatchError, match="the_bridge changed the model: output 'y' has shape"):
        _verify(lambda x: x, lambda x: x.reshape(1, 2, 2), "y")


def test_outputs_that_changed_places_are_noticed() -> None:
    with pytest.raises(MismatchError, match="output 'a' differs"):
        _verify(lambda x: (x, x * 2), lambda x: (x * 2, x), "a", "b")


def test_a_missing_output() -> None:
    with (
        _session(lambda x: (x, x), "a", "b") as before,
        _session(torch.nn.Identity(), "a") as after,
        pytest.raises(MismatchError, match="changed the model: the reference has the outputs"),
    ):
        verify_hop("the_bridge", before, after, SAMPLES)
