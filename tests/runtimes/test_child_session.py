"""ChildSession: real crashes, real hangs, a real dead parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import SessionError, UsageError
from edgekit.runtimes import open_session
from edgekit.runtimes.child import ChildSession, Succession
from edgekit.runtimes.session import Session
from tests import tflite_models as models

X = np.random.default_rng(3).uniform(-1, 1, models.INPUT_SHAPE).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(models.two_output_model())
    return path


@pytest.fixture
def child(path: Path) -> Iterator[ChildSession]:
    with ChildSession(path, time_limit_s=60) as session:
        yield session


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def eventually(condition: Callable[[], bool], limit_s: float = 10) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_child_answers_like_a_session_of_this_process(path: Path) -> None:
    here: Session
    with open_session(path) as here, open_session(path, isolated=True) as there:
        assert isinstance(there, ChildSession)
        assert there.info == here.info
        expected, answer = here.run({"x": X}), there.run({"x": X})
        assert list(answer) == list(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(answer[name], array)
            assert answer[name].dtype == array.dtype
        assert there.time_ms({"x": X}, 4).shape == (4,)


def test_quantization_and_signature_cross_the_pipe(tmp_path: Path) -> None:
    path = tmp_path / "int8.tflite"
    path.write_bytes(models.int8_model())
    with open_session(path) as here, ChildSession(path) as there:
        assert there.info.inputs[0].quant == here.info.inputs[0].quant
        feeds = {"x": np.arange(48, dtype=np.int8).reshape(models.INPUT_SHAPE)}
        np.testing.assert_array_equal(there.run(feeds)["scores"], here.run(feeds)["scores"])
    path.write_bytes(models.two_signature_model())
    with ChildSession(path, signature="second") as there:
        expected = models.reference(X, models.weights(1))
        np.testing.assert_allclose(there.run({"x": X})["scores"], expected, rtol=1e-4, atol=1e-5)


def test_messages_larger_than_a_pipe_cross_it(tmp_path: Path) -> None:
    graph = models.Graph()
    shape = (1, 700, 700, 3)
    x, y = graph.tensor("x", shape), graph.tensor("y", shape)
    graph.operator("RELU", [x], [y])
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    path = tmp_path / "large.tflite"
    path.write_bytes(models.write([graph], {"serving_default": 0}))
    large = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with ChildSession(path) as session:
        np.testing.assert_array_equal(session.run({"x": large})["y"], np.maximum(large, 0))


def test_errors_of_the_model_keep_their_class_and_text(tmp_path: Path, child: ChildSession) -> None:
    with pytest.raises(UsageError, match=r"given float32 \[1, 3, 4, 4\]") as caught:
        child.run({"x": X.transpose(0, 3, 1, 2)})
    assert "channels-first" in str(caught.value.hint)
    assert set(child.run({"x": X})) == {"hidden", "scores"}  # the child lives on
    with pytest.raises(UsageError, match="no such model file"):
        ChildSession(tmp_path / "gone.tflite")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(models.corrupt_model())
    with pytest.raises(SessionError, match=r"broken\.tflite cannot be loaded"):
        ChildSession(broken)
    with pytest.raises(UsageError, match="'x' holds Python objects"):
        child.run({"x": np.array([None])})
    assert set(child.run({"x": X})) == {"hidden", "scores"}


def test_one_child_runs_file_after_file_and_a_new_one_those_after_a_crash(
    tmp_path: Path, path: Path
) -> None:
    crashing, other = tmp_path / "crashing.tflite", tmp_path / "other.tflite"
    crashing.write_bytes(models.crashing_model())
    other.write_bytes(models.write([models.float_graph(models.weights())]))
    running = Succession()
    with running.opened(path) as first:
        two = first.info
    with running.opened(other) as second:
        one, pid = second.info, second.pid
        assert second is first
    with pytest.raises(SessionError, match=r"SIGSEGV\) while running crashing"):  # noqa: SIM117
        with running.opened(crashing) as third:
            third.run({"x": np.ones((1, 4, 4, 4), np.float32)})
    with running.opened(path) as fourth:
        assert fourth.pid != pid
        assert fourth.info == two != one
        assert set(fourth.run({"x": X})) == {"hidden", "scores"}
        pid = fourth.pid
    running.close()
    assert not is_alive(pid)


def test_a_segfault_of_the_interpreter_is_a_session_error(tmp_path: Path) -> None:
    path = tmp_path / "crashing.tflite"
    path.write_bytes(models.crashing_model())
    with ChildSession(path) as session:
        crash = r"interpreter crashed \(SIGSEGV\) while running crashing\.tflite"
        with pytest.raises(SessionError, match=crash):
            session.run({"x": np.ones((1, 4, 4, 4), np.float32)})
        with pytest.raises(SessionError, match=crash):  # and says so again, without a new child
            session.run({"x": np.ones((1, 4, 4, 4), np.float32)})


def test_a_killed_child_is_named(child: ChildSession) -> None:
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(SessionError, match=r"crashed \(SIGKILL\) while timing model\.tflite") as e:
        child.time_ms({"x": X}, 1)
    assert "memory" in str(e.value.hint)


def test_what_the_runtime_said_before_it_died_is_told(tmp_path: Path, path: Path) -> None:
    """Through a stand-in runtime, put first on the import path the child inherits."""
    fake = tmp_path / "ai_edge_litert"
    fake.mkdir()
    (fake / "__init__.py").write_text("")
    (fake / "interpreter.py").write_text(
        "import os\n"
        "class OpResolverType:\n"
        "    AUTO = BUILTIN_WITHOUT_DEFAULT_DELEGATES = 0\n"
        "def Interpreter(**options):\n"
        "    os.write(2, b'F0000 check failed: everything\\n')\n"
        "    os.abort()\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(SessionError, match=r"SIGABRT\) while loading.*check failed: everyth"):
            ChildSession(path)
    finally:
        sys.path.remove(str(tmp_path))


def test_a_hang_ends_at_the_time_limit_and_the_child_with_it(path: Path) -> None:
    with ChildSession(path, time_limit_s=30) as session:
        session._time_limit_s = 0.3
        os.kill(session.pid, signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(SessionError, match=r"hung while running model\.tflite.*0\.3 s"):
            session.run({"x": X})
        assert time.monotonic() - start < 5
        assert not is_alive(session.pid)
        with pytest.raises(SessionError, match="hung"):
            session.run({"x": X})


def test_closing_ends_the_child_and_is_said_afterwards(path: Path) -> None:
    session = ChildSession(path)
    session.close()
    session.close()
    assert not is_alive(session.pid)
    with pytest.raises(SessionError, match="closed"):
        session.run({"x": X})


def test_the_child_does_not_outlive_its_parent(path: Path) -> None:
    """Even a parent that dies by SIGKILL, while the child is busy."""
    script = """
        import sys, threading, time
        from pathlib import Path
        import numpy as np
        from edgekit.runtimes.child import ChildSession, Succession
        session = ChildSession(Path(sys.argv[1]))
        feeds = {"x": np.zeros((1, 4, 4, 3), np.float32)}
        threading.Thread(target=session.time_ms, args=(feeds, 50_000_000), daemon=True).start()
        time.sleep(0.2)
        print(session.pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    assert eventually(lambda: not is_alive(pid))


def test_ctrl_c_reaches_the_parent_only_and_once(path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        import numpy as np
        from edgekit.runtimes.child import ChildSession, Succession
        feeds = {"x": np.zeros((1, 4, 4, 3), np.float32)}
        with ChildSession(Path(sys.argv[1])) as session:
            print(session.pid, flush=True)
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                print("interrupted, alive:", set(session.run(feeds)) == {"hidden", "scores"})
            print("busy", flush=True)
            try:
                session.time_ms(feeds, 50_000_000)
            except KeyboardInterrupt:
                print("interrupted again", flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.3)
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: the whole foreground group
        assert parent.stdout.readline() == "interrupted, alive: True\n"
        assert parent.stdout.readline() == "busy\n"
        time.sleep(0.3)
        os.killpg(parent.pid, signal.SIGINT)
        out, err = parent.communicate(timeout=20)
    assert (parent.returncode, out, err) == (0, "interrupted again\n", "")
    assert not is_alive(pid)


def test_no_file_descriptors_are_left_behind(path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    ChildSession(path).close()
    with pytest.raises(UsageError):
        ChildSession(path.with_name("gone.tflite"))
    assert set(os.listdir("/proc/self/fd")) == before
