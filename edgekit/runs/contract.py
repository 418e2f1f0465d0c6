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

    ``layout`` is the artefact's own; scale and zero point are ``null`` for float tensors.
    ``primary`` is the output whose meaning is ``task``. ``channels_first`` says that an NCHW input
    of the source is NCHW in the artefact too; ``info`` is a session's, always channels-last.
    """
    nchw = {spec.name for spec in inputs if spec.layout == "NCHW"}
    layouts = {spec.name: "NHWC" if spec.name in nchw else spec.layout for spec in inputs}
    if channels_first:
        layouts |= dict.fromkeys(nchw, "NCHW")
    return {
        "schema": SCHEMA,
        "inputs": [
            {
                **_tensor(tensor, channels_first and tensor.name in nchw),
                "layout": layouts.get(tensor.name, "any"),
                "preprocess": list(preprocess.get(tensor.name, ())),
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


def _tensor(tensor: TensorInfo, channels_first: bool) -> dict[str, Any]:
    shape = list(tensor.shape)
    if channels_first and len(shape) == 4:
        shape = [shape[0], shape[3], shape[1], shape[2]]
    return {
        "name": tensor.name,
        "shape": shape,
        "dtype": tensor.dtype,
        "scale": tensor.quant.scale if tensor.quant else None,
        "zero_point": tensor.quant.zero_point if tensor.quant else None,
    }
