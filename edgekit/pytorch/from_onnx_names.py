"""Dotted module names out of the names that ONNX exporters give to nodes and weights."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch

# What a module has already cannot be the name of one inside it.
_ATTRIBUTES = frozenset({*dir(torch.nn.Module()), "steps", "inputs", "outputs", "buffer_names"})
_NOT_IN_A_NAME = re.compile(r"[^0-9A-Za-z_]+")
_WEIGHT = ".weight"


def module_path(op_type: str, name: str, weight: str | None) -> str:
    """Where the operator called ``name`` belongs; ``weight`` is the name of its constant weight.

    ``features.0.0.weight`` says it best: that is how PyTorch names the weight of
    ``features.0.0``. A node of torch's TorchScript exporter is named as the path to it, each part
    with its own parents (``/features/features.0/features.0.0/Conv``), one of TensorFlow's as the
    layers it was fused from (``model/a/Conv2D;model/b/BiasAdd``), of which the first counts.

    >>> module_path("Clip", "/features/features.0/features.0.2/Clip", None)
    'features.0.2.Clip'
    >>> module_path("Conv", "/features/features.1/conv/conv.0/conv.0.0/Conv", "onnx::Conv_540")
    'features.1.conv.0.0'
    """
    if weight is not None and weight.endswith(_WEIGHT):
        return _clean(weight.removesuffix(_WEIGHT).split("."))
    parts: list[str] = []
    for part in name.split(";")[0].strip("/").split("/"):
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    dotted = [piece for part in parts for piece in part.split(".")]
    if weight is not None and len(dotted) > 1 and dotted[-1].split("_")[0] == op_type:
        dotted.pop()
    return _clean(dotted) or op_type.lower()


def _clean(parts: Iterable[str]) -> str:
    cleaned = (_NOT_IN_A_NAME.sub("_", part).strip("_") for part in parts)
    return ".".join(f"{part}_" if part in _ATTRIBUTES else part for part in cleaned if part)


class ModulePaths:
    """Gives every module a path of its own, none of them inside another module."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._leaves: set[str] = set()
        self._containers = set(reserved)

    def take(self, wanted: str) -> str:
        """``wanted``, or the next free path like it."""
        if self._leaves.intersection(_parents(wanted)):
            wanted = wanted.replace(".", "_")
        path, number = wanted, 1
        while path in self._leaves or path in self._containers:
            number += 1
            path = f"{wanted}_{number}"
        self._leaves.add(path)
        self._containers.update(_parents(path))
        return path


def _parents(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
