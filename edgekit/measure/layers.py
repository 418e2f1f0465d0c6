"""Where a quantized ``.tflite`` loses accuracy: every activation against its float twin.

Three runs a sample, every activation kept: the float graph, the quantized graph, and the float
graph's operators one by one, each fed with what the quantized one read. The first two give the
error that has arrived at a tensor, the last two the error that arises in its operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgekit.errors import DataError, MismatchError, SessionError
from edgekit.numerics.fidelity import sqnr_db
from edgekit.numerics.tensor_error import ErrorSums, Grid, OwnSums
from edgekit.progress import Progress, track
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import stored_feeds
from edgekit.runtimes.session import Session
from edgekit.tflite.channel_factors import channel_factors
from edgekit.tflite.graph import Graph, parse_graph
from edgekit.tflite.names import unique_names
from edgekit.tflite.pairs import Pairs, activations, grid_of, pair, real
from edgekit.tflite.rewrite import rewrite_for_int8
from edgekit.tflite.visible import VisibleGraph, with_all_activations, with_loose_operators
from edgekit.types import Array, Sample, TensorInfo

INPUT = "INPUT"
"""Stands for the operator of a graph's input, whose own error is that of storing it."""


@dataclass(frozen=True)
class OwnError:
    """The noise that arises in one operator: what it stored against what the float operator gives
    for the same inputs, those of the quantized graph.

    ``sqnr_db`` holds it against the tensor's float values. The shares of its power: ``clipping``
    (exact results beyond what the tensor can store), ``rounding`` (the others, to the tensor's
    step), ``computing`` (the rest: rounded weights and biases, integer arithmetic, inputs that are
    brought to another scale first).
    """

    sqnr_db: float
    clipping: float
    rounding: float
    computing: float


@dataclass(frozen=True)
class LayerError:
    """One activation, pooled over samples and elements; errors are quantized minus float.

    ``layer`` is the tensor's name, ``op`` the float graph's operator that writes it, ``dtype`` what
    the quantized graph stores. ``sqnr_db`` is of all the error that is here, whether it arose here
    or arrived. ``bias`` is the mean error in units of the root mean square of the float values,
    ``bias_steps`` in steps; ``constant_share`` is the share of the noise power that one constant a
    channel (the last axis) would take away. ``clipped`` is the share of float values more than half
    a step beyond what can be stored. Steps and ``clipped`` are ``None`` of a tensor that is float;
    ``own`` is ``None`` where an input of the operator has no counterpart.
    """

    layer: str
    op: str
    dtype: str
    sqnr_db: float
    bias: float
    bias_steps: float | None
    constant_share: float
    clipped: float | None
    step: float | None
    own: OwnError | None


def ranked(layers: Iterable[LayerError]) -> tuple[LayerError, ...]:
    """Most noise of its own first, against its own signal; those that have none known are last."""
    return tuple(sorted(layers, key=lambda each: each.own.sqnr_db if each.own else float("inf")))


@dataclass(frozen=True)
class LayerErrors:
    """``layers`` in the order of the graph; ``missing`` are activations of the float graph that the
    quantized one does not have. Of the ``equalized`` ones each channel is stored times a factor,
    which is taken out before anything is compared."""

    layers: tuple[LayerError, ...]
    missing: tuple[str, ...]
    samples: int
    equalized: tuple[str, ...] = ()


def layer_errors(
    reference: bytes, quantized: bytes, samples: Iterable[Sample], progress: Progress, threads: int
) -> LayerErrors:
    """Compare a float ``.tflite`` with what was quantized from it, activation by activation.

    ``samples`` are as the float model takes them, one at a time. Only the main graphs are looked
    into.

    Raises:
        MismatchError: hardly a name is in both graphs, or the first has no float32.
        SessionError: a model fails, or its values are NaN or infinite; the first layer is named.
        DataError: no samples.
    """
    reference = _as_quantized(unique_names(reference), parse_graph(quantized))
    seen, loose, kept = (
        with_all_activations(reference),
        with_loose_operators(reference),
        with_all_activations(quantized),
    )
    pairs = pair(seen.graph, kept.graph)
    if len(pairs.missing) > len(pairs.stored):
        raise MismatchError(
            f"{len(pairs.missing)} of {len(pairs.missing) + len(pairs.stored)} activations of the "
            f"float model have no counterpart of their name and shape, e.g. {pairs.missing[0]}",
            hint="Give the float .tflite that this model was quantized from.",
        )
    factors = channel_factors(reference, quantized)
    sums = _Sums(seen.graph, pairs, factors)
    if not sums.order:
        raise MismatchError(
            "the float model has no float32 activation to compare",
            hint="Give the float32 .tflite that this model was quantized from.",
        )
    with TemporaryDirectory(prefix="edgekit-layers-") as folder, ExitStack() as opened:
        sessions = []
        for number, graph in enumerate((seen, kept, loose)):
            file = Path(folder) / f"{number}.tflite"
            file.write_bytes(graph.data)
            sessions.append(opened.enter_context(open_session(file, threads=threads)))
        listed = list(samples)
        task = opened.enter_context(progress.task("Comparing layer by layer", len(listed)))
        for sample in track(listed, task):
            floats = _run(sessions[0], seen, sample)
            stored = _run(sessions[1], kept, sample)
            read = {
                index: real(stored[tensor.index], tensor) for index, tensor in pairs.stored.items()
            }
            read |= {
                index: np.divide(read[index], factor, dtype=np.float32)
                for index, factor in factors.items()
                if index in read
            }
            alone = _run_loose(sessions[2], loose, {**floats, **read})
            sums.add(sample, floats, read, alone)
    if not listed:
        raise DataError("there are no samples to compare the layers on")
    equalized = tuple(seen.graph.tensors[index].name for index in factors)
    return LayerErrors(sums.layers(), pairs.missing, len(listed), equalized)


