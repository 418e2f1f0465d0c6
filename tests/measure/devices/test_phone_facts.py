"""What a phone says of itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.measure.devices.phone_facts import nnapi_warning, parse_facts, throttled

SAID = """\
manufacturer=Acme\r
model=Phone 3
soc=
api_level=35
governor=cat: /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor: Permission denied
max_khz=1800000
2400000
2850000
free_kb=Filesystem     1K-blocks     Used Available Use% Mounted on
/dev/block/dm-5 112300000 50000000  62300000  45% /data
  level: 7
  temperature: -12
  AC powered: true
Thermal Status: 9
"""


def test_facts_are_read_and_unknown_ones_left_out() -> None:
    assert parse_facts(SAID) == {
        "manufacturer": "Acme",
        "model": "Phone 3",
        "api_level": "35",
        "max_khz": "1800000 2400000 2850000",
        "free_kb": "62300000",
        "battery_percent": "7",
        "battery_celsius": "-1.2",
        "ac_powered": "true",
        "thermal_status": "9 (unknown)",
    }


@pytest.mark.parametrize(
    ("status", "expected"), [("0 (none)", False), ("1 (light)", True), (None, False)]
)
def test_any_throttling_counts(status: str | None, expected: bool) -> None:
    assert throttled({} if status is None else {"thermal_status": status}) is expected


@pytest.mark.parametrize(("level", "warned"), [("34", False), ("35", True), ("", False)])
def test_nnapi_is_deprecated_by_api_level(level: str, warned: bool) -> None:
    assert (nnapi_warning({"api_level": level}) is not None) is warned


@given(st.text(alphabet="=: \r\n%0123456789modelThermalStatus", max_size=200))
def test_noise_never_breaks_it(text: str) -> None:
    assert all(isinstance(value, str) and value for value in parse_facts(text).values())
