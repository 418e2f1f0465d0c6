"""Print the table of all peers on a recipe's model.

``python -m benchmarks.peers --recipe all --crops other --json peers.json --plot peers.svg``
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.context import circumstances, conclude, headline, new_console, say
from benchmarks.fidelity import AGREEMENT
from benchmarks.figure import render
from benchmarks.peers.measure import Row, float_rows, make_row, measured
from benchmarks.peers.plot import plot
from benchmarks.peers.rows import PEERS, TOOLS
from benchmarks.peers.table import figures, main_table, other_table, remarks
from benchmarks.peers.work import prepare
from edgekit.errors import EdgekitError
from edgekit.measure.host import this_host
from edgekit.progress import SilentProgress

LIBRARIES = ("torch", "ai-edge-litert", "ai-edge-quantizer", "onnxruntime", "numpy", "pillow")


@click.command()
@click.option(
    "--recipe",
    type=click.Choice([*AGREEMENT, "all"]),
    default="all",
    show_default=True,
    help="On whose model.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    nargs=2,
    default=(100, 400),
    show_default=True,
    metavar="CALIBRATION EVALUATION",
    help="How many crops to calibrate on and to evaluate on.",
)
@click.option(
    "--crops",
    type=click.Choice(["eval", "other"]),
    default="eval",
    show_default=True,
    help="other: also crops of another seed, and of photos that nobody tuned with.",
)
@click.option(
    "--skip", type=click.Choice(TOOLS), multiple=True, help="Leave this tool out; repeatable."
)
@click.option(
    "--rounds",
    type=click.IntRange(min=2),
    default=30,
    show_default=True,
    help="Rounds of latency, in which all files take turns.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write all figures here."
)
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Write an SVG here.")
def main(
    recipe: str,
    samples: tuple[int, int],
    crops: str,
    skip: tuple[str, ...],
    rounds: int,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    """edgekit beside other quantizers; the exit code is 0 whatever is missed or not to be had."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as edgekit sets it, before torch comes
    command = f"python -m benchmarks.peers --recipe {recipe} --samples {samples[0]} {samples[1]}"
    command += f" --crops {crops} --rounds {rounds}" + "".join(f" --skip {each}" for each in skip)
    context = circumstances(command, this_host(), LIBRARIES)
    console = new_console()
    click.echo(headline(context))
    told, found, models = {}, [], {}
    for name in AGREEMENT if recipe == "all" else [recipe]:
        with TemporaryDirectory() as folder:
            try:
                rows = _rows(name, samples, skip, rounds, Path(folder), other=crops == "other")
            except EdgekitError as error:
                raise click.ClickException(f"{name}: {error.message}") from error
            click.echo(f"\n{name}\n\n{main_table(rows)}\n")
            if crops == "other":
                click.echo(f"{other_table(rows)}\n")
            for remark in remarks(rows):
                click.echo(remark)
            told[name] = [row.to_dict() for row in rows]
            found += figures(name, rows)
        models[name] = rows
    if found:
        console.print(render(found))
    if plot_file is not None:
        caption = (
            f"INT8 against the float model, {samples[0]} crops to calibrate, "
            f"{samples[1]} to evaluate"
        )
        plot_file.write_text(plot(models, caption), encoding="utf-8")
    conclude(console, {**context, "models": told}, found, json_file)


def _rows(
    recipe: str,
    samples: tuple[int, int],
    skip: tuple[str, ...],
    rounds: int,
    folder: Path,
    *,
    other: bool,
) -> list[Row]:
    progress = SilentProgress()
    say(f"{recipe}: the float models and the reference answers")
    work = prepare(recipe, samples, folder, progress, other=other)
    rows = float_rows(work)
    for number, peer in enumerate(PEERS):
        if peer.tool not in skip:
            say(f"{recipe}: {peer.name}")
            rows.append(make_row(peer, work, folder / str(number)))
    say(f"{recipe}: answers and latency")
    return measured(rows, work, rounds)


if __name__ == "__main__":
    main()
