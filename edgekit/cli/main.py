"""The ``edgekit`` program: finds the verb, runs it, turns what escapes into an exit code.

A verb's module is imported only when the verb is used: ``edgekit --help`` reads the table below.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from edgekit.cli import interrupt
from edgekit.version import __version__

VERBS = {
    "quantize": (
        "edgekit.cli.quantize:quantize",
        "Quantize a model, measure what that cost and gained, and judge it.",
    ),
    "gate": (
        "edgekit.cli.gate:gate",
        "Judge a model file that is there already, whoever made it.",
    ),
    "inspect": (
        "edgekit.cli.inspect:inspect",
        "Show what a model FILE (.tflite, .onnx, .pt2) really is.",
    ),
    "compare": (
        "edgekit.cli.compare:compare",
        "Compare model file B with A: sizes, operators, ends, answers, speed, layers.",
    ),
    "report": (
        "edgekit.cli.report:report",
        "Render a finished run again: HTML, Markdown, JUnit XML, JSON.",
    ),
    "debug": (
        "edgekit.cli.debug:debug",
        "Show where a quantized model loses accuracy, layer by layer.",
    ),
    "bench": (
        "edgekit.cli.bench:bench",
        "Time MODEL on this machine or on phones, and say what really executed it.",
    ),
    "export-android": (
        "edgekit.cli.export_android:export_android",
        "Write a run's model and what an app needs with it into an Android project.",
    ),
    "init": (
        "edgekit.cli.init:init",
        "Look into MODEL and write a commented recipe for it.",
    ),
    "recipes": (
        "edgekit.cli.recipes:recipes",
        "List, show and validate recipes.",
    ),
    "bridge": (
        "edgekit.cli.bridge:bridge",
        "Show, set up, remove and run the bridges between frameworks.",
    ),
    "doctor": (
        "edgekit.cli.doctor:doctor",
        "Show what is installed, and how to get what is missing.",
    ),
}
"""Verb -> where its click command is, and its line in the help. In order of first use."""

EPILOG = """\b
Exit codes: 0 passed, 1 a check failed, 2 wrong usage, 3 inconclusive,
4 something needed is missing, 70 a mistake of edgekit's, 130 stopped."""


class LazyGroup(click.Group):
    """A group that imports a verb's module when the verb is called, not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        from importlib import import_module

        module, _, attribute = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            from difflib import get_close_matches

            from edgekit.errors import UsageError

            near = get_close_matches(name, VERBS, n=1, cutoff=0.5)
            known = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(VERBS)}"
            raise UsageError(f"no command '{name}'", hint=known)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="edgekit", message="%(prog)s %(version)s")
def cli() -> None:
    """Make a trained model ready for a phone or an edge board, and prove it.

    Start with: edgekit quantize --recipe mobilenet_int8
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: ``sys.argv[1:]``) and return its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        interrupt.install()
        code = _run(args)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every error is rendered here
        from edgekit.cli.failure import render

        interrupt.settle()
        return render(KeyboardInterrupt() if interrupt.stopped() else error, args)


def _run(args: list[str]) -> int:
    """Parse and invoke; a verb returns its exit code or ``None`` for 0."""
    if "_EDGEKIT_COMPLETE" in os.environ:
        cli.main(args, prog_name="edgekit")
    if not args:
        # Exit 2, not 0: a script whose arguments came out empty must not look like a pass.
        click.echo(cli.get_help(click.Context(cli, info_name="edgekit")), err=True)
        return 2
    try:
        with cli.make_context("edgekit", args) as ctx:
            result: Any = cli.invoke(ctx)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except SystemExit as error:  # no verb ends so: it is the user's code, deep in a framework
        from edgekit.sources.factory import exit_told

        raise exit_told(error, "the model's own code") from error
    return result if isinstance(result, int) else 0
