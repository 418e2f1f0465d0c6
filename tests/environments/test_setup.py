"""Environments are made once, whole or not at all, and mended when they are damaged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.environments import EnvironmentSpec, environment, open_environment
from edgekit.environments.environment import damage
from edgekit.environments.make import make
from edgekit.environments.place import Place, alone, ready_place, remove, shared, shelf_in
from edgekit.errors import MissingError, OutputError, WorkerError
from tests.environments import tiny
from tests.environments.conftest import Told

REPOSITORY = Path(__file__).parents[2]
AGAIN = """
import sys
from pathlib import Path
import pytest
from tests.environments import tiny
from tests.environments.conftest import Told
from edgekit.environments import open_environment
wheels, cache = map(Path, sys.argv[1:])
patch = pytest.MonkeyPatch()
tiny.register(patch, wheels)
told = Told()
Path(cache.parent / "started").touch()
open_environment("tiny", told, cache)
print(*told.notes, sep="\\n")
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """``tiny``, set up once for all tests that start with one."""
    folder = tmp_path_factory.mktemp("made")
    tiny.wheel(folder)
    with pytest.MonkeyPatch.context() as patch:
        return make(tiny.register(patch, folder), shelf_in(folder / "cache"), Told())


@pytest.fixture
def place(made: Place, spec: EnvironmentSpec, cache: Path) -> Place:
    """A copy of it, where ``open_environment`` finds it."""
    copy = Place(spec, shelf_in(cache), made.version)
    shutil.copytree(made.path, copy.path, symlinks=True)
    return copy


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of workers with one that uses the tiny tool."""
    folder = tmp_path / "workers"
    shutil.copytree(environment.WORKERS, folder)
    body = "import ek_tiny\n    return {'x': ek_tiny.x}"
    worker = f"from protocol import serve\n\ndef work(r):\n    {body}\n\nserve(work)\n"
    (folder / "use_tiny.py").write_text(worker)
    monkeypatch.setattr(environment, "WORKERS", folder)
    return folder


def leftovers(cache: Path) -> list[str]:
    """What lies on the shelf besides locks."""
    return [path.name for path in shelf_in(cache).glob("*") if path.suffix != ".lock"]


def use(cache: Path, told: Told) -> object:
    opened = open_environment("tiny", told, cache)
    return opened.run("use_tiny", {}, folder=cache, timeout_s=30)["x"]


def damaged_file(place: Place) -> Path:
    return place.path / "lib" / f"python{tiny.OWN}" / "site-packages" / "ek_tiny.py"


def test_made_once_and_used_from_then_on(
    spec: EnvironmentSpec,
    cache: Path,
    told: Told,
    workers: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_TARGET", str(cache / "elsewhere"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    assert use(cache, told) == 1
    assert told.tasks[:3] == [
        "Making a venv for tiny",
        "Fetching packages for tiny",
        "Installing 1 packages for tiny",
    ]
    assert [note.split(":")[0] for note in told.notes] == [
        "setting up the isolated environment tiny (a tiny tool 1.0) once"
    ]
    place = ready_place(spec, shelf_in(cache))
    assert place is not None
    assert leftovers(cache) == [place.name]
    assert place.size_bytes > 1000
    assert place.gone() == ()
    told.tasks.clear()
    assert use(cache, told) == 1
    assert told.tasks == []


def test_programs_of_the_environment_work_where_it_went(made: Place) -> None:
    done = subprocess.run([made.path / "bin" / "ek_tiny"], capture_output=True, text=True)
    assert done.stdout == "hello ek_tiny\n"


def test_nothing_of_the_callers_python_is_visible(
    place: Place, cache: Path, told: Told, workers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    (workers / "use_tiny.py").write_text(
        "from protocol import serve\n\ndef work(r):\n    import sys\n"
        "    import importlib.util as util\n"
        "    return {'x': [util.find_spec(n) is None for n in ('edgekit', 'numpy', 'ek_tiny')]}\n"
        "\nserve(work)\n"
    )
    assert use(cache, told) == [True, True, False]


def test_a_package_that_cannot_be_had_is_named(
    monkeypatch: pytest.MonkeyPatch, spec: EnvironmentSpec, cache: Path, told: Told
) -> None:
    tiny.register(monkeypatch, spec.lock.parent, "ek_tiny==1.0\nek_absent==1.0")
    with pytest.raises(MissingError) as caught:
        open_environment("tiny", told, cache)
    assert caught.value.message.startswith(
        "the isolated environment tiny could not be set up: pip could not install ek_absent==1.0: "
    )
    assert "edgekit bridge setup tiny" in (caught.value.hint or "")
    assert leftovers(cache) == []


def test_a_tool_that_does_not_import_is_no_environment(
    monkeypatch: pytest.MonkeyPatch, spec: EnvironmentSpec, cache: Path, told: Told
) -> None:
    tiny.register(monkeypatch, spec.lock.parent, imports=("ek_tiny.absent",))
    with pytest.raises(MissingError, match=r"does not work: tiny: .*ek_tiny\.absent"):
        open_environment("tiny", told, cache)
    assert leftovers(cache) == []


def test_no_python_for_it(
    monkeypatch: pytest.MonkeyPatch, spec: EnvironmentSpec, cache: Path, told: Told, tmp_path: Path
) -> None:
    tiny.register(monkeypatch, spec.lock.parent, pythons=("3.4",))
    shim = tmp_path / "python3.4"
    shim.write_text("#!/bin/sh\necho 'python3.4: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match=r"needs python3\.4, and none"):
        open_environment("tiny", told, cache)


def test_too_little_room_is_said_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, spec: EnvironmentSpec, cache: Path, told: Told
) -> None:
    usage = shutil.disk_usage(cache.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(MissingError, match=r"needs about 0\.0 GB"):
        open_environment("tiny", told, cache)
    assert told.tasks == []


def test_a_full_disk_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, spec: EnvironmentSpec, cache: Path, told: Told, tmp_path: Path
) -> None:
    words = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left"
    pip = (sys.executable, "-c", f"import sys; sys.exit({words + ' on device'!r})", "pip")
    from edgekit.environments.pip import fill

    with open(tmp_path / "lock", "ab") as lock, pytest.raises(MissingError, match="disk is full"):
        fill(pip, spec, lock.fileno(), told)


def test_a_cache_that_cannot_be_written(spec: EnvironmentSpec, cache: Path, told: Told) -> None:
    cache.write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        open_environment("tiny", told, cache)


@pytest.mark.parametrize("harm", ["file", "python"])
def test_a_damaged_environment_is_made_again(
    cache: Path, told: Told, workers: Path, place: Place, harm: str
) -> None:
    if harm == "file":
        damaged_file(place).unlink()
    else:
        place.python.unlink()
        place.python.write_text("no program")
        place.python.chmod(0o755)
    assert use(cache, told) == 1
    (warning,) = told.warnings
    assert warning.startswith("the isolated environment tiny is damaged (")
    assert leftovers(cache) == [place.name]
    assert use(cache, told) == 1
    assert len(told.warnings) == 1


def test_what_is_damaged_is_named(place: Place, tmp_path: Path) -> None:
    assert damage(place, tmp_path) == {}
    module = damaged_file(place)
    (module.parent / "__pycache__").mkdir(exist_ok=True)  # bytecode comes and goes
    (module.parent / "__pycache__" / "ek_tiny.cpython-399.pyc").write_text("")
    assert damage(place, tmp_path) == {}
    module.write_text("x = 2")
    assert damage(place, tmp_path) == {"ek_tiny": "ek_tiny.py has 5 bytes, not 47"}
    (info,) = module.parent.glob("ek_tiny*.dist-info")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ek_tiny\nVersion: 3.0\n")
    assert damage(place, tmp_path) == {"ek_tiny": "it is 3.0, not 1.0"}
    shutil.rmtree(info)
    assert damage(place, tmp_path) == {"ek_tiny": "it is gone"}
    assert place.gone() == ("ek_tiny",)
    place.python.unlink()
    assert damage(place, tmp_path) == {"python": "it does not start"}


def test_a_failed_repair_keeps_what_was_there(
    spec: EnvironmentSpec, cache: Path, told: Told, workers: Path, place: Place
) -> None:
    damaged_file(place).unlink()
    for file in spec.lock.parent.glob("*.whl"):
        file.unlink()
    with pytest.raises(MissingError, match=r"ek_tiny==1\.0"):
        use(cache, told)
    assert leftovers(cache) == [place.name]


def test_an_import_that_no_new_venv_would_mend_is_an_error(
    spec: EnvironmentSpec, cache: Path, told: Told, workers: Path, place: Place
) -> None:
    text = (workers / "use_tiny.py").read_text()
    (workers / "use_tiny.py").write_text(text.replace("import ek_tiny", "import ek_other"))
    with pytest.raises(WorkerError, match="No module named 'ek_other'"):
        use(cache, told)
    assert told.warnings == []


def start_again(spec: EnvironmentSpec, cache: Path) -> subprocess.Popen[str]:
    """Another process that opens ``tiny``; ``pip`` is slow by a wheel that has to be waited for."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-c", AGAIN, str(spec.lock.parent), str(cache)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_two_processes_one_makes_it(spec: EnvironmentSpec, cache: Path) -> None:
    both = [start_again(spec, cache), start_again(spec, cache)]
    said = []
    for process in both:
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        said.append(out)
    assert sum("setting up" in out for out in said) == 1
    assert leftovers(cache) == [Place(spec, shelf_in(cache), tiny.OWN).name]


