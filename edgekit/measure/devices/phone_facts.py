"""What a phone is and how it does: model, Android, governor, battery, heat, free space."""

from __future__ import annotations

import re
from collections.abc import Mapping

SCRIPT = "; ".join(
    [
        *(
            f'echo "{name}=$(getprop {prop})"'
            for name, prop in {
                "manufacturer": "ro.product.manufacturer",
                "model": "ro.product.model",
                "soc": "ro.soc.model",
                "board": "ro.board.platform",
                "android": "ro.build.version.release",
                "api_level": "ro.build.version.sdk",
                "abis": "ro.product.cpu.abilist",
                "build": "ro.build.fingerprint",
            }.items()
        ),
        'echo "governor=$(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>&1)"',
        'echo "max_khz=$(cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq 2>&1)"',
        'echo "free_kb=$(df -k /data/local/tmp)"',
        "dumpsys battery",
        "dumpsys thermalservice",
    ]
)
"""Its output is for ``parse_facts``; what a phone does not know is left out of that."""

LAST_NNAPI_API = 34
"""NNAPI is deprecated from Android 15 (API level 35): Android NDK, 'NNAPI Migration Guide'."""
_FIELD = re.compile(
    r"^(manufacturer|model|soc|board|android|api_level|abis|build|governor)=(.+)$", re.MULTILINE
)
_MAX_KHZ = re.compile(r"^max_khz=((?:\d+\s+)*\d+)$", re.MULTILINE)
_FREE_KB = re.compile(r"^\S+\s+\d+\s+\d+\s+(\d+)\s+\d+%", re.MULTILINE)
_BATTERY = re.compile(r"^\s*(level|temperature|AC powered|USB powered): (\S+)\s*$", re.MULTILINE)
_THERMAL = re.compile(r"^\s*Thermal Status: (\d+)\s*$", re.MULTILINE)
# android.os.PowerManager.THERMAL_STATUS_*
_THERMAL_NAMES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


def parse_facts(text: str) -> dict[str, str]:
    """Facts by name from the output of ``SCRIPT``; kHz, kB, percent and degrees Celsius."""
    text = text.replace("\r", "")
    said = {name: value.strip() for name, value in _FIELD.findall(text)}
    # A file that the shell may not read gives its complaint.
    facts = {name: value for name, value in said.items() if value and "cat: " not in value}
    if match := _MAX_KHZ.search(text):
        facts["max_khz"] = " ".join(match[1].split())
    if match := _FREE_KB.search(text):
        facts["free_kb"] = match[1]
    for name, value in _BATTERY.findall(text):
        if name == "temperature" and value.lstrip("-").isdigit():
            facts["battery_celsius"] = f"{int(value) / 10:g}"
        elif name == "level":
            facts["battery_percent"] = value
        elif name != "temperature":
            facts[name.lower().replace(" ", "_")] = value
    if match := _THERMAL.search(text):
        status = int(match[1])
        named = _THERMAL_NAMES[status] if status < len(_THERMAL_NAMES) else "unknown"
        facts["thermal_status"] = f"{status} ({named})"
    return facts


def throttled(facts: Mapping[str, str]) -> bool:
    """Whether the phone itself says that it slows down, however lightly."""
    return not facts.get("thermal_status", "0").startswith("0")


def nnapi_warning(facts: Mapping[str, str]) -> str | None:
    """That NNAPI has no future on this phone, where that is so."""
    level = facts.get("api_level", "")
    if not level.isdigit() or int(level) <= LAST_NNAPI_API:
        return None
    return (
        f"NNAPI is deprecated since Android 15, and this is API level {level}: what it gives here "
        "may be gone with the next update; take gpu or xnnpack"
    )
