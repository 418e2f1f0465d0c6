"""What the kernel says of the CPU, on the machines edgekit meets."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgekit.measure.host import Host, this_host

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz
flags\t\t: fpu sse sse2 avx avx2 fma avx512f avx512bw {extra}
bugs\t\t: spectre_v1

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
AARCH64 = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes crc32 atomics {extra}
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""
RISCV = """\
processor\t: 0
hart\t\t: 1
isa\t\t: rv64imafdc
"""


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Path:
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(
    ("extra", "has"),
    [("avx512_vnni", True), ("avx_vnni", True), ("amx_int8", True), ("avx512_vbmi", False)],
)
def test_x86(cpuinfo: Path, extra: str, has: bool) -> None:
    cpuinfo.write_text(X86.format(extra=extra))
    assert this_host(cpuinfo) == Host("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", has)


@pytest.mark.parametrize(("extra", "has"), [("asimddp", True), ("asimdhp", False)])
def test_aarch64_whose_kernel_gives_no_model_name(
    cpuinfo: Path, monkeypatch: pytest.MonkeyPatch, extra: str, has: bool
) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    cpuinfo.write_text(AARCH64.format(extra=extra))
    assert this_host(cpuinfo) == Host("aarch64", has)


@pytest.mark.parametrize("text", [RISCV, "", "no colons here\n\n"])
def test_a_kernel_that_does_not_say(cpuinfo: Path, text: str) -> None:
    cpuinfo.write_text(text)
    found = this_host(cpuinfo)
    assert found.int8_dot_product is None
    assert found.cpu


def test_no_such_file(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert this_host(cpuinfo) == Host("arm", None)
