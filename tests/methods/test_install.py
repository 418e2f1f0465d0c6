"""What to install where a method's packages are missing: the extras that hold them."""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edgekit.errors import MissingError
from edgekit.methods import METHODS
from edgekit.tflite import flatbuffer


def held(repository: Path, extras: str) -> set[str]:
    """Names of the packages in ``extras``, e.g. ``torch,onnx``, as they are imported."""
    parsed = configparser.ConfigParser()
    parsed.read(repository / "setup.cfg")
    lines = [
        line
        for extra in extras.split(",")
        for line in parsed["options.extras_require"][extra].splitlines()
        if line
    ]
    return {Requirement(line).name.replace("-", "_") for line in lines}


@pytest.mark.parametrize("name", list(METHODS))
def test_the_extras_that_a_method_names_hold_all_it_needs(name: str, repository: Path) -> None:
    entry = METHODS[name]
    ways = re.findall(r"edgekit\[([a-z,]+)\]", entry.install)
    assert ways
    for extras in ways:
        assert set(entry.requires) <= held(repository, extras)


@pytest.mark.parametrize("name", ["litert_static", "litert_weight_only"])
def test_users_of_tensorflow_are_not_sent_for_torch(name: str) -> None:
    assert "'edgekit[tensorflow]' for TensorFlow models" in METHODS[name].install


def test_reading_a_tflite_file_needs_either(
    monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingError) as caught:
        flatbuffer.schema.__wrapped__()
    ways = re.findall(r"edgekit\[([a-z,]+)\]", caught.value.hint or "")
    assert ways == ["torch", "tensorflow"]
    assert all("ai_edge_litert" in held(repository, extras) for extras in ways)
