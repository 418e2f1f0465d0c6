"""Which bridges lead where."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bridges import BRIDGES, BridgeEntry, route
from edgekit.bridges.route import (
    FAMILIES,
    MAX_BRIDGES,
    environments,
    find_route,
    find_ways,
    way_text,
)
from edgekit.errors import MissingError
from edgekit.methods import METHODS
from edgekit.sources import FRAMEWORKS
from edgekit.types import ModelKind

TFLITE = (ModelKind.FLOAT_TFLITE,)


def _entry(**fields: Any) -> BridgeEntry:
    return replace(BRIDGES["litert_torch"], **fields)


def test_no_bridge_where_none_is_needed() -> None:
    assert find_route(ModelKind.FLOAT_TFLITE, TFLITE) == ()


@pytest.mark.parametrize("kind", FRAMEWORKS["pytorch"])
def test_pytorch_in_every_form_reaches_tflite(kind: ModelKind) -> None:
    assert find_route(kind, TFLITE) == ("litert_torch",)
    assert find_route(kind, TFLITE, "litert_torch") == ("litert_torch",)


def test_every_source_reaches_a_method_and_every_method_has_a_source() -> None:
    kinds = [kind for kinds in FRAMEWORKS.values() for kind in kinds]
    routes = {
        (kind, name): find_route(kind, method.accepts)
        for kind in kinds
        for name, method in METHODS.items()
    }
    assert all(routes[kind, "litert_static"] is not None for kind in kinds)
    for name in METHODS:
        assert any(routes[kind, name] is not None for kind in kinds), name


def test_nowhere_is_none() -> None:
    assert find_route(ModelKind.ONNX, (ModelKind.SAVED_MODEL,)) is None
    assert find_route(ModelKind.TORCH_MODULE, TFLITE, "no_such_bridge") is None
    assert find_ways(ModelKind.TORCH_MODULE, TFLITE, "tf2onnx") == ()


@pytest.mark.parametrize(
    ("kind", "ways"),
    [
        (
            ModelKind.TORCH_MODULE,
            [("litert_torch",), ("torch_onnx", "onnx2tf"), ("torch_onnx", "onnx_tf")],
        ),
        (ModelKind.ONNX, [("onnx_torch", "litert_torch"), ("onnx2tf",), ("onnx_tf",)]),
        (
            ModelKind.KERAS,
            [
                ("tflite_converter",),
                ("tf2onnx", "onnx_torch", "litert_torch"),
                ("tf2onnx", "onnx2tf"),
                ("tf2onnx", "onnx_tf"),
            ],
        ),
    ],
)
def test_the_ways_to_tflite_without_an_environment_first(
    kind: ModelKind, ways: list[tuple[str, ...]]
) -> None:
    assert list(find_ways(kind, TFLITE)) == list(find_ways(kind, TFLITE, "auto")) == ways
    named = [way for way in ways if way[-1] == "onnx_tf"]
    assert list(find_ways(kind, TFLITE, "onnx_tf")) == named


def test_a_way_ends_at_the_first_accepted_kind() -> None:
    both = (ModelKind.ONNX, ModelKind.FLOAT_TFLITE)
    assert find_ways(ModelKind.TORCH_MODULE, both) == (("litert_torch",), ("torch_onnx",))
    assert find_ways(ModelKind.ONNX, both) == ((),)


def test_the_environments_of_a_way() -> None:
    assert environments(("torch_onnx", "onnx_tf")) == ("onnx-tf",)
    assert environments(("litert_torch",)) == environments(()) == ()
    assert way_text(("torch_onnx", "onnx_tf")) == "torch_onnx, onnx_tf"
    assert way_text(()) == "no bridge"


rows = st.builds(
    _entry,
    accepts=st.lists(st.sampled_from(ModelKind), min_size=1, max_size=3, unique=True).map(tuple),
    produces=st.sampled_from(ModelKind),
    environment=st.sampled_from([None, "e"]),
)


@given(
    st.lists(rows, max_size=8),
    st.sampled_from(ModelKind),
    st.lists(st.sampled_from(ModelKind), min_size=1, max_size=3, unique=True),
)
def test_every_way_of_any_table(
    entries: list[BridgeEntry], start: ModelKind, accepted: list[ModelKind]
) -> None:
    """All simple paths and nothing else, against a search that lists every sequence of bridges."""
    table = {f"b{index}": row for index, row in enumerate(entries)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(route, "BRIDGES", table)
        found = find_ways(start, accepted)
    if start in accepted:
        assert found == ((),)
        return
    sequences = (way for length in range(1, MAX_BRIDGES + 1) for way in permutations(table, length))
    valid = [way for way in sequences if _holds(table, start, accepted, way)]
    assert sorted(found) == sorted(valid)
    ranks = [
        (any(table[name].environment for name in way), len(way), [int(name[1:]) for name in way])
        for way in found
    ]
    assert ranks == sorted(ranks)


def _holds(
    table: dict[str, BridgeEntry], start: ModelKind, accepted: list[ModelKind], way: tuple[str, ...]
) -> bool:
    kinds = [start]
    for name in way:
        if kinds[-1] not in table[name].accepts:
            return False
        kinds.append(table[name].produces)
    families = [family for family, _ in groupby(FAMILIES[kind] for kind in kinds)]
    return (
        kinds[-1] in accepted
        and not set(kinds[:-1]) & set(accepted)
        and len(set(kinds)) == len(kinds)
        and len(set(families)) == len(families)
    )


def test_a_bridge_whose_package_is_missing_says_how_to_get_it() -> None:
    entry = _entry(requires=("no_such_package", "torch"))
    with pytest.raises(MissingError, match="litert_torch needs no_such_package") as caught:
        entry.load()
    assert caught.value.hint == "pip install 'edgekit[torch]'"


@pytest.mark.parametrize("name", list(BRIDGES))
def test_every_bridge_of_the_table_can_be_loaded(name: str) -> None:
    assert BRIDGES[name].load().version()
