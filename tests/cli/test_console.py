"""What is drawn on which stream: bars on a terminal, plain lines elsewhere, warnings always."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.cli.terminal import CONTROL, run_on_terminal

WORK = """
import sys, time
from edgekit.cli import console
from edgekit.progress import track

console.BAR_DELAY_S = 0.1
progress = console.make_progress(quiet={quiet})
progress.note("float graph from the cache")
with progress.task("too short to see", 3) as task:
    task.advance(3)
with progress.task("calibrating on one hundred representative samples", 40) as task:
    for step in track(range(40), task):
        time.sleep({pause})
        if step == 30:
            progress.warn("two images are [bold]equal[/]")
print("result")
"""


def work(*, quiet: bool = False, pause: float = 0.02) -> str:
    return WORK.format(quiet=quiet, pause=pause)


def test_without_a_terminal_notes_and_warnings_are_plain_lines() -> None:
    child = subprocess.run(
        [sys.executable, "-c", work(pause=0.005)], capture_output=True, text=True, check=True
    )
    assert child.stdout == "result\n"
    assert child.stderr == (
        "note: float graph from the cache\nwarning: two images are [bold]equal[/]\n"
    )


def test_quiet_keeps_warnings_only() -> None:
    ran = run_on_terminal(work(quiet=True), env={"NO_COLOR": "1"})
    assert ran.stdout == "result\n"
    assert ran.drawn == "warning: two images are [bold]equal[/]\r\n"


def test_a_terminal_gets_a_bar_that_does_not_stay() -> None:
    ran = run_on_terminal(work())
    assert ran.code == 0
    assert ran.stdout == "result\n"
    assert "━" in ran.drawn
    assert "/40" in ran.words
    assert "two images are [bold]equal[/]" in ran.words
    assert "too short" not in ran.words
    last = ran.drawn[ran.drawn.rindex("\x1b[2K") :]
    assert "━" not in last
    assert "done: calibrating on one hundred representative samples, " in CONTROL.sub("", last)
    assert ran.drawn.count("\x1b[?25l") == ran.drawn.count("\x1b[?25h")  # the cursor is back


def test_a_narrow_terminal_gets_a_count_that_fits() -> None:
    ran = run_on_terminal(work(), columns=40)
    assert "━" not in ran.drawn
    assert "/40" in ran.words
    drawn_lines = [line for line in ran.words.replace("\r", "\n").split("\n") if "/40" in line]
    assert drawn_lines
    assert max(map(len, drawn_lines)) <= 40


def test_no_color_has_bars_but_no_colours() -> None:
    ran = run_on_terminal(work(), env={"NO_COLOR": "1"})
    assert "━" in ran.drawn
    for code in CONTROL.findall(ran.drawn):
        if code.endswith("m"):
            parameters = {int(part) for part in code[2:-1].split(";") if part}
            assert not parameters & {*range(30, 50), *range(90, 108)}, code


def test_a_dumb_terminal_gets_no_control_codes() -> None:
    ran = run_on_terminal(work(pause=0.005), env={"TERM": "dumb"})
    assert not CONTROL.search(ran.drawn)
    assert ran.drawn.replace("\r\n", "\n") == (
        "note: float graph from the cache\nwarning: two images are [bold]equal[/]\n"
    )


def test_ctrl_c_leaves_a_clean_line() -> None:
    program = (
        "import sys, types, click\nfrom edgekit.cli import main as program\n"
        "@click.command()\ndef act():\n"
        + "".join(f"    {line}\n" for line in work(pause=0.2).splitlines())
        + "module = types.ModuleType('act_verb'); module.act = act\n"
        "sys.modules['act_verb'] = module\n"
        "program.VERBS['act'] = ('act_verb:act', '')\n"
        "sys.exit(program.main(['act']))\n"
    )
    ran = run_on_terminal(program, interrupt_when="/40")
    assert ran.code == 130
    assert ran.stdout == ""
    last = ran.drawn[ran.drawn.rindex("\x1b[2K") :]
    assert CONTROL.sub("", last).lstrip("\r\n") == "interrupted\r\n"
    assert ran.drawn.count("\x1b[?25l") == ran.drawn.count("\x1b[?25h")


def test_notes_import_no_rich() -> None:
    program = (
        "import sys; from edgekit.cli.console import make_progress\n"
        "p = make_progress(False); p.note('x')\n"
        "with p.task('short') as t: t.advance()\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] == 'rich'))"
    )
    assert run_on_terminal(program).stdout == "[]\n"


def test_a_result_in_a_pipe_is_wide_and_has_no_codes() -> None:
    program = (
        "from edgekit.cli.console import stdout_console\n"
        "c = stdout_console(); c.print('[red]a[/] ' + 'b' * 100, style='red')"
    )
    env = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "FORCE_COLOR"}}
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    assert child.stdout == "[red]a[/] " + "b" * 100 + "\n"
