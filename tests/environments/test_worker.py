"""Workers that do as they should, and workers that do not, by LocalEnvironment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.environments import LocalEnvironment, WorkerError
from edgekit.environments.spec import WORKERS
from edgekit.errors import UsageError

LIMIT_S = 30.0


@pytest.fixture
def local(tmp_path: Path) -> LocalEnvironment:
    workers = tmp_path / "workers"
    workers.mkdir()
    shutil.copy(WORKERS / "protocol.py", workers)
    (tmp_path / "run").mkdir()
    return LocalEnvironment(workers)


def run(local: LocalEnvironment, body: str, timeout_s: float = LIMIT_S, **request: object):
    """Run a worker whose ``work`` is ``body``."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    script = f"import os, sys, time\nfrom protocol import Refused, serve\n\ndef work(r):\n{lines}\n"
    (local.workers / "tool.py").write_text(script + "\nserve(work)\n")
    folder = local.workers.parent / "run"
    try:
        return local.run("tool", request, folder=folder, timeout_s=timeout_s)
    finally:
        assert list(folder.iterdir()) == [], "the worker's folder was left behind"


def failure(local: LocalEnvironment, body: str, timeout_s: float = LIMIT_S) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        run(local, body, timeout_s)
    return caught.value


def gone(pid: int) -> bool:
    """Whether the process has ended; the kernel may take a moment."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_an_answer_comes_back_whatever_the_tool_prints(local: LocalEnvironment) -> None:
    body = "print('{\"status\": \"ok\"}')\nos.write(1, b'noise')\nreturn {'sum': sum(r['values'])}"
    assert run(local, body, values=[1, 2, 4]) == {"sum": 7}


def test_paths_become_absolute_and_a_long_request_arrives(
    local: LocalEnvironment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    body = "return {'path': r['path'], 'length': len(r['text'])}"
    answer = run(local, body, path=Path("model.onnx"), text="ä" * 300_000)
    assert answer == {"path": str(tmp_path / "model.onnx"), "length": 300_000}


def test_a_worker_writes_nowhere_else_and_hears_nobody(
    local: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    body = """
