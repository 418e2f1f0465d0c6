"""contract.json says in which order an app has to lay out the axes of an image."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.recipe.schema import InputSpec
from edgekit.runs.contract import contract
from edgekit.runtimes.session import SessionInfo
from edgekit.types import TensorInfo

LAST, FIRST = [1, 8, 6, 3], [1, 3, 8, 6]


def _contract(layout: Any, *, channels_first: bool) -> dict[str, Any]:
    image = TensorInfo("x", tuple(LAST), "float32")
    shape = tuple(FIRST) if layout == "NCHW" else tuple(LAST)
    step = {"op": "layout", "to": "NHWC", "shape": LAST, "dtype": "float32"}
    return contract(
        SessionInfo("litert", "2", 1, (image,), (TensorInfo("y", (1, 4), "float32"),), 1),
        [InputSpec("x", shape, "float32", layout)],
        {"x": [{"op": "decode", "to": "RGB8"}, step]},
        task="classification",
        primary="y",
        labels=None,
        channels_first=channels_first,
    )


@pytest.mark.parametrize(
    ("source", "channels_first", "layouts", "shape"),
    [
        ("NCHW", False, {"layout": "NHWC", "source_layout": "NCHW"}, LAST),
        ("NCHW", True, {"layout": "NCHW"}, FIRST),
        ("NHWC", False, {"layout": "NHWC"}, LAST),
        ("NHWC", True, {"layout": "NHWC"}, LAST),
    ],
)
def test_input_and_last_step_agree(
    source: str, channels_first: bool, layouts: dict[str, str], shape: list[int]
) -> None:
    (given,) = _contract(source, channels_first=channels_first)["inputs"]
    decode, last = given["preprocess"]
    assert decode == {"op": "decode", "to": "RGB8"}
    assert {key: value for key, value in given.items() if "layout" in key} == layouts
    assert given["shape"] == last["shape"] == shape
    assert last["to"] == layouts["layout"]
