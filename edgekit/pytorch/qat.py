"""Quantization-aware fine-tuning of a graph that was prepared for calibration. Imports torch.

What is trained is the graph that will be converted, PT2E's or FX's: batch norms folded already,
observers replaced by simulations of what they stand for. So step 0 is the result without training.
The libraries' own ways train the norms beside a simulated folding; torchao 0.18's gives every norm
an eps of 1e-5 and the default momentum, whatever the model has, and wants a graph in train mode,
which a program exported elsewhere no longer has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch

from edgekit.calibrate import estimate, needs_histogram
from edgekit.calibrate.statistics import Range, check_finite
from edgekit.errors import ConversionError, SourceError
from edgekit.pytorch.export import quiet_warnings
from edgekit.pytorch.extremes import SampleExtremes, collect_extremes, set_ranges
from edgekit.pytorch.qat_fake import simulate
from edgekit.pytorch.script import example
from edgekit.pytorch.training import fine_tune
from edgekit.recipe.schema import InputSpec

if TYPE_CHECKING:
    from edgekit.methods.method import QuantizeJob


class Observed(Protocol):
    """A graph with observers, by the same names whenever it is prepared; ``ends`` names those of
    the model's inputs and outputs."""

    @property
    def graph(self) -> torch.fx.GraphModule: ...
    @property
    def observers(self) -> Mapping[str, SampleExtremes]: ...
    @property
    def ends(self) -> frozenset[str]: ...


P = TypeVar("P", bound=Observed)


def fine_tuned(
    job: QuantizeJob,
    ranges: Mapping[str, Range],
    inputs: tuple[InputSpec, ...],
    prepare_at: Callable[[tuple[InputSpec, ...]], P],
) -> tuple[P, dict[str, Range], tuple[float, ...]]:
    """A prepared graph with trained weights, the ranges that fit them, and the loss of every step.

    ``prepare_at`` makes a new graph with observers for inputs of the shapes it is given; ``inputs``
    are those of one sample, ``ranges`` what calibration found, by observer. Training begins with
    them. When ranges freeze, they are taken again from the calibration samples, by the same
    estimator, with the weights as they are then.

    Raises:
        ConversionError: the model cannot be had at a batch of ``qat.batch``.
        EdgekitError: as ``training.fine_tune``.
    """
    qat = job.options.qat
    assert qat is not None
    training = _at_batch(qat.batch, inputs, prepare_at)
    weights = _own_weights(training.graph)
    if training.observers.keys() != ranges.keys():
        raise _other_graph(qat.batch)
    found = dict(ranges)
    set_ranges(training.observers, found)
    simulate(training.graph)

    def freeze() -> None:
        fresh = prepare_at(inputs)
        _set_weights(fresh.graph, weights, qat.batch)
        found.update(_calibrated(job, fresh, inputs))
        set_ranges(training.observers, found)

    losses = fine_tune(
        training.graph,
        qat,
        # No more are drawn than the steps take.
        job.open_training(min(qat.samples, qat.steps * qat.batch)),
        inputs,
        seed=job.options.seed,
        threads=job.threads,
        progress=job.progress,
        on_freeze=freeze,
    )
    trained = prepare_at(inputs)
    _set_weights(trained.graph, weights, qat.batch)
    return trained, found, losses


def _at_batch(
    size: int,
    inputs: tuple[InputSpec, ...],
    prepare_at: Callable[[tuple[InputSpec, ...]], P],
) -> P:
    try:
        return prepare_at(tuple(replace(spec, shape=(size, *spec.shape[1:])) for spec in inputs))
    except (ConversionError, SourceError) as error:
        raise ConversionError(
            f"fine-tuning: the model has no graph for a batch of {size}: {error.message}",
            hint="Where it can take one sample only, write quantize.qat.batch: 1.",
        ) from error


def _calibrated(
    job: QuantizeJob, prepared: Observed, inputs: tuple[InputSpec, ...]
) -> dict[str, Range]:
    with quiet_warnings(), job.progress.task("Calibrating again", len(job.calibration)) as task:
        statistics = collect_extremes(
            prepared.observers,
            lambda sample: prepared.graph(*example(sample.feeds, inputs)),
            job.calibration,
            task,
            values=needs_histogram([job.options.estimator]),
        )
    check_finite(statistics)
    return estimate(statistics, job.options.estimator, exact=prepared.ends)


def _own_weights(graph: torch.fx.GraphModule) -> dict[str, torch.nn.Parameter]:
    """The weights of ``graph`` by name, each a copy by now: those it was made from must stay."""
    copies: dict[int, torch.nn.Parameter] = {}
    weights: dict[str, torch.nn.Parameter] = {}
    for name, weight in list(graph.named_parameters(remove_duplicate=False)):
        copy = torch.nn.Parameter(weight.detach().clone(), weight.is_floating_point())
        weights[name] = copies.setdefault(id(weight), copy)
        _set(graph, name, weights[name])
    return weights


def _set_weights(
    graph: torch.fx.GraphModule, weights: Mapping[str, torch.nn.Parameter], batch: int
) -> None:
    if {name for name, _ in graph.named_parameters(remove_duplicate=False)} != weights.keys():
        raise _other_graph(batch)
    for name, weight in weights.items():
        _set(graph, name, torch.nn.Parameter(weight.detach().clone(), False))


def _set(graph: torch.fx.GraphModule, name: str, weight: torch.nn.Parameter) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(graph.get_submodule(owner), leaf, weight)


def _other_graph(batch: int) -> ConversionError:
    return ConversionError(
        f"fine-tuning: the model's graph for a batch of {batch} is another than for one sample",
        hint="Write quantize.qat.batch: 1, or remove what depends on the batch from forward().",
    )
