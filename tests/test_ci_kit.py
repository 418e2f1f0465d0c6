"""The CI kit: it parses, its scripts do what they say, and every command in it and in docs/ci.md
is one that edgekit has."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from edgekit.cli.main import VERBS

REPOSITORY = Path(__file__).parent.parent


def read(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))


def action_steps() -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in read("action.yml")["runs"]["steps"]}


def scripts() -> Iterator[tuple[str, str]]:
    """Every script of the kit, by where it stands."""
    for name, step in action_steps().items():
        if "run" in step:
            yield f"action.yml: {name}", step["run"]
    job = read("ci/gitlab/edgekit-gate.yml")[".edgekit-gate"]
    for key in ("before_script", "script"):
        yield f"edgekit-gate.yml: {key}", "\n".join(job[key])


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every ``edgekit`` command of the kit and its guide, split into words."""
    texts = dict(scripts())
    texts["hook"] = read(".pre-commit-hooks.yaml")[0]["entry"]
    guide = (REPOSITORY / "docs" / "ci.md").read_text(encoding="utf-8")
    texts["docs/ci.md"] = "\n".join(line for line in guide.splitlines() if line.startswith(" " * 4))
    for where, text in texts.items():
        for line in re.findall(r"^\s*(edgekit [a-z].*)$", text, re.MULTILINE):
            command = line.partition("||")[0]
            yield where, shlex.split(command)[1:]


SCRIPTS = dict(scripts())
COMMANDS = [(where, words) for where, words in commands() if words[0] in VERBS]


@pytest.mark.parametrize("where", SCRIPTS)
def test_a_script_parses(where: str) -> None:
    # The action asks for bash; an image of GitLab's may have sh alone.
    shell = "bash" if where.startswith("action.yml") else "sh"
    ran = subprocess.run([shell, "-n"], input=SCRIPTS[where], text=True, capture_output=True)
    assert ran.returncode == 0, ran.stderr


def test_no_input_is_pasted_into_a_script() -> None:
    for where, text in SCRIPTS.items():
        assert "${{" not in text, where
    for step in action_steps().values():
        assert ("run" in step) == (step.get("shell") == "bash")


def test_every_input_is_used_and_every_one_used_is_declared() -> None:
    text = (REPOSITORY / "action.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"inputs\.([\w-]+)", text))
    assert used == set(read("action.yml")["inputs"])


@pytest.mark.parametrize(("where", "words"), COMMANDS)
def test_every_option_is_one_that_edgekit_has(where: str, words: list[str]) -> None:
    module, _, attribute = VERBS[words[0]][0].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    rest = words[1:]
    if isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    for word in rest:
        if word.startswith("-"):
            assert word in known, (where, words)


def test_the_options_of_the_gate_are_known() -> None:
    known = {name for parameter in _gate().params for name in parameter.opts}
    for where, text in SCRIPTS.items():
        if "edgekit gate" in text:
            assert set(re.findall(r"(?<= |\()--[a-z]+", text)) - {"--"} <= known, where


def _gate() -> click.Command:
    module, _, attribute = VERBS["gate"][0].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command


# What the scripts do ----------------------------------------------------------------------------


def run_step(name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """One step as the runner does: ``bash -e -o pipefail``, with an ``edgekit`` of ours first."""
    fake = folder / "bin" / "edgekit"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@" > asked\nexit "$GATE_CODE"\n')
    fake.chmod(0o755)
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"],
        input=action_steps()[name]["run"],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{fake.parent}:{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "OUT": "out",
            **environment,
        },
        text=True,
        capture_output=True,
    )


@pytest.mark.parametrize("code", ["0", "1", "3", "4"])
def test_the_gate_leaves_its_code_and_the_steps_after_it_run(tmp_path: Path, code: str) -> None:
    given = {"MODEL": "my model.tflite", "RECIPE": "r.yaml", "BASELINE": "", "GATE_CODE": code}
    assert run_step("Gate", tmp_path, **given).returncode == 0
    assert (tmp_path / "output").read_text() == f"exit-code={code}\n"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["gate", "my model.tflite", "--recipe", "r.yaml", "--out", "out", "--force"]


def test_a_baseline_is_passed_on_where_there_is_one(tmp_path: Path) -> None:
    given = {"MODEL": "m", "RECIPE": "r", "BASELINE": "last one.json", "GATE_CODE": "0"}
    run_step("Gate", tmp_path, **given)
    assert (tmp_path / "asked").read_text().splitlines()[-2:] == ["--baseline", "last one.json"]


def test_the_summary_is_the_report_or_says_that_there_is_none(tmp_path: Path) -> None:
    run_step("Summary", tmp_path, CODE="4")
    assert "no verdict: exit code 4" in (tmp_path / "summary").read_text()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.md").write_text("## PASS\n")
    run_step("Summary", tmp_path, CODE="0")
    assert (tmp_path / "summary").read_text().endswith("## PASS\n")


@pytest.mark.parametrize(
    ("code", "allow", "left"),
    [("0", "false", 0), ("1", "true", 1), ("3", "false", 3), ("3", "true", 0), ("4", "true", 4)],
)
def test_the_job_ends_as_the_verdict_says(tmp_path: Path, code: str, allow: str, left: int) -> None:
    ran = run_step("Verdict", tmp_path, CODE=code, ALLOW_INCONCLUSIVE=allow)
    assert ran.returncode == left
    assert ("::warning" in ran.stdout) == (code == "3" and allow == "true")


def test_the_gitlab_job_publishes_what_the_gate_writes() -> None:
    job = read("ci/gitlab/edgekit-gate.yml")[".edgekit-gate"]
    (script,) = job["script"]
    assert "--out edgekit-gate" in script
    artifacts = job["artifacts"]
    assert (artifacts["when"], artifacts["paths"]) == ("always", ["edgekit-gate/"])
    assert artifacts["reports"]["junit"] == "edgekit-gate/junit.xml"


def test_the_hook_takes_recipes_and_no_other_yaml() -> None:
    (hook,) = read(".pre-commit-hooks.yaml")
    pattern = re.compile(hook["files"])
    for name in ("recipes/a.yaml", "model/recipes/b.yml"):
        assert pattern.search(name)
    for name in ("recipes/weights/a.yaml", "a.yaml", "my_recipes/a.yaml", "recipes/a.json"):
        assert not pattern.search(name)


def test_the_versions_of_the_kit_are_those_of_the_lock() -> None:
    pins = dict(
        line.split("==")
        for line in (REPOSITORY / "constraints.txt").read_text().split()
        if "==" in line
    )
    job = read("ci/gitlab/edgekit-gate.yml")[".edgekit-gate"]
    assert job["variables"]["EDGEKIT_TORCH"] == f"torch=={pins['torch']}"
