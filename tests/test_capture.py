"""What native libraries print is kept, not shown."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgekit import capture
from edgekit.capture import captured_output


def test_both_descriptors_are_kept_a_childs_output_too(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with captured_output() as output:
        os.write(1, b"native out\n")
        os.write(2, b"native err\n")
        subprocess.run(["echo", "from a child"], check=True)
        assert output.text() == "native out\nnative err\nfrom a child\n"
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_pythons_streams_are_kept_but_not_what_was_waiting_in_them() -> None:
    code = (
        "import sys\n"
        "from edgekit.capture import captured_output\n"
        "sys.stdout.write('waiting ')\n"
        "with captured_output() as output:\n"
        "    sys.stdout.write('captured ')\n"
        "    sys.stderr.write('captured too ')\n"
        "    sys.stdout.flush()\n"
        "    kept = output.text()\n"
        "    sys.stdout.write('captured at the end ')\n"
        "sys.stdout.write(f'shown {kept!r}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("waiting shown 'captured too captured '", "")


def test_the_terminal_comes_back_after_a_failure_and_nested_blocks(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def failing() -> None:
        with captured_output(), captured_output() as inner:
            os.write(1, b"inner\n")
            raise KeyError(inner.text())

    with pytest.raises(KeyError, match="inner"):
        failing()
    os.write(1, b"back\n")
    assert capfd.readouterr().out == "back\n"


def test_the_tail_is_the_last_lines_without_a_progress_bar() -> None:
    with captured_output() as output:
        os.write(2, b"one\n\ntwo\n\x1b[2K bar 50%\n  \nthree\n")
        assert output.tail(2) == "two\nthree"
        assert output.tail() == "one\ntwo\nthree"


def test_bytes_that_are_no_text_do_no_harm() -> None:
    with captured_output() as output:
        os.write(1, b"\xff\xfe\n")
        assert output.text() == "\ufffd\ufffd\n"


def test_a_worker_may_switch_it_off(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(capture, "enabled", False)
    with captured_output() as output:
        os.write(1, b"shown\n")
        assert output.text() == ""
    assert capfd.readouterr().out == "shown\n"


def test_no_descriptor_is_left_open() -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    with captured_output():
        pass
    before = opened()
    for _ in range(5):
        with captured_output() as output:
            output.text()
    assert opened() == before
