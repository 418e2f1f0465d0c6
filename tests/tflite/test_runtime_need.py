"""Which runtime a file needs: by the versions it declares, and by those its types need."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.tflite.graph import parse_graph
from edgekit.tflite.op_versions import needed_version
from edgekit.tflite.runtime_need import runtime_need
from edgekit.tflite.runtime_versions import RUNTIMES, oldest_runtime, release_key
from tests import tflite_models as models
from tests.int8_models import quantized
from tests.tflite import graphs
from tests.tflite.delegates.single import DEPTHWISE, IMAGE, ints, single
from tests.tflite.graphs import conv_options

FC: dict[str, Any] = {"table": "FullyConnectedOptions"}


@pytest.mark.parametrize(
    ("op", "version", "release"),
    [
        ("CONV_2D", 1, "1.5"),
        ("CONV_2D", 8, "2.15"),
        ("FULLY_CONNECTED", 12, "2.17"),
        ("TRANSPOSE", 7, "2.14.4"),
        ("BROADCAST_TO", 1, None),
        ("BROADCAST_TO", 2, "2.5"),
        ("CONV_2D", 99, None),
        ("CONV_2D", 0, None),
        ("MyOperator", 1, None),
    ],
)
def test_the_oldest_runtime_of_an_operator(op: str, version: int, release: str | None) -> None:
    assert oldest_runtime(op, version) == release


def test_the_table_holds_releases_and_known_operators() -> None:
    from edgekit.tflite.flatbuffer import enum_names

    known = set(enum_names("BuiltinOperator").values())
    assert not RUNTIMES.keys() - known
    for releases in RUNTIMES.values():
        assert all(release_key(each) >= (1, 5) for each in releases if each != "-")


def test_releases_are_compared_as_numbers() -> None:
    assert release_key("2.9") < release_key("2.10") < release_key("2.14.4")


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (single("MEAN", [IMAGE, ints(1)], [(1, 4, 8)], "int8", table="ReducerOptions"), 2),
        (single("MEAN", [IMAGE, ints(1)], [(1, 4, 8)], table="ReducerOptions"), 1),
        (single("TRANSPOSE", [(1,) * 5, ints(0, 1, 2, 3, 4)], [(1,) * 5]), 4),
        (single("SPLIT", [ints(3), IMAGE], [(1, 4, 4, 4)] * 2, "int8", table="SplitOptions"), 2),
        (
            single(
                "RESIZE_BILINEAR",
                [IMAGE, ints(8, 8)],
                [(1, 8, 8, 8)],
                table="ResizeBilinearOptions",
                halfPixelCenters=True,
            ),
            3,
        ),
        (
            single(
                "CONV_2D",
                [IMAGE, np.ones((4, 3, 3, 8), np.int8), np.zeros(4, np.int32)],
                [(1, 4, 4, 4)],
                "int8",
                **conv_options(),
            ),
            3,
        ),
        (
            single(
                "CONV_2D",
                [IMAGE, np.ones((4, 3, 3, 4), np.float32), np.zeros(4, np.float32)],
                [(1, 4, 4, 4)],
                **conv_options(),
            ),
            6,  # in two groups
        ),
        (
            single(
                "DEPTHWISE_CONV_2D",
                [IMAGE, np.ones((1, 3, 3, 8), np.float32)],
                [IMAGE],
                **DEPTHWISE | {"dilationWFactor": 2},
            ),
            2,
        ),
        (single("FULLY_CONNECTED", [(1, 8), np.ones((5, 8), np.float32)], [(1, 5)], **FC), 6),
        (single("FULLY_CONNECTED", [(1, 8), np.ones((5, 8), np.int8), None], [(1, 5)], **FC), 3),
    ],
)
def test_the_version_that_types_and_options_need(data: bytes, version: int) -> None:
    graph = parse_graph(data)
    assert needed_version(graph, graph.ops[0]) == version


def test_a_quantizers_file_that_understates_its_versions_is_told_apart() -> None:
    need = runtime_need(parse_graph(quantized(graphs.chain())))
    said = {(each.op, each.declared, each.needed) for each in need.understated}
    assert ("CONV_2D", 1, 3) in said
    assert need.oldest == "2.1"  # its FULLY_CONNECTED has no bias
    assert need.unknown == ()


def test_a_float_file_needs_what_it_says() -> None:
    need = runtime_need(parse_graph(models.float_model()))
    assert need.understated == ()
    assert need.oldest == "1.5"
    assert {each.op for each in need.because} == {"CONV_2D", "FULLY_CONNECTED"}
