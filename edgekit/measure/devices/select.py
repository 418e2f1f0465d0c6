"""From ``host``, ``adb``, ``adb:SERIAL`` or ``all`` to devices; all of them measured at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgekit.cache import Cache
from edgekit.errors import EdgekitError, UsageError
from edgekit.measure.devices.adb import AdbDevice, log_file
from edgekit.measure.devices.adb_client import AdbClient, choose_phones, find_adb
from edgekit.measure.devices.arm_tree import arm_python
from edgekit.measure.devices.benchmark_tool import find_benchmark_model
from edgekit.measure.devices.device import (
    BenchSettings,
    Device,
    DeviceFailure,
    Found,
    Models,
)
from edgekit.measure.devices.emulated import EMULATIONS, QEMU, EmulatedDevice, EmulatedEnvironment
from edgekit.measure.devices.host import HostDevice
from edgekit.measure.devices.vulkan_tree import vulkan_python
from edgekit.progress import Progress, SilentProgress

HOST, ADB, ALL = "host", "adb", "all"


def check_selector(text: str) -> None:
    """Raise UsageError unless ``text`` is one of the forms that ``open_devices`` knows."""
    if text not in (HOST, ADB, ALL, *EMULATIONS) and not (
        text.startswith("adb:") and text != "adb:"
    ):
        raise UsageError(
            f"there is no device '{text}'",
            hint="host, adb (the only phone), adb:SERIAL, all (every phone; see: adb devices), or "
            f"{' or '.join(EMULATIONS)} (answers only)",
        )


def open_devices(
    text: str,
    benchmark_model: Path | None,
    progress: Progress = SilentProgress(),  # noqa: B008 - it has no state
) -> list[Device]:
    """The devices that ``text`` names; a phone may turn out not to be usable.

    Raises:
        UsageError: no such form, or several phones where one is meant.
        MissingError: no phone, no adb program, or no benchmark_model.
    """
    check_selector(text)
    if text == HOST:
        return [HostDevice(progress)]
    if (emulation := EMULATIONS.get(text)) is not None:
        python = arm_python if emulation is QEMU else vulkan_python
        return [
            EmulatedDevice(emulation, lambda: EmulatedEnvironment(text, python(Cache(), progress)))
        ]
    program = find_adb()
    serial = text.removeprefix("adb:") if text.startswith("adb:") else None
    phones = choose_phones(AdbClient(program).attached(), serial, all_of_them=text == ALL)
    tool = find_benchmark_model(benchmark_model)
    # One client each, so that ending one device's calls leaves the others alone.
    return [AdbDevice(AdbClient(program), phone, tool) for phone in phones]


def bench_devices(
    devices: Sequence[Device], models: Models, settings: BenchSettings, logs: Path
) -> tuple[Found, ...]:
    """Measure on all ``devices`` at once, in their order; the failure of one is no other's."""

    def bench(device: Device) -> Found:
        try:
            return device.bench(models, settings, logs)
        except UsageError:
            raise
        except EdgekitError as error:
            log = log_file(logs, device.name, settings.delegate)
            return DeviceFailure(
                device.name, settings.delegate, error, log if log.is_file() else None
            )

    if len(devices) == 1:  # in this thread, where Ctrl-C arrives
        return (bench(devices[0]),)
    with ThreadPoolExecutor(max_workers=len(devices) or 1) as pool:
        pending = [pool.submit(bench, device) for device in devices]
        try:
            return tuple(each.result() for each in pending)
        except BaseException:
            for device in devices:
                device.cancel()
            raise
