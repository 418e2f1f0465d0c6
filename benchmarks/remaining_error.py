"""Where the error of an INT8 file that climbed the ladder still sits: in weights or activations.

``python -m benchmarks.remaining_error --recipe mobilenet_int8``

Computed in torch on the dev samples: the equalized float graph with its weights as they are stored
and activations in float; with float weights and activations as they are stored; with both. The
first two say what no better rounding of weights, and no better range, could ever win beyond.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import click
import numpy as np
from rich.table import Table

from benchmarks.context import new_console
from edgekit.numerics.fidelity import Fidelity, fidelity
from edgekit.runtimes.predict import Predictions
from edgekit.types import Sample

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.methods.litert_build import Built
    from edgekit.optimize.torch_graph import TorchGraph

BATCH = 8


@dataclass(frozen=True)
class Climbed:
    """The rung that was kept, what it is called, and the dev samples that it was chosen on."""

    rung: str
    best: Built
    dev: Sequence[Sample]
    primary: str


def climb_to(recipe_name: str, effort: str, folder: Path) -> Climbed:
    """Up the ladder of ``litert_static`` for the recipe, from its float graph on."""
    from edgekit.methods import litert_static
    from edgekit.methods.litert_ladder import Climbed as Found
    from edgekit.methods.litert_ladder import climb
    from edgekit.pipeline import make
    from edgekit.recipe import load_recipe
    from edgekit.runs.run import Run

    found: list[Climbed] = []

    def watched(job, ground, dataset) -> Found:  # type: ignore[no-untyped-def]
        reached = climb(job, ground, dataset)
        dev = list(dataset)
        found.append(Climbed(reached.choice.chosen, reached.best, dev, job.goal.primary))
        return reached

    with patch.object(litert_static, "climb", watched):
        make(Run(load_recipe(recipe_name, [f"quantize.effort={effort}"])), folder)
    if not found:
        raise click.ClickException(f"{recipe_name} climbs no ladder: give one of litert_static")
    return found[0]


def shares(climbed: Climbed) -> dict[str, Fidelity]:
    """The three simulations against the float graph."""
    from edgekit.optimize.fake_quant import fake_quantize
    from edgekit.optimize.solve import load, stored_as
    from edgekit.tflite.graph import parse_graph

    exact, changed = load(climbed.best.reference), load(climbed.best.data)
    stored = stored_as(exact.graph, parse_graph(climbed.best.quantized))

    def storing(index: int, x: Tensor) -> Tensor:
        return fake_quantize(x, stored[index]) if index in stored else x

    weights = on_grid(changed)
    run = Simulation(exact, climbed.dev)
    reference = run.answers(None, exact.constants)
    return {
        name: fidelity(reference, answers, primary=climbed.primary, classification=True)
        for name, answers in {
            "weights alone": run.answers(None, weights),
            "activations alone": run.answers(storing, exact.constants),
            "both": run.answers(storing, weights),
        }.items()
    }


def on_grid(graph: TorchGraph) -> Mapping[int, Tensor]:
    """The constants with every layer's weights on the INT8 grid of their channel, by rounding to
    the nearest: weights that lie on it stay."""
    from edgekit.optimize.layer_rows import as_matrices, from_matrices
    from edgekit.optimize.rounding import round_nearest
    from edgekit.tflite.links import is_layer

    found = dict(graph.constants)
    for op in graph.graph.ops:
        if is_layer(graph.graph, op):
            weights = graph.constants[op.inputs[1]]
            depthwise = op.name == "DEPTHWISE_CONV_2D"
            groups = graph.graph.tensors[op.inputs[0]].shape[-1] if depthwise else 1
            rounded = round_nearest(as_matrices(op, weights, groups))
            found[op.inputs[1]] = from_matrices(op, rounded, weights.shape)
    return found


@dataclass(frozen=True)
class Simulation:
    """A graph on samples, a few at a time."""

    graph: TorchGraph
    samples: Sequence[Sample]

    def answers(
        self, hook: Callable[[int, Tensor], Tensor] | None, constants: Mapping[int, Tensor]
    ) -> Predictions:
        """What the graph says with these constants, its activations passed through ``hook``."""
        import torch

        graph = self.graph.graph
        parts: dict[str, list[np.ndarray]] = {name: [] for name in graph.output_names}
        for start in range(0, len(self.samples), BATCH):
            some = self.samples[start : start + BATCH]
            feeds = {
                index: torch.from_numpy(np.concatenate([sample.feeds[name] for sample in some]))
                for index, name in zip(graph.inputs, graph.input_names, strict=True)
            }
            with torch.no_grad():
                found = self.graph.run(feeds, hook, constants)
            for index, name in zip(graph.outputs, graph.output_names, strict=True):
                parts[name].append(found[index].numpy())
        outputs = {name: np.concatenate(each) for name, each in parts.items()}
        return Predictions(outputs, tuple(sample.id for sample in self.samples), None)


@click.command()
@click.option("--recipe", default="mobilenet_int8", show_default=True)
@click.option("--effort", default="best", show_default=True)
def main(recipe: str, effort: str) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        climbed = climb_to(recipe, effort, Path(folder))
    table = Table(
        "quantized",
        "agreement",
        "SQNR, dB",
        title=f"{recipe}, effort {effort}, rung {climbed.rung}, {len(climbed.dev)} dev samples",
    )
    for name, found in shares(climbed).items():
        sqnr = found.outputs[climbed.primary].sqnr_db
        agreement = "" if found.agreement is None else f"{found.agreement:.4f}"
        table.add_row(name, agreement, f"{sqnr:.2f}")
    new_console().print(table)


if __name__ == "__main__":
    main()
