"""A phone that is not there: adbd's side of the adb protocol over TCP, for the real adb program.

Written from AOSP's packages/modules/adb: protocol.txt (packets), SYNC.TXT (file transfer) and
shell_protocol.h (shell v2). Its shell is this host's ``sh``, with the phone's paths under ``root``
and what a phone has besides (``getprop``, ``dumpsys``, ``df``) in ``root/bin``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import struct
import subprocess
import threading
from pathlib import Path

VERSION, MAX_DATA = 0x01000001, 1 << 18
CHUNK = 64 * 1024
_PHONE_PATHS = ("/data/local/tmp", "/sys/devices")
_STDOUT, _EXIT = 1, 3

GETPROP = """#!/bin/sh
sed -n "s/^$1=//p" "$FAKE_ROOT/props"
"""
DUMPSYS = """#!/bin/sh
cat "$FAKE_ROOT/dumpsys_$1"
"""
DF = """#!/bin/sh
echo "Filesystem     1K-blocks     Used Available Use% Mounted on"
echo "/dev/block/dm-5 112300000 50000000 $(cat "$FAKE_ROOT/free_kb")  45% /data"
"""
PROPS = {
    "ro.product.manufacturer": "Acme",
    "ro.product.model": "Phone 3",
    "ro.soc.model": "S900",
    "ro.board.platform": "acme900",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a",
    "ro.build.fingerprint": "acme/phone3/phone3:14/AB1.123/456:user/release-keys",
}


class FakePhone:
    """Listens at ``port`` until ``unplug``.

    ``authorised`` is whether it accepts this computer, ``full`` whether files find room,
    ``unplugged_by`` a piece of the command at which its cable is pulled; ``commands`` is all that
    its shell was given.
    """

    def __init__(self, root: Path, *, authorised: bool = True) -> None:
        self.root = root
        self.authorised = authorised
        self.full = False
        self.unplugged_by: str | None = None
        self.commands: list[str] = []
        self._connections: list[_Connection] = []
        for folder in ("bin", "data/local/tmp", "sys/devices/system/cpu/cpu0/cpufreq"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for name, script in {"getprop": GETPROP, "dumpsys": DUMPSYS, "df": DF}.items():
            write_program(root / "bin" / name, script)
        cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
        (cpufreq / "scaling_governor").write_text("schedutil\n")
        (cpufreq / "scaling_max_freq").write_text("2850000\n")
        self.set_props()
        self.set_heat(0)
        (root / "free_kb").write_text("62300000\n")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def serial(self) -> str:
        """What adb calls it."""
        return f"127.0.0.1:{self.port}"

    @property
    def tmp(self) -> Path:
        """Its /data/local/tmp."""
        return self.root / "data/local/tmp"

    def set_props(self, **changed: str) -> None:
        """Write its properties; ``ro_build_version_sdk`` is ``ro.build.version.sdk``."""
        props = PROPS | {name.replace("_", "."): value for name, value in changed.items()}
        text = "".join(f"{name}={value}\n" for name, value in props.items())
        (self.root / "props").write_text(text)

    def set_heat(self, thermal_status: int) -> None:
        """What dumpsys says of battery and heat."""
        (self.root / "dumpsys_battery").write_text(
            "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n"
            "  level: 85\n  scale: 100\n  temperature: 312\n"
        )
        (self.root / "dumpsys_thermalservice").write_text(
            f"IsStatusOverride: false\nThermal Status: {thermal_status}\nCached temperatures:\n"
        )

    def unplug(self) -> None:
        """Pull the cable: nothing that is under way is answered any more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            connection = _Connection(self, client)
            self._connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()


