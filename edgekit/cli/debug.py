"""``edgekit debug``: where a quantized model loses accuracy, layer by layer."""

from __future__ import annotations

import json
from pathlib import Path

import click

EPILOG = """\b
Examples:
  edgekit debug runs/mobilenet_int8/20260101T120000Z-1a2b3c4
  edgekit debug RUN_DIR --all --html layers.html
  edgekit debug model.tflite --float model.float.tflite --recipe my_recipe.yaml

own dB: SQNR of the noise that arises in the layer itself, by which layers are ranked.
SQNR dB: of all the noise at the layer's output, what arrived there included.
There is no verdict: exit code 0 whatever is found."""


@click.command(epilog=EPILOG)
@click.argument("model", type=click.Path(path_type=Path), metavar="RUN_DIR|MODEL.tflite")
@click.option(
    "--float",
    "reference",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The float .tflite. [default: the run's]",
)
@click.option(
    "-r",
    "--recipe",
    help="Shipped recipe, or path of a recipe file, for its data. [default: the run's]",
)
@click.option("--samples", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--all", "everything", is_flag=True, help="Every layer, not the worst 15.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page with a plot along the graph and every layer.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no notes.")
def debug(
    model: Path,
    reference: Path | None,
    recipe: str | None,
    samples: int,
    everything: bool,
    html: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show where a quantized model loses accuracy, layer by layer.

    Give the folder of a run, or a MODEL.tflite with --float and --recipe. Both models run on the
    recipe's dev samples, and every layer is held against its float twin; the samples of the
    verdict stay unseen.
    """
    from edgekit.cli.console import make_progress, stdout_console
    from edgekit.cli.interrupt import CheckedProgress
    from edgekit.debug import debug_layers
    from edgekit.report.layers_html import page
    from edgekit.report.page import check_place, write_text

    if html is not None:
        check_place(html)
    progress = CheckedProgress(make_progress(quiet))
    report = debug_layers(
        model, reference=reference, recipe=recipe, samples=samples, progress=progress
    )
    if html is not None:
        write_text(page(report), html)
        progress.note(f"written: {html}")
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        from edgekit.report.layers_terminal import print_layers

        print_layers(report, stdout_console(), everything=everything)
