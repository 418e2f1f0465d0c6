"""``edgekit compare``: two model files side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

EPILOG = """\b
Examples:
  edgekit compare model.float.tflite model.tflite --recipe mobilenet_int8
  edgekit compare model.onnx model.tflite --data inputs.npz
  edgekit compare old.tflite new.tflite --json > difference.json

Without --recipe or --data both models run on random numbers: that tells whether they
are one network, not how accurate they are.
There is no verdict: exit code 0 whatever is found, 2 if a file cannot be read."""


@click.command(epilog=EPILOG)
@click.argument("a", type=click.Path(path_type=Path), metavar="A")
@click.argument("b", type=click.Path(path_type=Path), metavar="B")
@click.option("-r", "--recipe", help="Shipped recipe, or path of one: run on its dev samples.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Another dataset for the recipe; alone, an .npy or .npz of model inputs.",
)
@click.option("--samples", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random inputs.")
@click.option("--latency/--no-latency", default=True, show_default=True, help="Time both models.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no notes.")
def compare(
    a: Path,
    b: Path,
    recipe: str | None,
    data: Path | None,
    samples: int,
    seed: int,
    latency: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare model file B with A: sizes, operators, ends, answers, speed, layers.

    Any two of .tflite, .onnx and .pt2; both may be of one format.
    """
    from edgekit.cli.console import make_progress, stdout_console
    from edgekit.cli.interrupt import CheckedProgress
    from edgekit.comparison import compare as hold_against

    found = hold_against(
        a,
        b,
        recipe=recipe,
        data=data,
        samples=samples,
        latency=latency,
        seed=seed,
        progress=CheckedProgress(make_progress(quiet)),
    )
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        from edgekit.report.comparison_terminal import print_comparison

        print_comparison(found, stdout_console())