import tempfile
open('left.npy', 'w').write('x')
names = ('PYTHONPATH', 'TF_ENABLE_ONEDNN_OPTS', 'OMP_NUM_THREADS')
return {'cwd': os.getcwd(), 'home': os.path.expanduser('~'), 'tmp': tempfile.gettempdir(),
        'env': [os.environ.get(name) for name in names], 'stdin': sys.stdin.read()}"""
    answer = run(local, body)
    assert answer["cwd"] == answer["home"] == answer["tmp"]
    assert Path(answer["cwd"]).parent == local.workers.parent / "run"
    assert answer["env"] == [None, None, "3"]
    assert answer["stdin"] == ""


def test_a_refusal_brings_its_details(local: LocalEnvironment) -> None:
    error = failure(local, "raise Refused('no such operator', ops={'Loop': ['a', 'b']})")
    assert error.message == "local: no such operator"
    assert error.details["ops"] == {"Loop": ["a", "b"]}


def test_an_exception_names_itself_and_its_place(local: LocalEnvironment) -> None:
    error = failure(local, "print('deep in the tool', file=sys.stderr)\nreturn [][1]")
    assert error.message == "local: IndexError: list index out of range"
    assert error.details["places"][-1].startswith("tool.py:")
    assert error.details["said"] == "deep in the tool"
    assert failure(local, "sys.exit(3)").message == "local: SystemExit: 3"


def test_a_crash_names_its_signal_and_the_last_words(local: LocalEnvironment) -> None:
    error = failure(local, "os.write(2, b'Check failed: x\\n')\nos.kill(os.getpid(), 11)")
    assert error.message == "local: it crashed (SIGSEGV); it last said: Check failed: x"
    killed = failure(local, "os.kill(os.getpid(), 9)")
    assert "SIGKILL" in killed.message
    assert killed.hint is not None
    assert "memory" in killed.hint


def test_an_end_without_an_answer(local: LocalEnvironment) -> None:
    error = failure(local, "os._exit(7)")
    assert error.message == "local: its worker ended without an answer (exit status 7)"


@pytest.mark.parametrize(
    "line", [b"garbage\n", b"[1]\n", b'{"status": "odd"}\n', b'{"status": "ok"}\n', b"\xff\n"]
)
def test_garbage_for_an_answer(local: LocalEnvironment, line: bytes) -> None:
    error = failure(local, f"os.write(int(sys.argv[1]), {line!r})\ntime.sleep(20)")
    assert error.message.startswith("local: its worker answered with garbage: ")


def test_an_answer_without_end_is_garbage(local: LocalEnvironment) -> None:
    error = failure(local, "while True: os.write(int(sys.argv[1]), b'x' * 65536)")
    assert "garbage: 'xxxx" in error.message


def test_a_hanging_worker_goes_with_its_children(local: LocalEnvironment, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    body = f"""
import subprocess
child = subprocess.Popen(['sleep', '60'])
open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')
time.sleep(60)"""
    error = failure(local, body, timeout_s=1.5)
    assert error.message == "local: no answer within 1.5 s, so it was stopped"
    assert "EDGEKIT_BRIDGE_TIMEOUT_S=" in (error.hint or "")
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_the_time_limit_of_the_user_comes_first(
    local: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_BRIDGE_TIMEOUT_S", "0.5")
    error = failure(local, "time.sleep(60)")
    assert error.hint == "Give it longer: EDGEKIT_BRIDGE_TIMEOUT_S=2 (seconds)."
    monkeypatch.setenv("EDGEKIT_BRIDGE_TIMEOUT_S", "0.001")
    error = failure(local, "time.sleep(60)")
    assert error.hint == "Give it longer: EDGEKIT_BRIDGE_TIMEOUT_S=1 (seconds)."
    monkeypatch.setenv("EDGEKIT_BRIDGE_TIMEOUT_S", "0.5")
    assert "within 0.5 s" in failure(local, "time.sleep(60)").message
    for wrong in ("soon", "-1", "nan", "inf"):
        monkeypatch.setenv("EDGEKIT_BRIDGE_TIMEOUT_S", wrong)
        with pytest.raises(UsageError, match=f"EDGEKIT_BRIDGE_TIMEOUT_S={wrong}"):
            run(local, "return {}")


@pytest.mark.parametrize(
    "body",
    [
        "import socket\nsocket.create_connection(('192.0.2.1', 80), 5)",
        "import urllib.request\nurllib.request.urlopen('http://192.0.2.1/x', timeout=5)",
        "import socket\nsocket.getaddrinfo('host.invalid', 80)",
    ],
)
def test_no_network(local: LocalEnvironment, body: str) -> None:
    begin = time.monotonic()
    error = failure(local, body)
    assert time.monotonic() - begin < 5
    assert "network" in error.message
    assert error.details["network"]


def test_a_tool_may_speak_to_its_own_processes(local: LocalEnvironment) -> None:
    body = "import socket\na, b = socket.socketpair()\na.send(b'x')\nreturn {'n': len(b.recv(9))}"
    assert run(local, body) == {"n": 1}


def test_a_missing_module_is_said(local: LocalEnvironment) -> None:
    assert "no_such_tool" in failure(local, "import no_such_tool").message
    (local.workers / "protocol.py").write_text("import no_such_tool\n")
    assert "No module named 'no_such_tool'" in failure(local, "return {}").message


def test_a_worker_ends_with_its_caller(local: LocalEnvironment, tmp_path: Path) -> None:
    (local.workers / "tool.py").write_text(
        "import os, subprocess, time\nfrom protocol import serve\n\n"
        "def work(r):\n"
        "    child = subprocess.Popen(['sleep', '60'])\n"
        "    with open(r['pids'] + '.new', 'w') as f: f.write(f'{os.getpid()} {child.pid}')\n"
        "    os.rename(r['pids'] + '.new', r['pids'])\n"
        "    time.sleep(60)\n\nserve(work)\n"
    )
    pids = tmp_path / "pids"
    program = (
        "import pathlib, sys\nfrom edgekit.environments import LocalEnvironment\n"
        "workers, pids = map(pathlib.Path, sys.argv[1:])\n"
        "LocalEnvironment(workers).run('tool', {'pids': pids}, folder=workers.parent,"
        " timeout_s=60)\n"
    )
    for number in (signal.SIGKILL, signal.SIGINT):
        pids.unlink(missing_ok=True)
        caller = subprocess.Popen(
            [sys.executable, "-c", program, str(local.workers), str(pids)],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(400):
            if pids.exists():
                break
            time.sleep(0.05)
        caller.send_signal(number)
        caller.wait(20)
        assert all(gone(int(pid)) for pid in pids.read_text().split()), number
