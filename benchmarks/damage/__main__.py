"""Judge damaged and undamaged artefacts, and print the tables of docs/damage.md.

``python -m benchmarks.damage RUN_DIR --json damage.json --plot docs/damage.svg``, RUN_DIR a run of
fashion_int8; ``--from damage.json`` prints and draws again what was measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from benchmarks.context import circumstances, headline, say
from benchmarks.damage.calibrations import CALIBRATIONS
from benchmarks.damage.files import DAMAGES
from benchmarks.damage.plot import plot
from benchmarks.damage.sweep import sweep
from benchmarks.damage.table import tables
from edgekit.measure.host import this_host

LIBRARIES = ("ai-edge-litert", "ai-edge-quantizer", "numpy")


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--undamaged",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many times the file is calibrated anew.",
)
@click.option("--only", multiple=True, type=click.Choice([*DAMAGES, *CALIBRATIONS]))
@click.option("--from", "measured", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write it all here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Write an SVG here.")
def main(
    run_dir: Path | None,
    seeds: int,
    undamaged: int,
    only: tuple[str, ...],
    measured: Path | None,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    """What the gate makes of damaged artefacts, and of undamaged ones."""
    if (run_dir is None) == (measured is None):
        raise click.UsageError("give either RUN_DIR or --from")
    if run_dir is not None:
        command = f"python -m benchmarks.damage {run_dir.name}"
        context = circumstances(command, this_host(), LIBRARIES)
        say(headline(context))
        names = only or (*DAMAGES, *CALIBRATIONS)

        def save(found: dict[str, Any]) -> None:
            if json_file is not None:
                content = json.dumps({**context, **found}, indent=1) + "\n"
                json_file.write_text(content, encoding="utf-8")

        found = sweep(run_dir.resolve(), seeds, undamaged, names, save)
    elif measured is not None:
        found = json.loads(measured.read_text(encoding="utf-8"))
    print(tables(found))
    if plot_file is not None:
        plot_file.write_text(plot(found), encoding="utf-8")


if __name__ == "__main__":
    main()
