"""What must hold where a recipe asks for latency on phones."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.methods import METHODS
from edgekit.recipe.latency_spec import PhoneSpec
from edgekit.recipe.references import possible_methods
from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import Recipe
from edgekit.types import ArtefactFormat

EMULATED: Mapping[str, str] = {"qemu-aarch64": "xnnpack", "swiftshader": "gpu"}
"""Devices whose answers alone are compared, and the one delegate that each has."""
OF_ONE_DELEGATE: Mapping[str, str] = {
    "gpu_backend": "gpu",
    "gpu_float32": "gpu",
    "nnapi_accelerator": "nnapi",
    "nnapi_preference": "nnapi",
}
"""Keys that say nothing to another delegate than theirs."""
FIGURES = ("delegated_min", "latency_ms_max", "speedup_min", "peak_memory_mb_max")
"""Limits of what benchmark_model says."""
_DEFAULTS = PhoneSpec()


def _devices_are_phones(recipe: Recipe) -> Findings:
    for index, phone in enumerate(recipe.latency.devices):
        name = phone.device
        if name in ("adb", "all", *EMULATED) or (name.startswith("adb:") and name != "adb:"):
            continue
        hint = f"write adb, adb:SERIAL, all, {' or '.join(EMULATED)}"
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


def _keys_are_the_delegates_own(recipe: Recipe) -> Findings:
    for index, phone in enumerate(recipe.latency.devices):
        for name, delegate in OF_ONE_DELEGATE.items():
            if phone.delegate != delegate and getattr(phone, name) != getattr(_DEFAULTS, name):
                message = f"is about {delegate}, and {phone.delegate} is asked for"
                hint = f"remove it, or set delegate: {delegate}"
                yield Finding(("latency", "devices", index, name), message, hint)


def _strict_needs_a_delegate(recipe: Recipe) -> Findings:
    for index, phone in enumerate(recipe.latency.devices):
        if phone.strict and phone.delegate == "cpu" and phone.device not in EMULATED:
            message = "the CPU's own kernels are no delegate, which could leave something to them"
            yield Finding(("latency", "devices", index, "strict"), message, "remove it")


def _each_measurement_has_a_name_of_its_own(recipe: Recipe) -> Findings:
    seen: dict[tuple[str, str], int] = {}
    for index, phone in enumerate(recipe.latency.devices):
        first = seen.setdefault((phone.device, phone.delegate), index)
        if first != index:
            message = (
                f"{phone.delegate} on '{phone.device}' is asked for by devices[{first}] too, and "
                "their checks and logs would have one name"
            )
            hint = "keep one; other settings of the same delegate are another run"
            yield Finding(("latency", "devices", index), message, hint)


def _what_is_emulated_only_answers(recipe: Recipe) -> Findings:
    for index, phone in enumerate(recipe.latency.devices):
        if (delegate := EMULATED.get(phone.device)) is None:
            continue
        path = ("latency", "devices", index)
        if phone.delegate != delegate:
            hint = f"set delegate: {delegate}"
            yield Finding((*path, "delegate"), f"{phone.device} has no {phone.delegate}", hint)
        if phone.answers == 0:
            hint = "remove it, or the device"
            yield Finding((*path, "answers"), f"{phone.device} compares answers only", hint)
        for name in ("strict", "profile_ops", "gpu_backend", *FIGURES):
            if getattr(phone, name) != getattr(_DEFAULTS, name):
                message = f"{phone.device} compares answers only: it runs no benchmark_model"
                yield Finding((*path, name), message, "remove it")


DEVICE_RULES: tuple[Rule, ...] = (
    _devices_are_phones,
    _devices_need_latency,
    _phones_run_tflite,
    _keys_are_the_delegates_own,
    _strict_needs_a_delegate,
    _each_measurement_has_a_name_of_its_own,
    _what_is_emulated_only_answers,
)
