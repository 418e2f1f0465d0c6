"""What ``edgekit debug`` found: one object, rendered to the terminal, to JSON and to HTML."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.measure.layers import LayerError, LayerErrors, OwnError, ranked
from edgekit.tflite.hard_cases import HardCase

SCHEMA = 1
_WEIGHTED = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "CONV_3D"}
)


@dataclass(frozen=True)
class LayerReport:
    """Where a quantized model loses accuracy. ``model`` and ``reference`` are the files compared,
    ``role`` is that of the samples, ``hard_cases`` are those of the float graph."""

    model: str
    reference: str
    recipe: str
    role: str
    errors: LayerErrors
    hard_cases: tuple[HardCase, ...]

    @property
    def ranked(self) -> tuple[LayerError, ...]:
        """Those that add most noise first."""
        return ranked(self.errors.layers)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; ``layers`` are in the order of the graph."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "float": self.reference,
            "recipe": self.recipe,
            "role": self.role,
            "samples": self.errors.samples,
            "hard_cases": [dataclasses.asdict(case) for case in self.hard_cases],
            "missing": list(self.errors.missing),
            "equalized": list(self.errors.equalized),
            "layers": layers_to_list(self.errors),
        }


def layers_to_list(errors: LayerErrors) -> list[dict[str, Any]]:
    """JSON-able: the layers in the order of the graph, each with its ``rank`` from 1, by what it
    adds."""
    rank = {layer.layer: place for place, layer in enumerate(ranked(errors.layers), start=1)}
    return [{"rank": rank[each.layer], **dataclasses.asdict(each)} for each in errors.layers]


def layers_from_list(found: Iterable[Mapping[str, Any]]) -> tuple[LayerError, ...]:
    """The layers that ``layers_to_list`` wrote, in the order of the graph."""
    names = [field.name for field in dataclasses.fields(LayerError) if field.name != "own"]
    return tuple(
        LayerError(
            **{name: each[name] for name in names},
            own=None if each["own"] is None else OwnError(**each["own"]),
        )
        for each in found
    )


def cause_text(layer: LayerError) -> str:
    """What most of a layer's own noise comes from, and how much of it: ``clipping 64%``."""
    if layer.own is None:
        return "-"
    shares = {
        "clipping": layer.own.clipping,
        "rounding": layer.own.rounding,
        "weights" if layer.op in _WEIGHTED else "arithmetic": layer.own.computing,
    }
    cause = max(shares, key=shares.__getitem__)
    return f"{cause} {shares[cause]:.0%}" if shares[cause] else "none"


def own_text(layer: LayerError) -> str:
    """dB, or a dash where it is not known."""
    return "-" if layer.own is None else f"{layer.own.sqnr_db:.1f}"


def clipped_text(layer: LayerError) -> str:
    """A share of values in percent; a share that is there is never rounded to zero."""
    if layer.clipped is None:
        return "-"
    if layer.clipped == 0:
        return "0%"
    return f"{layer.clipped:.2%}" if layer.clipped >= 5e-5 else "<0.01%"


def bias_text(layer: LayerError) -> str:
    """In steps, or of a float tensor in units of its root mean square."""
    if layer.bias_steps is None:
        return f"{layer.bias:+.4f} rms"
    return f"{layer.bias_steps:+.2f}"
