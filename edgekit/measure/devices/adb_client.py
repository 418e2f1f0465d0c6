"""The adb program: where it is, how it is called, and what its complaints mean.

The program itself is driven, not its protocol: it is what people have, and what they debug with.
The server it starts stays, as it does after any use of adb; ``ANDROID_ADB_SERVER_PORT`` names
another one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edgekit.errors import DeviceError, EdgekitError, MissingError, UsageError

INSTALL = (
    "pip install adbutils (which holds it), or install your system's package adb, or set "
    "ANDROID_HOME to an Android SDK"
)
CALL_TIMEOUT_S = 30.0
_STATE = re.compile(r"^(\S+)\s+(no permissions\b.*|\S+)(.*)$")
_MODEL = re.compile(r"\bmodel:(\S+)")
_UNUSABLE = {
    "unauthorized": (
        "has not authorised this computer",
        "Unlock it and accept 'Allow USB debugging?'; then run this again.",
    ),
    "authorizing": ("is still authorising this computer", "Wait a moment, then run this again."),
    "offline": (
        "is offline",
        "Plug it out and in again, or for a phone by network: adb reconnect.",
    ),
    "no permissions": (
        "may not be opened by this user",
        "Add udev rules for it (Debian: the package android-sdk-platform-tools-common).",
    ),
}


@dataclass(frozen=True)
class Attached:
    """One line of ``adb devices``. ``state`` is ``device`` where it can be used."""

    serial: str
    state: str
    model: str


@dataclass(frozen=True)
class Called:
    """What a call of adb printed; both streams, stderr last."""

    code: int
    output: str


def find_adb(environ: Mapping[str, str] | None = None) -> Path:
    """The adb program: on PATH, in an Android SDK, or inside the package adbutils.

    Raises:
        MissingError: there is none.
    """
    environ = os.environ if environ is None else environ
    if found := shutil.which("adb", path=environ.get("PATH")):
        return Path(found)
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        if environ.get(name) and (file := Path(environ[name]) / "platform-tools" / "adb").is_file():
            return file
    if (package := find_spec("adbutils")) is not None:
        for place in package.submodule_search_locations or ():
            file = Path(place) / "binaries" / "adb"
            if os.access(file, os.X_OK):
                return file
    raise MissingError("there is no adb program, by which phones are reached", hint=INSTALL)


class AdbClient:
    """Calls adb. ``cancel`` ends, from another thread, every call that is under way."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def call(self, *arguments: str, timeout_s: float = CALL_TIMEOUT_S) -> Called:
        """Run adb and wait; its exit code is the caller's to judge.

        Raises:
            TimeoutError: it took longer than ``timeout_s``; it has been ended.
            MissingError: it cannot be started.
        """
        try:
            process = subprocess.Popen(
                [str(self.program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise MissingError(
                f"{self.program} does not start: {error.strerror}", hint=INSTALL
            ) from error
        with self._lock:
            self._running.add(process)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"adb {arguments[0]} took more than {timeout_s:g} s") from error
        finally:
            with self._lock:
                self._running.discard(process)
            if process.poll() is None:
                process.kill()
                process.communicate()
        return Called(process.returncode, (out + err).decode("utf-8", "replace"))

    def cancel(self) -> None:
        """Kill the calls under way."""
        with self._lock:
            for process in self._running:
                process.kill()

    def start(self) -> None:
        """Start the server, apart from the first real call, whose output would hold its chatter.

        Raises:
            MissingError: it does not start.
        """
        try:
            called = self.call("start-server")
        except TimeoutError as error:
            raise MissingError(f"adb's server does not start: {error}") from error
        if called.code:
            said = _last_line(called.output)
            raise MissingError(
                f"adb's server does not start: {said}",
                hint="Is its port taken? ANDROID_ADB_SERVER_PORT names another.",
            )

    def attached(self) -> tuple[Attached, ...]:
        """All phones that adb knows of, usable or not.

        Raises:
            MissingError: adb does not answer.
        """
        self.start()
        try:
            return parse_devices(self.call("devices", "-l").output)
        except TimeoutError as error:
            raise MissingError(f"adb does not answer: {error}") from error


def parse_devices(text: str) -> tuple[Attached, ...]:
    """The lines of ``adb devices -l``."""
    found = []
    for line in text.replace("\r", "").splitlines():
        if not line.strip() or line.startswith(("List of devices", "*", "adb ")):
            continue
        if match := _STATE.match(line):
            state = "no permissions" if match[2].startswith("no permissions") else match[2]
            model = _MODEL.search(match[3])
            found.append(Attached(match[1], state, model[1] if model else ""))
    return tuple(found)


def choose_phones(
    attached: Sequence[Attached], serial: str | None, *, all_of_them: bool
) -> list[Attached]:
    """The phones asked for: that of ``serial``, all, or the only one.

    Raises:
        MissingError: there is none, or not that one.
        UsageError: several, and none was named.
    """
    if not attached:
        raise MissingError(
            "no phone is attached",
            hint="Turn on USB debugging, plug it in, and see that 'adb devices' lists it; a phone "
            "by network: adb connect HOST:PORT.",
        )
    listed = ", ".join(each.serial for each in attached)
    if all_of_them:
        return list(attached)
    if serial is not None:
        named = [each for each in attached if each.serial == serial]
        if not named:
            raise MissingError(
                f"there is no phone {serial}; attached: {listed}", hint="See: adb devices -l"
            )
        return named
    usable = [each for each in attached if each.state == "device"] or list(attached)
    if len(usable) > 1:
        raise UsageError(
            f"{len(usable)} phones are attached: {listed}",
            hint=f"Name one, e.g. --device adb:{usable[0].serial}, or take --device all.",
        )
    return usable


def unusable(phone: Attached) -> MissingError | None:
    """Why nothing can run on ``phone``; ``None`` where something can."""
    if phone.state == "device":
        return None
    said, way_out = _UNUSABLE.get(
        phone.state, (f"is in state '{phone.state}'", "Start it into Android.")
    )
    return MissingError(f"phone {phone.serial} {said}", hint=way_out)


def transport_failure(serial: str, doing: str, output: str) -> EdgekitError:
    """The error for a call of adb that failed on its way to, or on, the phone."""
    said = _last_line(output)
    if "unauthorized" in output:
        return unusable(Attached(serial, "unauthorized", "")) or DeviceError(said)
    if "No space left" in output or "not enough space" in output:
        return MissingError(
            f"phone {serial} has no space left in /data/local/tmp ({doing})",
            hint="Free some space there and run this again.",
        )
    if "Permission denied" in output or "Read-only file system" in output:
        return MissingError(
            f"phone {serial} refuses {doing}: {said}",
            hint="/data/local/tmp must be writable to adb's shell; a managed phone may forbid it.",
        )
    return DeviceError(
        f"the connection to phone {serial} was lost while {doing}: {said}",
        hint="Check the cable and see that 'adb devices' lists the phone.",
    )


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1].removeprefix("adb: ").removeprefix("error: ") if lines else "adb said nothing"
