"""What a person reads when a command fails, and the exit code that goes with it."""

from __future__ import annotations

import errno
import os
import select
import sys
from typing import TextIO

import click

from edgekit.cli.console import styled
from edgekit.errors import (
    EXIT_BUG,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    EdgekitError,
    RecipeError,
)

EXIT_BROKEN_PIPE = 128 + 13  # what a shell reports for SIGPIPE; 1 would read as a failed check
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def render(error: BaseException, args: list[str], stream: TextIO | None = None) -> int:
    """Write ``error`` to ``stream`` (default: stderr) and return the exit code."""
    out = sys.stderr if stream is None else stream
    match error:
        case KeyboardInterrupt():
            return _interrupted(out)
        case click.Abort():  # a question at a prompt was refused, or nobody is there to answer
            if sys.stdin is not None and sys.stdin.isatty():
                return _interrupted(out)
            _say(out, "a question needs an answer, and standard input has none")
            return EXIT_USAGE
        case EdgekitError():
            _edgekit_error(error, out)
            return error.exit_code
        case click.exceptions.NoArgsIsHelpError():
            print(error.format_message(), file=out)
            return EXIT_USAGE
        case click.ClickException():
            _click_error(error, out)
            return EXIT_USAGE
        case BrokenPipeError() if _reader_is_gone():
            _drop_stdout()
            return EXIT_BROKEN_PIPE
        case OSError() if error.errno in _NO_ROOM:
            if error.filename is None:
                _drop_stdout()
            _say(
                out, f"cannot write: {error.strerror}", f"in {error.filename or 'standard output'}"
            )
            return EXIT_USAGE
    _bug(error, args, out)
    return EXIT_BUG


def _say(out: TextIO, message: str, *details: str, label: str = "error:") -> None:
    lines = [f"{styled(label, out, fg='red', bold=True)} {message}"]
    lines += [f"  {line}" for detail in details for line in detail.splitlines()]
    print(*lines, sep="\n", file=out)


def _interrupted(out: TextIO) -> int:
    # On a terminal the line holds an echoed ^C; the word is longer and covers it.
    print("\rinterrupted" if out.isatty() else "interrupted", file=out)
    return EXIT_INTERRUPTED


def _edgekit_error(error: EdgekitError, out: TextIO) -> None:
    details = [f"in {error.where}"] if error.where is not None else []
    if isinstance(error, RecipeError):
        details += [_one_line(problem) for problem in error.problems]
    if error.hint is not None:
        details.append(error.hint)
    _say(out, error.message, *details)


def _one_line(problem: EdgekitError) -> str:
    text = problem.message if problem.where is None else f"{problem.where}: {problem.message}"
    return text if problem.hint is None else f"{text}; {' '.join(problem.hint.split())}"


def _click_error(error: click.ClickException, out: TextIO) -> None:
    message = error.format_message()
    details = []
    if isinstance(error, click.NoSuchOption):
        message = f"no option '{error.option_name}'"
        if error.possibilities:
            names = " or ".join(f"'{name}'" for name in sorted(error.possibilities))
            details.append(f"did you mean {names}?")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        details.append(f"see: {error.ctx.command_path} --help")
    _say(out, message, *details)


def _bug(error: BaseException, args: list[str], out: TextIO) -> None:
    import platform
    import shlex
    import traceback

    from edgekit.version import __version__

    traceback.print_exception(error, file=out)
    _say(
        out,
        "this is a mistake in edgekit, not in what you asked of it",
        "please report it with the traceback above and these lines:",
        f"edgekit {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {shlex.join(['edgekit', *args])}",
        label="bug:",
    )


def _reader_is_gone() -> bool:
    """Whether stdout is the broken pipe; a pipe to a child of ours would be another matter."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _drop_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot fail again."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
