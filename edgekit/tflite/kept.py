"""Whether a file still has the names by which the source model is called."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.errors import MismatchError
from edgekit.tflite.graph import Graph


def check_kept(
    graph: Graph, *, inputs: Sequence[str], outputs: Sequence[str], signature: str | None
) -> None:
    """Hold the ends of a quantized ``graph`` against the source's.

    An app asks for tensors by these names. ``signature`` is ``None`` where the source has none.

    Raises:
        MismatchError: says which of them was lost, and what the file has instead.
    """
    for what, found, wanted in (
        ("inputs", graph.input_names, tuple(inputs)),
        ("outputs", graph.output_names, tuple(outputs)),
    ):
        if found != wanted:
            raise _lost(what, ", ".join(found) or "none", ", ".join(wanted))
    if signature is not None and graph.signature != signature:
        raise _lost("signature", graph.signature or "none", signature)


def _lost(what: str, found: str, wanted: str) -> MismatchError:
    return MismatchError(
        f"the quantized file does not keep the model's {what}: it has {found} instead of {wanted}",
        hint="Try another quantize.method, and report it: an app asks for tensors by these names.",
    )