def _as_quantized(reference: bytes, quantized: Graph) -> bytes:
    """``reference`` rewritten as for the quantizer, where ``quantized`` was."""
    rewritten, done = rewrite_for_int8(reference)
    if not done:
        return reference
    names = {tensor.name for tensor in quantized.tensors}
    before, after = parse_graph(reference), parse_graph(rewritten)
    added = {tensor.name for tensor in after.tensors} - {tensor.name for tensor in before.tensors}
    return rewritten if added & names else reference


def _run(session: Session, visible: VisibleGraph, sample: Sample) -> dict[int, Array]:
    """Every activation by tensor index, inputs as they are stored."""
    feeds = stored_feeds(session, sample)
    outputs = session.run(feeds)
    values = {index: outputs[name] for index, name in visible.outputs.items()}
    return {**{index: feeds[name] for index, name in visible.inputs.items()}, **values}


def _run_loose(
    session: Session, loose: VisibleGraph, values: Mapping[int, Array]
) -> dict[int, Array]:
    kinds: dict[str, TensorInfo] = {info.name: info for info in session.info.inputs}
    feeds = {
        name: values[index].astype(kinds[name].dtype, copy=False)
        for index, name in loose.inputs.items()
    }
    outputs = session.run(feeds)
    return {index: outputs[name] for index, name in loose.outputs.items()}


class _Sums:
    """What is summed up of each float activation that has a counterpart."""

    def __init__(self, graph: Graph, pairs: Pairs, factors: Mapping[int, Array]) -> None:
        self._graph = graph
        self._pairs = pairs
        self.order = [
            index
            for index in activations(graph)
            if index in pairs.stored and graph.tensors[index].dtype == "float32"
        ]
        self._grids: dict[int, Grid | None] = {}
        for index in self.order:
            grid = grid_of(pairs.stored[index])
            factor = factors.get(index)
            self._grids[index] = grid.over(factor) if grid and factor is not None else grid
        self._errors = {index: ErrorSums() for index in self.order}
        self._own = {index: OwnSums() for index in self.order if self._known_inputs(index)}

    def _known_inputs(self, index: int) -> bool:
        op = self._graph.producer.get(index)
        return op is None or all(
            i < 0 or self._graph.tensors[i].constant or i in self._pairs.stored for i in op.inputs
        )

    def add(
        self,
        sample: Sample,
        floats: Mapping[int, Array],
        read: Mapping[int, Array],
        alone: Mapping[int, Array],
    ) -> None:
        for index in self.order:
            grid = self._grids[index]
            self._errors[index].add(floats[index], read[index], grid)
            if not self._errors[index].finite:
                layer = self._graph.tensors[index].name
                raise SessionError(
                    f"{layer} is NaN or infinite for sample {sample.id}",
                    hint="Look for NaN in the weights, or for input values the model never saw.",
                )
            if index in self._own:
                # An input has no operator: what it should be is what was fed.
                exact = alone.get(index, floats[index])
                self._own[index].add(exact, read[index], grid)

    def layers(self) -> tuple[LayerError, ...]:
        return tuple(map(self._layer, self.order))

    def _layer(self, index: int) -> LayerError:
        error, grid = self._errors[index], self._grids[index]
        own = None
        if index in self._own:
            noise = self._own[index]
            own = OwnError(sqnr_db(error.signal, noise.noise), *noise.shares())
        producer, stored = self._graph.producer.get(index), self._pairs.stored[index]
        return LayerError(
            layer=self._graph.tensors[index].name,
            op=INPUT if producer is None else producer.name,
            dtype=stored.dtype,
            sqnr_db=error.sqnr_db,
            bias=error.mean / error.rms if error.rms else 0.0,
            bias_steps=None if grid is None else error.mean_steps(grid),
            constant_share=error.constant_share,
            clipped=None if grid is None else error.outside_share,
            step=None if grid is None else stored.scales[0],
            own=own,
        )
