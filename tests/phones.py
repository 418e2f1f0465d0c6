"""Fixtures: an adb server of our own, and phones it is connected to."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from edgekit.errors import MissingError
from edgekit.measure.devices.adb_client import find_adb
from edgekit.runtimes import open_session
from edgekit.types import Feeds
from tests.fake_adbd import FakePhone

LOG = """\
INFO: STARTING!
{delegate}
INFO: count=9 first=11000 curr=10100 min=10000 max=11000 avg=10200 std=120 p5=10000 median=10100 \
p95=10900
INFO: count=50 first=10100 curr=10050 min=9900 max=10900 avg=10090 std=110 p5=9950 \
median={median} p95=10400
INFO: Inference timings in us: Init: 48600, First inference: 11000, Warmup (avg): 10200, \
Inference (avg): 10090
INFO: Overall peak memory footprint (MB) via periodic monitoring: 23.5
"""
GPU = (
    "INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by "
    "the delegate."
)
XNNPACK = (
    "INFO: Explicitly applied XNNPACK delegate, and the model graph will be partially executed "
    "by the delegate w/ 2 delegate kernels."
)
FALLBACK = (
    "ERROR: GPU acceleration is unsupported on this platform.\n"
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
)


def benchmark_program(
    delegate: str = XNNPACK, *, instead: str = "", prints_times: bool = True
) -> str:
    """A benchmark_model as a script: the float model takes twice as long as the quantized one.

    ``instead`` is done in place of printing times. Answers are looked up by the input's sha256.
    It is a build that writes result files where the phone has one to give in ``result.pb``;
    without ``prints_times`` their times stand only there, as with LiteRT's own.
    """
    log = LOG.format(delegate=delegate, median="$median")
    if not prints_times:
        log = log.replace("Inference timings in us:", "[benchmark_litert_model.h:94] Inference")
    return f"""#!/bin/sh
case "$*" in *--output_filepath=*)
  answer="$FAKE_ROOT/answers/$(sha256sum < input0.bin | cut -c1-16)"
  [ -e "$answer" ] && cp "$answer" output.bin
  exit 0;;
esac
{instead}
median=10000
case "$*" in *--graph=float.tflite*) median=20000;; esac
cat <<END
{log}
END
if [ -e "$FAKE_ROOT/result.pb" ]; then
  case "$*" in *--result_file_path=result.pb*)
    cp "$FAKE_ROOT/result.pb" result.pb
    echo "INFO: Saved benchmark result to: result.pb";;
  esac
fi
"""


def know_answers(phone: FakePhone, file: Path, inputs: Iterable[Feeds], shift: float = 0) -> None:
    """Have the phone's benchmark_model answer as LiteRT does here, ``shift`` added to each value,
    to these inputs of ``file``, which has one input and one output."""
    (phone.root / "answers").mkdir()
    with open_session(file) as session:
        for feeds in inputs:
            (content,) = (array.tobytes() for array in feeds.values())
            name = hashlib.sha256(content).hexdigest()[:16]
            (answer,) = session.run(feeds).values()
            (phone.root / "answers" / name).write_bytes(
                (answer + answer.dtype.type(shift)).tobytes()
            )


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of an adb server of our own, so that nobody's phones are touched."""
    try:
        program = find_adb()
    except MissingError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "ANDROID_ADB_SERVER_PORT": str(port),
        "ADB_MDNS": "0",
        "HOME": str(tmp_path_factory.mktemp("home")),  # adb's keys
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
    }
    call = partial(
        subprocess.run, env={**os.environ, **settings}, capture_output=True, check=False, timeout=30
    )
    call([program, "start-server"])  # takes seconds, once
    yield settings
    call([program, "kill-server"])


@pytest.fixture
def adb(adb_server: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The adb program, which talks to that server."""
    for name, value in adb_server.items():
        monkeypatch.setenv(name, value)
    return find_adb()


@pytest.fixture
def plug(adb: Path, tmp_path: Path) -> Iterator[Callable[..., FakePhone]]:
    """Call it for a phone that is attached; it is gone with the test."""
    phones: list[FakePhone] = []

    def plug_in(*, authorised: bool = True) -> FakePhone:
        phone = FakePhone(tmp_path / f"phone{len(phones)}", authorised=authorised)
        phones.append(phone)
        subprocess.run([adb, "connect", phone.serial], capture_output=True, timeout=30, check=False)
        return phone

    yield plug_in
    for phone in phones:
        subprocess.run(
            [adb, "disconnect", phone.serial], capture_output=True, timeout=30, check=False
        )
        phone.unplug()
