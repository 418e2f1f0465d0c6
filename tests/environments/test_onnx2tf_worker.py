"""What the worker of onnx2tf says of a failure, without onnx2tf."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import pytest

from edgekit.environments.spec import WORKERS


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(WORKERS))
    monkeypatch.delitem(sys.modules, "protocol", raising=False)
    spec = importlib.util.spec_from_file_location("worker", WORKERS / "convert_onnx2tf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "protocol", raising=False)
    return module


def failed_at(graph_node: SimpleNamespace, message: str) -> Exception:
    """As it comes out of the function that makes a node, whose local has that name."""
    try:
        raise RuntimeError(message)
    except RuntimeError as error:
        return error


def test_a_node_without_a_name_is_called_by_its_output(worker: ModuleType) -> None:
    outputs = [SimpleNamespace(name="wa/body/vo")]
    refused = worker.refused(
        failed_at(SimpleNamespace(op="Mul", name="", outputs=outputs), "no shape")
    )
    assert (refused.details["op"], refused.details["layer"]) == ("Mul", "/body/vo")
    named = worker.refused(failed_at(SimpleNamespace(op="Mul", name="m", outputs=outputs), "no"))
    assert named.details["layer"] == "m"


def test_the_cause_is_not_the_heading_above_it(worker: ModuleType) -> None:
    heading = 'Exception encountered when calling layer "loop" (type Loop).'
    node = SimpleNamespace(op="Loop", name="l", outputs=[])
    assert "KeyError: 'half'" in str(
        worker.refused(failed_at(node, f"{heading}\n\nKeyError: 'half'"))
    )
    assert heading in str(worker.refused(failed_at(node, heading)))
