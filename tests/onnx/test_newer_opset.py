"""Old operator sets brought up: the same answers, also where onnx's converter forgets a mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgekit.onnx.newer_opset import raised
from tests.onnx_models import info, model


def _answer(made: Any) -> Any:
    feed = np.random.default_rng(1).normal(size=(1, 3, 4, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": feed})[0]


@pytest.mark.parametrize(("op", "opset"), [("Upsample", 9), ("Resize", 10)])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("scale", [2.0, 1.5])
def test_resizing_stays_where_it_was(op: str, opset: int, mode: str, scale: float) -> None:
    scales = numpy_helper.from_array(np.float32([1, 1, scale, scale]), "scales")
    size = int(4 * scale)
    made = model(
        [helper.make_node(op, ["x", "scales"], ["y"], "up", mode=mode)],
        [info("x", (1, 3, 4, 4))],
        [info("y", (1, 3, size, size))],
        [scales],
        opset=opset,
    )
    newer = raised(made, 13)
    assert {each.version for each in newer.opset_import} == {13}
    np.testing.assert_allclose(_answer(newer), _answer(made), atol=1e-5)
