"""Ranges for a prepared graph, from the calibration samples or from what these left cached."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import torch

from edgekit.cache import content_key
from edgekit.calibrate import estimate, needs_histogram
from edgekit.calibrate.statistics import check_finite, load_statistics, save_statistics
from edgekit.calibrate.subset import VALUES_MAX
from edgekit.methods.method import QuantizeJob
from edgekit.pytorch.export import quiet_warnings
from edgekit.pytorch.extremes import collect_extremes, set_ranges
from edgekit.pytorch.pt2e_prepare import Prepared
from edgekit.recipe.schema import InputSpec
from edgekit.types import Sample

_FILE = "statistics.npz"
# Raise when the statistics of the same graph and samples change.
_REVISION = 1


def calibrate(job: QuantizeJob, prepared: Prepared, inputs: tuple[InputSpec, ...]) -> bool:
    """Give every observer its range; whether the statistics came from the cache.

    ``inputs`` are those of the prepared graph, in its own layout.

    Raises:
        ConversionError: no sample reached an observer, or one made NaN or infinity there.
    """
    if not prepared.observers:  # every layer takes its ranges at run time
        return False

    values = needs_histogram([job.options.estimator])

    def collect(folder: Path) -> None:
        def run(sample: Sample) -> None:
            prepared.graph(*tensors(sample, inputs))

        with quiet_warnings(), job.progress.task("Calibrating", len(job.calibration)) as task:
            collected = collect_extremes(
                prepared.observers, run, job.calibration, task, values=values
            )
        check_finite(collected)
        save_statistics(collected, folder / _FILE)

    entry = job.cache.get_or_make("statistics", _key(job, prepared, inputs, values), collect)
    statistics = load_statistics(entry.path / _FILE)
    ranges = estimate(statistics, job.options.estimator, exact=prepared.ends)
    set_ranges(prepared.observers, ranges)
    return entry.cached


def tensors(sample: Sample, inputs: tuple[InputSpec, ...]) -> list[torch.Tensor]:
    """What the model is called with; samples are channels-last, whatever ``inputs`` are."""
    found = []
    for spec in inputs:
        tensor = torch.from_numpy(sample.feeds[spec.name])
        found.append(tensor.permute(0, 3, 1, 2) if spec.layout == "NCHW" else tensor)
    return found


def _key(job: QuantizeJob, prepared: Prepared, inputs: tuple[InputSpec, ...], values: bool) -> str:
    # What is observed depends on backend and rules; the operators and their order say all of it.
    graph = "\n".join(
        f"{node.name} {node.target} {node.args}" for node in prepared.graph.graph.nodes
    )
    return content_key(
        {
            "model": job.model.fingerprint,
            "graph": hashlib.sha256(graph.encode()).hexdigest(),
            "observers": list(prepared.observers),
            "inputs": inputs,
            "dataset": job.calibration.fingerprint,
            "torch": version("torch"),
            "torchao": version("torchao"),
            "revision": _REVISION,
            **({"values": VALUES_MAX} if values else {}),
        }
    )
