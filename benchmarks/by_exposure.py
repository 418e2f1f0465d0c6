"""Print the table in docs/accuracy.md of how many answers are kept of pictures more or less dark.

``python -m benchmarks.by_exposure RUN_DIR ...``, run folders of one recipe whose eval pictures
are darkened. Float answers are those of each folder's ``model.float.tflite``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.table import Table

from benchmarks.context import new_console

if TYPE_CHECKING:
    from edgekit.types import Array


@dataclass(frozen=True)
class Answered:
    """Of each eval picture: by how many stops it is darkened, and whether the float model and the
    artefact are right, and agree."""

    stops: Array
    right: Array
    still_right: Array
    agreeing: Array


def by_stop(answered: Answered) -> list[tuple[str, int, float, float, float]]:
    """A row a whole stop, and one of all: pictures, top-1 of float and artefact, agreement."""
    parts = {
        f"{stop} to {stop + 1}": np.floor(answered.stops) == stop
        for stop in range(int(answered.stops.max()) + 1)
    }
    parts["all"] = np.ones(len(answered.stops), bool)
    return [
        (
            name,
            int(mine.sum()),
            float(answered.right[mine].mean()),
            float(answered.still_right[mine].mean()),
            float(answered.agreeing[mine].mean()),
        )
        for name, mine in parts.items()
        if mine.any()
    ]


def answer(run: Path) -> Answered:
    """Run both models of a run folder on all eval pictures of its recipe."""
    import json

    from edgekit.data import open_dataset
    from edgekit.data.idx_dataset import IdxDataset
    from edgekit.recipe import load_recipe
    from edgekit.runtimes import open_session
    from edgekit.runtimes.predict import predict
    from edgekit.types import Role

    report = run / "report.json"
    if not report.is_file():
        raise click.ClickException(f"{run} is no run folder: it has no report.json")
    name = json.loads(report.read_text(encoding="utf-8"))["recipe"]
    recipe = load_recipe(name)
    data = open_dataset(
        recipe.evaluate.dataset,
        role=Role.EVAL,
        preprocess=recipe.preprocess,
        inputs=recipe.model.inputs,
        samples=None,
    )
    assert isinstance(data, IdxDataset), "only pictures of IDX files are darkened"
    classes = []
    for file in ("model.float.tflite", "model.tflite"):
        with open_session(run / file) as session:
            found = predict(session, data)
        classes.append(found.outputs[recipe.model.outputs[0]].reshape(len(data), -1).argmax(1))
    before, after = classes
    stops = np.array([data.stops_below(index) for index in range(len(data))])
    return Answered(stops, before == found.labels, after == found.labels, before == after)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def main(runs: tuple[Path, ...]) -> None:
    """Print a table of each of the run folders RUNS."""
    for run in runs:
        table = Table("stops", "pictures", "top-1 float", "top-1", "agreement", title=run.name)
        for name, count, right, still_right, agreeing in by_stop(answer(run)):
            table.add_row(
                name, f"{count:,}", *(f"{share:.2%}" for share in (right, still_right, agreeing))
            )
        new_console().print(table)


if __name__ == "__main__":
    main()
