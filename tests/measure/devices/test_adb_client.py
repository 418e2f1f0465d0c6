"""What adb lists, and where its program is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import DeviceError, MissingError
from edgekit.measure.devices.adb_client import (
    Attached,
    choose_phones,
    find_adb,
    parse_devices,
    transport_failure,
    unusable,
)
from tests.fake_adbd import write_program

LISTED = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
8A1X0ABCD              device usb:1-4 product:oriole model:Pixel_6 device:oriole transport_id:1
192.168.1.5:5555       offline transport_id:2
emulator-5554          unauthorized transport_id:3
R58N123456             no permissions (missing udev rules? user is in the plugdev group); see [x]

"""


def test_every_phone_is_listed_with_its_state() -> None:
    assert parse_devices(LISTED) == (
        Attached("8A1X0ABCD", "device", "Pixel_6"),
        Attached("192.168.1.5:5555", "offline", ""),
        Attached("emulator-5554", "unauthorized", ""),
        Attached("R58N123456", "no permissions", ""),
    )


@pytest.mark.parametrize("state", ["offline", "unauthorized", "no permissions", "recovery"])
def test_a_phone_that_cannot_be_used_says_why_and_what_helps(state: str) -> None:
    error = unusable(Attached("X", state, ""))

    assert error is not None
    assert "phone X" in error.message
    assert error.hint


def test_the_only_usable_phone_is_taken_without_its_name() -> None:
    usable = Attached("A", "device", "")

    assert choose_phones([usable, Attached("B", "offline", "")], None, all_of_them=False) == [
        usable
    ]
    with pytest.raises(MissingError, match="there is no phone C; attached: A"):
        choose_phones([usable], "C", all_of_them=False)


def test_adb_is_found_on_path_and_in_an_sdk(tmp_path: Path) -> None:
    for folder in ("bin", "sdk/platform-tools"):
        (tmp_path / folder).mkdir(parents=True)
        write_program(tmp_path / folder / "adb", "#!/bin/sh\n")
    sdk = {"PATH": "", "ANDROID_HOME": str(tmp_path / "sdk")}

    assert find_adb(sdk) == tmp_path / "sdk/platform-tools/adb"
    assert find_adb(sdk | {"PATH": str(tmp_path / "bin")}) == tmp_path / "bin/adb"


@pytest.mark.parametrize(
    ("said", "kind", "expected"),
    [
        ("adb: error: failed to copy: No space left on device", MissingError, "no space left"),
        ("adb: error: couldn't create file: Permission denied", MissingError, "refuses copying"),
        ("error: device unauthorized.", MissingError, "has not authorised"),
        ("error: device 'X' not found", DeviceError, "connection to phone X was lost"),
        ("", DeviceError, "adb said nothing"),
    ],
)
def test_a_failed_transfer_is_told_by_its_cause(
    said: str, kind: type[Exception], expected: str
) -> None:
    error = transport_failure("X", "copying", said)

    assert isinstance(error, kind)
    assert expected in error.message


@given(st.text(alphabet="ab: \t\n\r*5device?é", max_size=100))
def test_noise_never_breaks_the_list(text: str) -> None:
    assert all(each.serial for each in parse_devices(text))
