"""One phone: a folder of its own on it, programs run in that folder, a log of all that was said."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import DeviceError, EdgekitError
from edgekit.measure.devices.adb_client import CALL_TIMEOUT_S, AdbClient, transport_failure

HOME = "/data/local/tmp"
"""The one place where adb's shell may both write and execute."""
PUSH_TIMEOUT_S = 600.0
# Written after the program's own output: a connection that breaks leaves it out. It is also the
# exit code where adb itself has none to give (Android before 7).
_MARK = re.compile(r"edgekit-exit=(\d+)\s*$")


@dataclass(frozen=True)
class Said:
    """The output of a program on the phone, and its exit code."""

    code: int
    text: str


class Phone:
    """The phone called ``serial``; everything said goes into the file ``log`` as it comes."""

    def __init__(self, adb: AdbClient, serial: str, log: Path) -> None:
        self.serial = serial
        self.log = log
        self._adb = adb

    def shell(self, script: str, *, doing: str, timeout_s: float = CALL_TIMEOUT_S) -> Said:
        """Run ``script``; stderr is in the output, in order.

        Raises:
            TimeoutError: it took longer than ``timeout_s``. What it started may still run.
            DeviceError, MissingError: the phone went away, or was never there.
        """
        self.note(f"$ {script}")
        whole = f'( {script} ) 2>&1; echo "edgekit-exit=$?"'
        called = self._adb.call("-s", self.serial, "shell", whole, timeout_s=timeout_s)
        self.note(called.output)
        # A pty of an old adbd would end lines in CR LF.
        text = called.output.replace("\r\n", "\n")
        mark = _MARK.search(text)
        if mark is None:
            raise transport_failure(self.serial, doing, called.output)
        return Said(int(mark[1]), text[: mark.start()])

    def push(self, file: Path, remote: str) -> None:
        """Copy ``file`` to the path ``remote``.

        Raises:
            MissingError: no space, or no permission.
            DeviceError: the phone went away.
        """
        self._transfer("push", str(file), remote, doing=f"copying {file.name} to it")

    def pull(self, remote: str, file: Path) -> None:
        """Copy ``remote`` from the phone; raises as ``push``."""
        self._transfer("pull", remote, str(file), doing=f"copying {Path(remote).name} from it")

    def _transfer(self, verb: str, source: str, target: str, *, doing: str) -> None:
        self.note(f"$ adb {verb} {source} {target}")
        try:
            called = self._adb.call(
                "-s", self.serial, verb, source, target, timeout_s=PUSH_TIMEOUT_S
            )
        except TimeoutError as error:
            raise DeviceError(f"phone {self.serial} hangs while {doing}: {error}") from error
        self.note(called.output)
        if called.code:
            raise transport_failure(self.serial, doing, called.output)

    @contextmanager
    def folder(self) -> Iterator[str]:
        """A fresh folder on the phone, gone when the block ends, however it ends.

        Where the phone cannot be reached any more, the error that ends the block says what stays.
        """
        remote = f"{HOME}/edgekit-{secrets.token_hex(4)}"
        made = self.shell(f"mkdir {remote}", doing="making a folder on it")
        if made.code:
            raise transport_failure(self.serial, "making a folder on it", made.text)
        try:
            yield remote
        except BaseException as error:
            if not self._removed(remote) and isinstance(error, EdgekitError):
                stays = f"{remote} stays on the phone: adb -s {self.serial} shell rm -rf {remote}"
                error.hint = stays if error.hint is None else f"{error.hint}\n{stays}"
            raise
        if not self._removed(remote):
            raise DeviceError(f"phone {self.serial}: {remote} could not be removed")

    def launch(self, remote: str, command: Sequence[str], *, doing: str, timeout_s: float) -> Said:
        """Run a program in the folder ``remote``; one that takes too long is killed there.

        Raises:
            DeviceError: it hung, or the phone went away.
        """
        line = shlex.join(command)
        script = f"cd {remote} && exec sh -c {shlex.quote(f'echo $$ > pid; exec {line}')}"
        try:
            return self.shell(script, doing=doing, timeout_s=timeout_s)
        except TimeoutError as error:
            self._kill(remote)
            raise DeviceError(
                f"phone {self.serial}: {command[0].removeprefix('./')} did not finish within "
                f"{timeout_s:g} s while {doing}, and was ended",
                hint="Give it more with --timeout SECONDS (in a recipe: timeout_s); the log holds "
                "what it said until then.",
            ) from error
        except BaseException:
            self._kill(remote)
            raise

    def _kill(self, remote: str) -> None:
        self._try(f"kill -9 $(cat {remote}/pid)")

    def _removed(self, remote: str) -> bool:
        return self._try(f"rm -rf {remote}")

    def _try(self, script: str) -> bool:
        """Clean-up: the error that made it necessary is the one to tell."""
        try:
            return self.shell(script, doing="cleaning up").code == 0
        except (EdgekitError, TimeoutError) as error:
            self.note(f"({script}: {error})")
            return False

    def note(self, text: str) -> None:
        """Add ``text`` to the log."""
        with self.log.open("a", encoding="utf-8", newline="") as file:
            file.write(text if text.endswith("\n") else f"{text}\n")
