"""run_folder: whole or not at all, one run at a place, whatever kills it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgekit.errors import OutputError
from edgekit.runs import folder as module
from edgekit.runs.folder import default_folder, run_folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder for the runs of a test."""
    home = tmp_path / "home"
    home.mkdir()
    return home


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def nothing_else() -> None:
    return None


def write(
    final: Path, text: str, *, force: bool = False, then: Callable[[], object] = nothing_else
) -> None:
    """A run that writes ``text`` and does ``then`` before it ends."""
    with run_folder(final, force=force) as folder:
        (folder / "result").write_text(text)
        (folder / "manifest.json").write_text('{"edgekit": "1", "outputs": {}}')
        then()


def raiser(error: BaseException) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


def test_default_folder_is_named_by_recipe_time_and_content() -> None:
    now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert default_folder("net", "0123456789", now) == Path("runs/net/20260304T050607Z-0123456")


def test_a_run_appears_whole_when_it_ends(home: Path) -> None:
    final = home / "deep" / "run"
    with run_folder(final) as folder:
        assert folder.parent == final.parent
        assert folder.name.startswith(".")
        (folder / "result").write_text("42")
        assert not final.exists()
    assert (final / "result").read_text() == "42"
    assert names(final.parent) == ["run"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_run_that_fails_leaves_nothing(home: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write(home / "run", "half", then=raiser(error))
    assert names(home) == []


def test_an_empty_folder_may_be_taken(home: Path) -> None:
    (home / "run").mkdir()
    write(home / "run", "1")
    assert names(home) == ["run"]


def test_a_folder_with_files_is_refused_before_any_work(home: Path) -> None:
    write(home / "run", "1")
    with (
        pytest.raises(OutputError, match="already holds files") as caught,
        run_folder(home / "run"),
    ):
        pytest.fail("the block must not run")
    assert "--force" in (caught.value.hint or "")
    assert (home / "run" / "result").read_text() == "1"


def test_force_never_replaces_what_edgekit_did_not_write(home: Path) -> None:
    (home / "photos").mkdir()
    (home / "photos" / "precious.png").touch()
    with (
        pytest.raises(OutputError, match="not a run folder"),
        run_folder(home / "photos", force=True),
    ):
        pytest.fail("the block must not run")
    assert names(home / "photos") == ["precious.png"]


def test_force_keeps_the_old_run_until_the_new_is_complete(home: Path) -> None:
    write(home / "run", "old")
    with pytest.raises(ValueError, match="no"):
        write(home / "run", "half", force=True, then=raiser(ValueError("no")))
    assert (home / "run" / "result").read_text() == "old"
    with run_folder(home / "run", force=True) as folder:
        assert (home / "run" / "result").read_text() == "old"
        (folder / "result").write_text("new")
    assert (home / "run" / "result").read_text() == "new"
    assert names(home) == ["run"]


def test_the_old_run_comes_back_when_the_new_cannot_take_its_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home / "run", "old")
    rename = Path.rename

    def fail_on_partial(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(errno.EIO, "Input/output error", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_on_partial)
    with pytest.raises(OutputError, match="Input/output error"):
        write(home / "run", "new", force=True)
    assert (home / "run" / "result").read_text() == "old"
    assert names(home) == ["run"]


def test_a_run_killed_between_the_two_renames_is_undone_by_the_next(home: Path) -> None:
    for what, text in (("old", "old"), ("partial", "new")):
        (home / f".run.{what}").mkdir()
        (home / f".run.{what}" / "result").write_text(text)
    (home / ".run.lock").touch()
    write(home / "other", "1")
    assert names(home) == ["other", "run"]
    assert (home / "run" / "result").read_text() == "old"


def test_a_file_that_appears_meanwhile_is_not_lost(home: Path) -> None:
    def appear() -> None:
        (home / "run").mkdir()
        (home / "run" / "theirs").touch()

    with pytest.raises(OutputError, match="already holds files"):
        write(home / "run", "mine", then=appear)
    assert names(home / "run") == ["theirs"]
    assert names(home) == ["run"]


@pytest.mark.parametrize("force", [False, True])
def test_a_file_in_the_way_is_named_and_kept(home: Path, force: bool) -> None:
    (home / "run").write_text("a letter")
    with pytest.raises(OutputError, match="run is a file"):
        write(home / "run", "1", force=force)
    assert (home / "run").read_text() == "a letter"
    with pytest.raises(OutputError, match="run is a file"):
        write(home / "run" / "below" / "deeper", "1", force=force)
    assert names(home) == ["run"]


def test_a_place_that_cannot_be_written() -> None:
    """What /proc is for root, any read-only parent is for a user."""
    with pytest.raises(OutputError, match="cannot write the run to /proc/edgekit/run") as caught:
        write(Path("/proc/edgekit/run"), "1")
    assert "--out" in (caught.value.hint or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_parent(home: Path) -> None:
    home.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            write(home / "run", "1")
    finally:
        home.chmod(0o700)


def test_a_name_too_long_for_the_file_system(home: Path) -> None:
    with pytest.raises(OutputError, match="File name too long"):
        write(home / ("x" * 300), "1")


def test_a_link_leads_to_its_target(home: Path) -> None:
    for target in ("there", "not_yet"):
        (home / f"to_{target}").symlink_to(home / target)
    (home / "there").mkdir()
    for target in ("there", "not_yet"):
        write(home / f"to_{target}", target)
        assert (home / target / "result").read_text() == target
        assert (home / f"to_{target}").is_symlink()
    assert names(home) == ["not_yet", "there", "to_not_yet", "to_there"]


def test_the_working_folder_is_not_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "work" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(home / "work" / "deeper")
    for place in (Path(), home / "work"):
        with pytest.raises(OutputError, match="working folder") as caught:
            write(place, "1", force=True)
        assert f"--out {os.path.realpath(place)}/run" in (caught.value.hint or "")
    write(Path("run"), "1")


def test_a_mount_point_is_refused_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a container's volume is; the rename would fail after all the work."""
    (home / "out").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == home / "out")
    with pytest.raises(OutputError, match="mount point") as caught:
        write(home / "out", "1")
    assert f"--out {home / 'out' / 'run'}" in (caught.value.hint or "")
    write(home / "out" / "run", "1")


# Full disks, and errors that are about something else ------------------------------------------


@pytest.fixture
def tiny_disk(home: Path) -> Iterator[Path]:
    """A file system of 64 KiB; needs the right to mount."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount")
    arguments = [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(home)]
    if subprocess.run(arguments, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield home
    subprocess.run(["umount", str(home)], check=True)


def test_a_full_disk(tiny_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(200_000))
    for fill in (
        lambda folder: (folder / "result").write_bytes(bytes(200_000)),
        lambda folder: shutil.copyfile(tmp_path / "big", folder / "result"),
    ):
        with (
            pytest.raises(OutputError, match="No space left") as caught,
            run_folder(tiny_disk / "run") as folder,
        ):
            fill(folder)
        assert "Free some space" in (caught.value.hint or "")
        assert names(tiny_disk) == []


def test_a_full_disk_as_the_system_reports_it(home: Path, tmp_path: Path) -> None:
    """The same without a mount: write() names no file, sendfile() names its source first."""
    bare = OSError(errno.ENOSPC, "No space left on device")
    for error in (bare, None):
        with pytest.raises(OutputError, match="No space left"), run_folder(home / "run") as folder:
            raise error or OSError(
                errno.ENOSPC,
                "No space left on device",
                str(tmp_path / "source"),
                None,
                str(folder / "model.float.tflite"),
            )
    assert names(home) == []


def test_a_file_size_limit(home: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OutputError, match="File too large"), run_folder(home / "run") as folder:
            (folder / "result").write_bytes(bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(home) == []


def test_errors_about_other_files_pass_as_they_are(home: Path) -> None:
    """They are not the run folder's, even where they lie beside it."""
    with pytest.raises(FileNotFoundError), run_folder(home / "run"):
        (home / "photo.png").read_bytes()
    with pytest.raises(ConnectionResetError), run_folder(home / "run"):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    assert names(home) == []


# Several runs, and killed ones -----------------------------------------------------------------

RUN = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from edgekit.runs.folder import run_folder

    with run_folder(Path(sys.argv[1])) as folder:
        (folder / "result").write_text("half")
        print("writing", flush=True)
        sys.stdin.readline()
""")


def start_run(final: Path) -> subprocess.Popen[str]:
    """A run in another process, that has begun to write and waits."""
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, str(final)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "writing\n"
    return child


def test_the_second_of_two_runs_is_refused_and_the_first_unharmed(home: Path) -> None:
    first = start_run(home / "run")
    for force in (False, True):
        with pytest.raises(OutputError, match="another run is writing") as caught:
            write(home / "run", "2", force=force)
        assert caught.value.exit_code == 2
    write(home / "other", "beside it, there is room")
    first.communicate("go on\n")
    assert first.returncode == 0
    assert (home / "run" / "result").read_text() == "half"
    assert names(home) == ["other", "run"]


@pytest.mark.parametrize("next_run", ["run", "other"])
def test_a_killed_run_is_cleared_by_the_next_one_beside_it(home: Path, next_run: str) -> None:
    killed = start_run(home / "run")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (home / "run").exists()
    assert ".run.partial" in names(home)
    write(home / next_run, "whole")
    assert names(home) == [next_run]


def test_what_other_programs_leave_there_stays(home: Path) -> None:
    (home / ".cargo.lock").touch()
    (home / ".download.partial").write_text("another program's")
    write(home / "run", "1")
    assert names(home) == [".cargo.lock", ".download.partial", "run"]


def test_a_lock_removed_while_another_waits_for_it_locks_nothing(home: Path) -> None:
    """The holder removes the file as it ends: who had opened it must not believe it has the lock,
    for a third would make the file anew."""
    file = home / ".run.lock"
    opened, removed = threading.Event(), threading.Event()
    real = module.fcntl.flock

    def late(stream: object, operation: int) -> None:
        if not opened.is_set():
            opened.set()
            removed.wait(5)
        real(stream, operation)  # type: ignore[arg-type]

    found: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.fcntl, "flock", late)
        waiting = threading.Thread(target=lambda: found.append(module._lock(file)))
        waiting.start()
        assert opened.wait(5)
        file.unlink()
        third = module._lock(file)
        removed.set()
        waiting.join(5)
    assert third is not None
    assert found == [None]
    third.close()


def test_many_runs_at_one_place_one_wins(home: Path) -> None:
    race = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from edgekit.errors import OutputError
        from edgekit.runs.folder import run_folder

        won = 0
        for turn in range(60):
            try:
                with run_folder(Path(sys.argv[1]), force=True) as folder:
                    (folder / "one").write_text(sys.argv[2])
                    time.sleep(0.001)
                    (folder / "two").write_text(sys.argv[2])
                    (folder / "manifest.json").write_text('{"edgekit": "1", "outputs": {}}')
                won += 1
            except OutputError as error:
                assert "another run" in error.message, error
        print(won)
    """)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", race, str(home / "run"), str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    wins = [int(child.communicate(timeout=60)[0]) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert sum(wins) >= 1
    assert names(home) == ["run"]
    assert (home / "run" / "one").read_text() == (home / "run" / "two").read_text()
