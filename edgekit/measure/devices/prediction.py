"""What ``edgekit inspect`` expects a delegate to take of a file, held against what it took."""

from __future__ import annotations

from pathlib import Path

from edgekit.measure.devices.device import Delegate, DeviceLatency, Prediction
from edgekit.tflite.delegates.plan import DELEGATES, predict_delegate
from edgekit.tflite.graph import read_graph


def predict(file: Path, delegate: Delegate) -> Prediction | None:
    """The prediction for ``file``; ``None`` for what is no delegate, and for other formats."""
    if delegate.value not in DELEGATES or file.suffix != ".tflite":
        return None
    plan = predict_delegate(read_graph(file), delegate.value)
    return Prediction(plan.taken, len(plan.places), plan.partitions)


def surprise(latency: DeviceLatency) -> str | None:
    """Where the delegate did otherwise than predicted, as a sentence; ``None`` where it did not,
    or does not say."""
    expected, found = latency.predicted, latency.quantized.delegation
    if expected is None or found.effective is None:
        return None
    asked = latency.requested
    hoped = (
        f"edgekit inspect expects {asked} to take {expected.nodes} of {expected.graph_nodes} "
        f"nodes in {expected.partitions} partition{'' if expected.partitions == 1 else 's'}"
    )
    if found.effective is not asked:
        return None if expected.nodes == 0 else f"{hoped}; it took none"
    if found.nodes is not None and found.nodes != expected.nodes:
        return f"{hoped}; it took {found.nodes} of {found.graph_nodes}"
    if found.complete is not None and found.complete != (expected.nodes == expected.graph_nodes):
        return f"{hoped}; it took {'all' if found.complete else 'a part'} of the graph"
    if found.partitions is not None and found.partitions != expected.partitions:
        return f"{hoped}; it took it in {found.partitions}"
    return None
