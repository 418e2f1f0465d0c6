"""One call of ai-edge-quantizer, for the methods that quantize a float ``.tflite`` with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.tflite.ends import restore_signatures

if TYPE_CHECKING:
    from ai_edge_quantizer.quantizer import Quantizer


def run_engine(
    data: bytes,
    configure: Callable[[Quantizer], None],
    ranges: Mapping[str, Mapping[str, Any]] | None = None,
) -> bytes:
    """The float graph in ``data``, quantized as ``configure`` tells the engine.

    ``ranges`` is what the engine's own calibrator would give, ``{"min", "max"}`` by tensor name;
    ``None`` where activations stay float.

    Raises:
        ConversionError: the engine refused the graph.
    """
    with captured_output():
        from ai_edge_quantizer import quantizer

        try:
            engine = quantizer.Quantizer(bytearray(data))
            configure(engine)
            result = engine.quantize(
                ranges, enable_progress_bar=False, enable_progress_report=False
            )
        except Exception as error:  # ValueError, RuntimeError, KeyError from the engine's depths
            raise ConversionError(
                f"ai-edge-quantizer refused the graph: {error}",
                hint="Choose another quantize.method, and report it.",
            ) from error
    return restore_signatures(bytes(result.quantized_model), data)


def weight_granularity(*, per_channel: bool) -> Any:
    """The engine's word for one scale an output channel, or for one of the whole tensor."""
    from ai_edge_quantizer.qtyping import QuantGranularity

    return QuantGranularity.CHANNELWISE if per_channel else QuantGranularity.TENSORWISE


def engine_name() -> str:
    """What an artefact's notes call it."""
    return f"ai-edge-quantizer {version('ai-edge-quantizer')}"
