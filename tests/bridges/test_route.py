"""Which bridges lead where."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgekit.bridges import BRIDGES, BridgeEntry
from edgekit.bridges.route import find_route
from edgekit.errors import MissingError
from edgekit.methods import METHODS
from edgekit.sources import FRAMEWORKS
from edgekit.types import ModelKind

TFLITE = (ModelKind.FLOAT_TFLITE,)


def _entry(**fields: Any) -> BridgeEntry:
    return replace(BRIDGES["litert_torch"], **fields)


@pytest.fixture
def longer_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX leads to a SavedModel, that to .tflite by two bridges; and PyTorch by ONNX too."""

    def entry(accepts: ModelKind, produces: ModelKind) -> BridgeEntry:
        return _entry(accepts=(accepts,), produces=produces)

    added = {
        "torch_onnx": entry(ModelKind.TORCH_MODULE, ModelKind.ONNX),
        "onnx_tf": entry(ModelKind.ONNX, ModelKind.SAVED_MODEL),
        "converter": entry(ModelKind.SAVED_MODEL, ModelKind.FLOAT_TFLITE),
    }
    for name, row in added.items():
        monkeypatch.setitem(BRIDGES, name, row)


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
    assert find_route(ModelKind.ONNX, TFLITE) is None
    assert find_route(ModelKind.TORCH_MODULE, TFLITE, "no_such_bridge") is None


@pytest.mark.usefixtures("longer_way")
def test_the_fewest_bridges_unless_one_is_asked_for() -> None:
    assert find_route(ModelKind.ONNX, TFLITE) == ("onnx_tf", "tflite_converter")
    assert find_route(ModelKind.TORCH_MODULE, TFLITE) == ("litert_torch",)
    chosen = find_route(ModelKind.TORCH_MODULE, TFLITE, "converter")
    assert chosen == ("torch_onnx", "onnx_tf", "converter")


def test_a_bridge_whose_package_is_missing_says_how_to_get_it() -> None:
    entry = _entry(requires=("no_such_package", "torch"))
    with pytest.raises(MissingError, match="litert_torch needs no_such_package") as caught:
        entry.load()
    assert caught.value.hint == "pip install 'edgekit[torch]'"


@pytest.mark.parametrize("name", list(BRIDGES))
def test_every_bridge_of_the_table_can_be_loaded(name: str) -> None:
    assert BRIDGES[name].load().version()