def test_who_waits_says_so(spec: EnvironmentSpec, cache: Path, told: Told) -> None:
    place = Place(spec, shelf_in(cache), tiny.OWN)
    with alone(place, told, "for it"):
        other = start_again(spec, cache)
        for _ in range(600):
            if (cache.parent / "started").exists():
                break
            time.sleep(0.05)
        time.sleep(0.5)
        assert other.poll() is None
    out, err = other.communicate(timeout=100)
    assert "tiny is in use by another process: waiting for it" in out, err
    assert place.is_there


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_end_in_the_middle_leaves_nothing(
    spec: EnvironmentSpec, cache: Path, told: Told, number: signal.Signals
) -> None:
    process = start_again(spec, cache)
    place = Place(spec, shelf_in(cache), tiny.OWN)
    for _ in range(1200):
        if place.making.exists():
            break
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert not place.path.exists()
    if number == signal.SIGINT:
        assert leftovers(cache) == []
    open_environment("tiny", told, cache)  # a leftover of the killed one is no obstacle
    assert leftovers(cache) == [place.name]


def test_remove_frees_all_of_that_name_and_only_it(place: Place, cache: Path) -> None:
    shelf = shelf_in(cache)
    old = shelf / f"tiny-{'0' * 16}"
    old.mkdir()
    (old / "file").write_bytes(b"x" * 1000)
    others = [shelf / "tiny-mine", shelf / f"tiny-tool-{'0' * 16}", shelf / "notes.txt"]
    for other in others:
        other.mkdir()
    assert remove("tiny", shelf) > place.size_bytes
    assert sorted(leftovers(cache)) == sorted(other.name for other in others)
    assert remove("tiny", shelf) == 0
    assert remove("tiny", cache / "nowhere") == 0


def test_remove_leaves_what_is_in_use(place: Place, cache: Path) -> None:
    with shared(place), pytest.raises(OutputError, match="in use by another process"):
        remove("tiny", shelf_in(cache))
    assert place.is_there


def test_a_removed_environment_is_made_again_for_who_holds_it(
    place: Place, cache: Path, told: Told, workers: Path
) -> None:
    opened = open_environment("tiny", told, cache)
    remove("tiny", shelf_in(cache))
    assert opened.run("use_tiny", {}, folder=cache, timeout_s=30) == {"x": 1}


def test_the_mark_is_written_last_and_tells_the_size(place: Place) -> None:
    mark = place.mark()
    assert mark is not None
    fields = json.loads(mark)
    assert fields["size_bytes"] > 0
    (place.path / "environment.json").unlink()
    assert not place.is_there
