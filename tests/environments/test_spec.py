from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edgekit.bridges import BRIDGES
from edgekit.environments import ENVIRONMENTS, EnvironmentSpec, environment_version, spec
from edgekit.environments.spec import WORKERS, find_environment
from edgekit.errors import UsageError


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_pins_every_package_and_says_nothing_else(name: str) -> None:
    lines = ENVIRONMENTS[name].lock.read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) == len(ENVIRONMENTS[name].packages) > 40
    for pin in pins:
        (specifier,) = Requirement(pin).specifier
        assert specifier.operator == "=="
    assert not re.search(r"://|@|--|/", "\n".join(pins))


def test_every_bridge_names_an_environment_that_there_is() -> None:
    named = {entry.environment for entry in BRIDGES.values()} - {None}
    assert named == set(ENVIRONMENTS)


def test_names_as_people_write_them() -> None:
    assert find_environment("onnx_tf").name == "onnx-tf"
    assert find_environment("Onnx-TF").name == "onnx-tf"
    with pytest.raises(UsageError) as caught:
        find_environment("onxn-tf")
    assert caught.value.hint == "did you mean 'onnx-tf'?"
    with pytest.raises(UsageError, match="no isolated environment 'onnxtf'") as caught:
        find_environment("onnxtf")  # as far from onnx2tf, letter by letter
    assert caught.value.hint == "did you mean 'onnx-tf'?"


def test_the_version_follows_the_lock_and_the_workers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock = tmp_path / "lock.txt"
    tiny = EnvironmentSpec("tiny", "", lock, ("3.11",), (), ("tool",), 1)
    monkeypatch.setitem(ENVIRONMENTS, "tiny", tiny)
    monkeypatch.setattr(spec, "WORKERS", tmp_path)
    (tmp_path / "protocol.py").write_text("1")
    (tmp_path / "tool.py").write_text("1")
    seen = set()
    for text in ("# one\na==1\n", "# two\n\na==1\n"):  # a comment changes nothing
        lock.write_text(text)
        seen.add((environment_version("tiny"), tiny.key("3.11")))
    assert len(seen) == 1
    (tmp_path / "tool.py").write_text("2")
    changed = environment_version("tiny")
    assert changed not in {version for version, _ in seen}
    assert tiny.key("3.11") in {key for _, key in seen}  # a worker's change needs no new venv
    lock.write_text("a==2\n")
    assert environment_version("tiny") != changed
    assert tiny.key("3.11") not in {key for _, key in seen}
    assert tiny.key("3.10") != tiny.key("3.11")


def test_workers_are_written_for_old_pythons() -> None:
    import ast

    for file in WORKERS.glob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 9))


def test_workers_and_locks_are_shipped(repository: Path) -> None:
    parsed = configparser.ConfigParser()
    parsed.read(repository / "setup.cfg", encoding="utf-8")
    data = parsed["options.package_data"]
    assert data["edgekit.environments"] == "workers/*.py"
    assert "environments/locks/*.txt" in data["edgekit"].split()
    for entry in ENVIRONMENTS.values():
        assert entry.lock.is_file()
        assert all((WORKERS / f"{worker}.py").is_file() for worker in entry.workers)
