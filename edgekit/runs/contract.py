"""contract.json: all an app must know to feed the model and read its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.session import SessionInfo
from edgekit.types import TensorInfo

SCHEMA = 1
_QUANTIZATION = {
    "to_real": "scale * (stored - zero_point)",
    "to_stored": "clip(round_half_even(real / scale) + zero_point) to the range of dtype",
}


def contract(
    info: SessionInfo,
    inputs: Sequence[InputSpec],
    preprocess: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    task: str,
    primary: str,
    labels: str | None,
    channels_first: bool = False,
) -> dict[str, Any]:
    """The contract as JSON values. ``preprocess`` holds the steps by input name, in order.

    ``layout`` is the artefact's own, ``source_layout`` that of the source where it had another;
    scale and zero point are ``null`` for float tensors. ``primary`` is the output whose meaning is
    ``task``. ``channels_first`` says that an NCHW input of the source is NCHW in the artefact too;
    ``info`` is a session's, always channels-last.
    """
    nchw = {spec.name for spec in inputs if spec.layout == "NCHW"}
    layouts = {spec.name: spec.layout for spec in inputs}
    return {
        "schema": SCHEMA,
        "inputs": [
            {
                **_tensor(tensor, channels_first and tensor.name in nchw),
                **_layout(layouts.get(tensor.name, "any"), channels_first),
                "preprocess": [
                    _step(step, channels_first and tensor.name in nchw)
                    for step in preprocess.get(tensor.name, ())
                ],
            }
            for tensor in info.inputs
        ],
        "outputs": [_tensor(tensor, channels_first and bool(nchw)) for tensor in info.outputs],
        "quantization": _QUANTIZATION,
        "meaning": {
            "task": task,
            "primary_output": primary,
            "labels": labels,
        },
    }


def _layout(source: str, channels_first: bool) -> dict[str, str]:
    if source == "NCHW" and not channels_first:
        return {"layout": "NHWC", "source_layout": "NCHW"}
    return {"layout": source}


def _step(step: Mapping[str, Any], channels_first: bool) -> dict[str, Any]:
    """Preprocessing ends channels-last, which is not what every artefact is fed."""
    if channels_first and step.get("to") == "NHWC":
        return {**step, "to": "NCHW", "shape": _first(step["shape"])}
    return dict(step)


def _first(shape: Sequence[int]) -> list[int]:
    batch, height, width, channels = shape
    return [batch, channels, height, width]


def _tensor(tensor: TensorInfo, channels_first: bool) -> dict[str, Any]:
    shape = list(tensor.shape)
    return {
        "name": tensor.name,
        "shape": _first(shape) if channels_first and len(shape) == 4 else shape,
        "dtype": tensor.dtype,
        "scale": tensor.quant.scale if tensor.quant else None,
        "zero_point": tensor.quant.zero_point if tensor.quant else None,
    }
