"""``edgekit report``: render a finished run again, from its files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.report.saved import Saved

EPILOG = """\b
Examples:
  edgekit report runs/mobilenet_int8/20260101T120000Z-1a2b3c4
  edgekit report RUN_DIR -o report.html
  edgekit report RUN_DIR --junit > junit.xml
  edgekit report --schema > report.schema.json

No model is run. The exit code is 0 whatever the verdict was: edgekit quantize gives that."""

_SUFFIXES = {
    ".html": "html",
    ".htm": "html",
    ".md": "md",
    ".markdown": "md",
    ".xml": "junit",
    ".json": "json",
}


@click.command(epilog=EPILOG)
@click.argument("run", required=False, type=click.Path(path_type=Path), metavar="RUN_DIR")
@click.option("--html", "form", flag_value="html", help="A page that opens offline.")
@click.option("--md", "form", flag_value="md", help="Markdown for a pull request. [default]")
@click.option("--junit", "form", flag_value="junit", help="JUnit XML, a test case a check.")
@click.option("--json", "form", flag_value="json", help="report.json itself, checked.")
@click.option("--schema", "form", flag_value="schema", help="The JSON Schema of report.json.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write there, not to stdout; the name's ending chooses the form too.",
)
def report(run: Path | None, form: str | None, output: Path | None) -> None:
    """Render a finished run again: HTML, Markdown, JUnit XML, JSON.

    RUN_DIR is the folder of a run, of any age, or its report.json.
    """
    from edgekit.report.page import check_place, write_text

    if output is not None:
        check_place(output)
    form = form or _form_of(output)
    if form == "schema":
        from edgekit.report.schema import schema_text

        text = schema_text("report")
    elif run is None:
        raise UsageError(
            "nothing to render: RUN_DIR is missing",
            hint="Give the folder of a run: edgekit report RUN_DIR",
        )
    else:
        from edgekit.report.saved import read_run

        text = _rendered(read_run(run), form)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(text, output)


def _form_of(output: Path | None) -> str:
    if output is None:
        return "md"
    form = _SUFFIXES.get(output.suffix.lower())
    if form is None:
        raise UsageError(
            f"{output} does not say in what form to write",
            hint="End its name in .html, .md, .xml or .json, or add --html, --md or --junit.",
        )
    return form


def _rendered(saved: Saved, form: str) -> str:
    if form == "html":
        from edgekit.report.html import html

        return html(saved.report, saved.evidence, saved.name)
    if form == "junit":
        from edgekit.report.junit import junit

        return junit(saved.report)
    if form == "json":
        return json.dumps(saved.report, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    from edgekit.report.markdown import markdown

    return markdown(saved.report, saved.name)
