"""The cache: keys, races, crashes and damage."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.cache import Cache, cache_folder, content_key
from edgekit.errors import OutputError


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Spec:
    size: int
    origin: Path | None = field(default=None, compare=False)


def write_one(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "one.bin").write_bytes(b"one")


def test_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EDGEKIT_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "edgekit"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "edgekit"
    monkeypatch.setenv("EDGEKIT_CACHE_DIR", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_key_is_the_same_on_every_machine() -> None:
    key = content_key({"a": 1, "b": (1.5, None, True), "c": Colour.RED, "d": PurePosixPath("x/y")})
    assert key == "f31cd7929c3faa8d2b1fb7b46bd5c6301c3b1f1ea6f7dc25d411d813eaf2d9db"


def test_key_forgets_order_and_what_is_not_compared() -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key({"s": Spec(1, Path("x"))}) == content_key({"s": Spec(1, Path("y"))})
    assert content_key({"s": (1, 2)}) == content_key({"s": [1, 2]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ("red", Colour.RED),
        ("x", Path("x")),
        (Spec(1), {"size": 1}),
        (["map", []], {}),
        (b"x", "x"),
        ([[1], 2], [[1, 2]]),
    ],
)
def test_key_tells_kinds_apart(one: Any, other: Any) -> None:
    assert content_key({"v": one}) != content_key({"v": other})


@pytest.mark.parametrize("value", [object(), {1, 2}, {1: 2}, Spec, lambda: None])
def test_key_refuses_what_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(TypeError):
        content_key({"v": value})


def test_key_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        content_key({"v": float("nan")})


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@given(_values, _values)
def test_equal_keys_mean_equal_content(one: Any, other: Any) -> None:
    if content_key({"v": one}) == content_key({"v": other}):
        assert repr(one) == repr(other) or one == other
    assert content_key({"v": one}) == content_key({"v": copy.deepcopy(one)})


def test_second_call_does_not_make(tmp_path: Path) -> None:
    first = Cache(tmp_path).get_or_make("graph", "k", write_one)
    second = Cache(tmp_path).get_or_make("graph", "k", lambda _: pytest.fail("made again"))
    assert (first.cached, second.cached) == (False, True)
    assert second.path == first.path
    assert [p.name for p in second.path.iterdir()] == ["sub"]


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "marker"])
def test_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    entry = Cache(tmp_path).get_or_make("graph", "k", write_one)
    file = entry.path / "sub" / "one.bin"
    if damage == "truncate":
        file.write_bytes(b"on")
    elif damage == "flip":
        file.write_bytes(b"onf")
    elif damage == "delete":
        file.unlink()
    else:
        (entry.path.parent / "complete.json").write_text('{"files": [')
    again = Cache(tmp_path).get_or_make("graph", "k", write_one)
    assert not again.cached
    assert (again.path / "sub" / "one.bin").read_bytes() == b"one"


def test_size_check_is_only_about_sizes(tmp_path: Path) -> None:
    entry = Cache(tmp_path).get_or_make("p", "k", write_one)
    (entry.path / "sub" / "one.bin").write_bytes(b"onf")
    assert Cache(tmp_path).get_or_make("p", "k", write_one, check="size").cached
    (entry.path / "sub" / "one.bin").write_bytes(b"on")
    assert not Cache(tmp_path).get_or_make("p", "k", write_one, check="size").cached


def test_failed_make_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write_one(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).get_or_make("graph", "k", fail)
    assert [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"] == []
    assert not Cache(tmp_path).get_or_make("graph", "k", write_one).cached


def _race(folder: Path, barrier: Any, made: Any) -> None:
    def slow(target: Path) -> None:
        with made.get_lock():
            made.value += 1
        time.sleep(0.2)
        write_one(target)

    barrier.wait()
    entry = Cache(folder).get_or_make("graph", "k", slow)
    assert (entry.path / "sub" / "one.bin").read_bytes() == b"one"


def test_racing_processes_make_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, made = context.Barrier(2), context.Value("i", 0)
    workers = [context.Process(target=_race, args=(tmp_path, barrier, made)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert made.value == 1


_KILLED = """
import sys, time
from pathlib import Path
from edgekit.cache import Cache
def make(folder):
    (folder / "half.bin").write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
Cache(Path(sys.argv[1])).get_or_make("graph", "dead", make)
"""


def test_killed_process_leaves_nothing_that_lasts(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    Cache(tmp_path).get_or_make("graph", "alive", write_one)
    assert list(tmp_path.rglob("half.bin")), "a live process's work must not be swept"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    Cache(tmp_path).get_or_make("graph", "other", write_one)
    assert not list(tmp_path.rglob("half.bin"))
    assert not Cache(tmp_path).get_or_make("graph", "dead", write_one).cached


def test_disabled_always_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE_DIR", str(tmp_path / "untouched"))
    cache = Cache(enabled=False)
    entries = [cache.get_or_make("graph", "k", write_one) for _ in range(2)]
    assert not any(entry.cached for entry in entries)
    assert entries[0].path != entries[1].path
    assert (entries[0].path / "sub" / "one.bin").read_bytes() == b"one"
    assert not (tmp_path / "untouched").exists()


def test_disabled_folder_goes_with_the_process() -> None:
    script = (
        "from edgekit.cache import Cache\n"
        "e = Cache(enabled=False).get_or_make('graph', 'k', lambda p: None)\n"
        "assert e.path.is_dir(); print(e.path)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    assert not Path(done.stdout.strip()).exists()


def test_unwritable_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError) as caught:
        Cache(tmp_path / "file" / "cache").get_or_make("graph", "k", write_one)
    assert str(tmp_path / "file" / "cache") in caught.value.message
    assert "EDGEKIT_CACHE_DIR" in str(caught.value.hint)


def test_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device", str(folder / "x"))

    with pytest.raises(OutputError, match="No space left"):
        Cache(tmp_path).get_or_make("graph", "k", full)


def test_errors_of_make_pass_through(tmp_path: Path) -> None:
    def elsewhere(folder: Path) -> None:
        (tmp_path / "missing").read_bytes()

    with pytest.raises(FileNotFoundError):
        Cache(tmp_path / "cache").get_or_make("graph", "k", elsewhere)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        Cache(tmp_path).get_or_make(name, "k", write_one)


def test_marker_lists_every_file(tmp_path: Path) -> None:
    entry = Cache(tmp_path).get_or_make("graph", "k", write_one)
    marker = json.loads((entry.path.parent / "complete.json").read_text())
    assert marker["files"]["sub/one.bin"][0] == 3
