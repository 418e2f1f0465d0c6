"""``edgekit export-android``: a run's model and all that belongs to it, into an Android project."""

from __future__ import annotations

import json
from pathlib import Path

import click

EPILOG = """\b
Examples:
  edgekit export-android runs/mobilenet_int8/20260101T120000Z-1a2b3c4
  edgekit export-android RUN_DIR --to ~/MyApp --package com.example.model
  edgekit export-android RUN_DIR --to ~/MyApp --module mobile --pictures photos/

\b
Written into the module:
  src/main/assets/edgekit/    model, float model, labels, contract, report
  src/main/kotlin/            ModelContract.kt: the preprocessing, to be read;
                              edgekit's Kotlin core, where the project has none
  src/test/                   golden vectors, and a unit test that computes
                              them again: ./gradlew test
  edgekit-export.json         what was written, for the next export"""


@click.command(name="export-android", epilog=EPILOG)
@click.argument("run", metavar="RUN_DIR", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "project",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Android project. [default: android_demo, where there is one]",
)
@click.option("--module", default="app", show_default=True, help="The app's module in it.")
@click.option(
    "--package",
    default="dev.edgekit.model",
    show_default=True,
    help="Kotlin package of what is generated.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Class names, one a line or as JSON. [default: the run's]",
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Make golden vectors from these. [default: eight small ones, drawn]",
)
@click.option("--no-float", is_flag=True, help="Leave the float model out.")
@click.option("--force", is_flag=True, help="Replace files that no export wrote.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no notes.")
def export_android(
    run: Path,
    project: Path | None,
    module: str,
    package: str,
    labels: Path | None,
    pictures: Path | None,
    no_float: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a run's model and what an app needs with it into an Android project.

    RUN_DIR is the folder of a run that made a .tflite which takes one picture and names its class.
    """
    from edgekit.android.export import export_android as export
    from edgekit.cli.console import make_progress
    from edgekit.cli.interrupt import CheckedProgress
    from edgekit.errors import UsageError

    if project is None:
        project = Path("android_demo")
        if not project.is_dir():
            raise UsageError("which Android project?", hint="Give its folder with --to DIR.")
    progress = CheckedProgress(make_progress(quiet))
    exported = export(
        run,
        project,
        module=module,
        package=package,
        labels=labels,
        pictures=pictures,
        with_float=not no_float,
        force=force,
        progress=progress,
    )
    if as_json:
        found = {
            "schema": 1,
            "module": str(exported.module),
            "files": [str(file.relative_to(exported.module)) for file in exported.files],
            "golden_vectors": exported.pictures,
            "core_copied": exported.core,
        }
        click.echo(json.dumps(found, indent=2))
        return
    if exported.core:
        progress.note(
            "the project has no edgekit core: copied into src/main/kotlin/dev/edgekit/core"
        )
    click.echo(
        f"{len(exported.files)} files written to {exported.module}, "
        f"golden vectors of {exported.pictures} pictures among them"
    )
