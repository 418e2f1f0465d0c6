"""What must hold where a recipe asks for latency on phones."""

from __future__ import annotations

from edgekit.methods import METHODS
from edgekit.recipe.references import possible_methods
from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import Recipe
from edgekit.types import ArtefactFormat


def _devices_are_phones(recipe: Recipe) -> Findings:
    for index, phone in enumerate(recipe.latency.devices):
        name = phone.device
        if name in ("adb", "all", "qemu-aarch64") or (name.startswith("adb:") and name != "adb:"):
            continue
        hint = "write adb, adb:SERIAL, all or qemu-aarch64"
        if name == "host":
            hint = "remove it: this machine's latency is measured anyway"
        yield Finding(("latency", "devices", index, "device"), f"'{name}' is no phone", hint)


def _devices_need_latency(recipe: Recipe) -> Findings:
    if recipe.latency.devices and not recipe.latency.enabled:
        hint = "set latency.enabled: true"
        yield Finding(("latency", "devices"), "latency is not measured", hint)


def _phones_run_tflite(recipe: Recipe) -> Findings:
    for name in possible_methods(recipe) if recipe.latency.devices else ():
        made = METHODS[name].produces
        if made is not ArtefactFormat.TFLITE:
            message = f"benchmark_model runs .tflite, and '{name}' makes .{made.value}"
            yield Finding(("latency", "devices"), message, "remove it")


DEVICE_RULES: tuple[Rule, ...] = (_devices_are_phones, _devices_need_latency, _phones_run_tflite)