def write_program(file: Path, text: str) -> Path:
    """An executable script."""
    file.write_text(text, encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def _packet(command: bytes, first: int, second: int, data: bytes = b"") -> bytes:
    number = int.from_bytes(command, "little")
    head = struct.pack(
        "<4s5I", command, first, second, len(data), sum(data) & 0xFFFFFFFF, number ^ 0xFFFFFFFF
    )
    return head + data


class _Connection:
    """One transport: packets in, streams by number."""

    def __init__(self, phone: FakePhone, client: socket.socket) -> None:
        self.phone = phone
        self._client = client
        self._lock = threading.Lock()
        self._streams: dict[int, _Stream] = {}

    def serve(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._answer(*self._receive())
        for stream in list(self._streams.values()):
            stream.end()

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        with self._lock:
            self._client.sendall(_packet(command, first, second, data))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()

    def _receive(self) -> tuple[bytes, int, int, bytes]:
        command, first, second, length, _, _ = struct.unpack("<4s5I", self._exactly(24))
        return command, first, second, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._client.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _answer(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command == b"CNXN":
            if self.phone.authorised:
                banner = (
                    b"device::ro.product.name=phone3;ro.product.model=Phone_3;"
                    b"ro.product.device=phone3;features=shell_v2,cmd,stat_v2"
                )
                self.send(b"CNXN", VERSION, MAX_DATA, banner)
            else:
                self.send(b"AUTH", 1, 0, bytes(20))
        elif command == b"AUTH":
            if first == 2:  # a signature: of a key that nobody has accepted
                self.send(b"AUTH", 1, 0, bytes(20))
        elif command == b"OPEN":
            stream = _Stream(self, len(self._streams) + 1, first)
            self._streams[stream.local] = stream
            self.send(b"OKAY", stream.local, first)
            service = data.rstrip(b"\0").decode()
            threading.Thread(target=stream.serve, args=(service,), daemon=True).start()
        elif second in self._streams:
            stream = self._streams[second]
            if command == b"OKAY":
                stream.acknowledged.release()
            elif command == b"WRTE":
                stream.feed(data)
                self.send(b"OKAY", second, first)
            elif command == b"CLSE":
                stream.end()


class _Stream:
    """One service: a shell command, or a session of file transfer."""

    def __init__(self, connection: _Connection, local: int, remote: int) -> None:
        self.local = local
        self.acknowledged = threading.Semaphore(0)
        self._remote = remote
        self._connection = connection
        self._phone = connection.phone
        self._buffer = b""
        self._ended = False
        self._changed = threading.Condition()

    def feed(self, data: bytes) -> None:
        with self._changed:
            self._buffer += data
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self.acknowledged.release()

    def serve(self, service: str) -> None:
        kind, _, rest = service.partition(":")
        with contextlib.suppress(EOFError, OSError):
            if kind.split(",")[0] == "shell":
                self._shell(rest, version_2="v2" in kind.split(","))
            elif kind == "sync":
                self._sync()
            self._connection.send(b"CLSE", self.local, self._remote)

    def _write(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            if self._ended:
                raise EOFError
            self._connection.send(b"WRTE", self.local, self._remote, data[start : start + CHUNK])
            self.acknowledged.acquire()

    def _read(self, count: int) -> bytes:
        with self._changed:
            while len(self._buffer) < count:
                if self._ended:
                    raise EOFError
                self._changed.wait()
            data, self._buffer = self._buffer[:count], self._buffer[count:]
            return data

    def _shell(self, command: str, *, version_2: bool) -> None:
        self._phone.commands.append(command)
        cut_at = self._phone.unplugged_by
        if cut_at is not None and cut_at in command:
            self._phone.unplug()
            return
        root = str(self._phone.root)
        for path in _PHONE_PATHS:
            command = command.replace(path, root + path)
        process = subprocess.Popen(
            ["sh", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=root,
            env={"PATH": f"{root}/bin:/usr/bin:/bin", "FAKE_ROOT": root},
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            while part := os.read(process.stdout.fileno(), CHUNK):
                part = part.replace(root.encode(), b"")
                head = struct.pack("<BI", _STDOUT, len(part)) if version_2 else b""
                self._write(head + part)
            if version_2:
                self._write(struct.pack("<BIB", _EXIT, 1, process.wait() & 0xFF))
        finally:
            process.stdout.close()
            if process.poll() is None:  # the other side has gone
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _sync(self) -> None:
        while True:
            command, length = struct.unpack("<4sI", self._read(8))
            if command == b"QUIT":
                return
            path = self._read(length).decode()
            if command in (b"STAT", b"STA2", b"LST2"):
                self._status(command, path)
            elif command == b"SEND":
                self._take(path)
            elif command == b"RECV":
                self._give(path)
            else:
                self._fail(f"unknown request {command!r}")

    def _status(self, command: bytes, path: str) -> None:
        file = self._file(path)
        found = file.stat() if file.exists() else None
        if command == b"STAT":
            mode, size = (found.st_mode, found.st_size) if found else (0, 0)
            self._write(command + struct.pack("<3I", mode, size, 0))
            return
        error, mode, size = (0, found.st_mode, found.st_size) if found else (2, 0, 0)
        self._write(
            command + struct.pack("<IQQIIIIQqqq", error, 0, 0, mode, 1, 0, 0, size, 0, 0, 0)
        )

    def _take(self, path: str) -> None:
        path, _, mode = path.rpartition(",")
        content = b""
        while True:
            command, length = struct.unpack("<4sI", self._read(8))
            if command == b"DONE":
                break
            content += self._read(length)
        if self._phone.full:
            self._fail("couldn't write file: No space left on device")
            return
        file = self._file(path)
        file.write_bytes(content)
        file.chmod(int(mode) & 0o666)
        self._write(b"OKAY" + struct.pack("<I", 0))

    def _give(self, path: str) -> None:
        file = self._file(path)
        if not file.is_file():
            self._fail("No such file or directory")
            return
        content = file.read_bytes()
        for start in range(0, len(content), CHUNK):
            part = content[start : start + CHUNK]
            self._write(b"DATA" + struct.pack("<I", len(part)) + part)
        self._write(b"DONE" + struct.pack("<I", 0))

    def _fail(self, why: str) -> None:
        self._write(b"FAIL" + struct.pack("<I", len(why)) + why.encode())

    def _file(self, path: str) -> Path:
        return self._phone.root / path.lstrip("/")
