"""``edgekit doctor``: the facts from metadata, and what is shown and returned for them."""

from __future__ import annotations

import configparser
import dataclasses
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from edgekit import doctor
from edgekit.cli.main import main
from edgekit.doctor import (
    CacheFact,
    ClientFact,
    DeepFact,
    Diagnosis,
    PackageFact,
    cache_fact,
    client_facts,
    deep_facts,
    expand_extra,
    package_facts,
)
from edgekit.environments.state import EnvironmentFact

REQUIRES = (
    "click<9,>=8.2",
    'old-thing>=1; python_version < "3"',
    'torch<2.15,>=2.10; extra == "torch"',
    'ai-edge-litert<2.4,>=2.3; extra == "torch"',
    'ai_edge_litert<2.4,>=2.3; extra == "tensorflow"',
    'onnx>=1.18; python_version >= "3.11" and extra == "onnx"',
    'edgekit[report,torch]; extra == "demo"',
    'pillow-heif>=1; extra == "report"',
)


def facts(**installed: str) -> dict[str, PackageFact]:
    versions = {name.replace("_", "-"): version for name, version in installed.items()}
    return {fact.name: fact for fact in package_facts(REQUIRES, versions.get)}


def diagnosis(
    *packages: PackageFact,
    clients: tuple[ClientFact, ...] = (),
    writable: bool = True,
    deep: tuple[DeepFact, ...] = (),
) -> Diagnosis:
    return Diagnosis(
        edgekit="0.1.0",
        python="3.11.7",
        executable="python",
        platform="Linux",
        cores=2,
        packages=packages,
        clients=clients,
        cache=CacheFact("cache", 1_500_000, writable),
        main_extras=("core", "torch"),
        deep=deep,
    )


def test_packages_come_from_the_metadata_once_each() -> None:
    found = facts(click="8.5.1", torch="2.13.0+cpu", ai_edge_litert="2.1.0")
    assert set(found) == {"click", "torch", "ai-edge-litert", "onnx", "pillow-heif"}
    assert found["click"] == PackageFact(
        "click", ("core",), ">=8.2,<9", "8.5.1", "ok", "pip install 'click>=8.2,<9'"
    )
    assert found["torch"].status == "ok"
    assert found["torch"].supported == ">=2.10,<2.15"
    assert found["ai-edge-litert"].status == "outside"
    assert found["ai-edge-litert"].extras == ("torch", "tensorflow")
    assert found["onnx"].status == "missing"
    assert found["onnx"].install == "pip install 'edgekit[onnx]'"


@pytest.mark.parametrize(
    ("version", "status"),
    [("2.10", "ok"), ("2.9.1", "outside"), ("2.15.0", "outside"), ("2.14.0rc1", "ok")],
)
def test_status_is_the_specifiers_word(version: str, status: str) -> None:
    assert facts(torch=version)["torch"].status == status


def test_a_version_that_is_none_is_outside() -> None:
    assert facts(torch="a build of mine")["torch"].status == "outside"


def test_an_extra_made_of_extras_is_expanded() -> None:
    assert expand_extra("demo", REQUIRES) == {"demo", "torch", "report"}
    assert expand_extra("onnx", REQUIRES) == {"onnx"}


def test_only_what_the_main_job_needs_is_an_obstacle() -> None:
    found = facts(click="8.5.1", torch="2.13.0", ai_edge_litert="2.3.0")
    assert found["onnx"].status == "missing"
    fine = diagnosis(*found.values())
    assert fine.obstacles == ()
    assert fine.exit_code == 0

    found = facts(click="8.5.1", torch="2.5.0")
    lame = diagnosis(*found.values())
    assert [obstacle.what for obstacle in lame.obstacles] == [
        "ai-edge-litert is missing",
        "torch 2.5.0 is outside >=2.10,<2.15",
    ]
    assert {obstacle.mend for obstacle in lame.obstacles} == {"pip install 'edgekit[torch]'"}
    assert lame.exit_code == 4


def test_a_required_client_a_locked_cache_and_a_broken_package_are_obstacles() -> None:
    torch = facts(torch="2.13.0")["torch"]
    lame = diagnosis(
        torch,
        clients=(
            ClientFact("pip", None, "pypi:// sources", "python -m ensurepip", True),
            ClientFact("adb", None, "measuring on a phone", "apt-get install adb", False),
        ),
        writable=False,
        deep=(DeepFact("torch", False, 0.1, "ImportError: libtorch"),),
    )
    assert [obstacle.what for obstacle in lame.obstacles] == [
        "torch does not run: ImportError: libtorch",
        "pip is missing",
        "the cache folder cache cannot be written",
    ]


def test_clients_are_looked_up_on_the_path() -> None:
    found = {fact.name: fact for fact in client_facts({"npm": "/bin/npm"}.get)}
    assert found["npm"].path == "/bin/npm"
    assert found["adb"].path is None
    assert found["adb"].install == "apt-get install adb"
    assert [name for name, fact in found.items() if fact.required] == ["pip"]


def test_the_cache_is_sized_and_need_not_exist(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 1000)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 500)
    assert cache_fact(tmp_path) == CacheFact(str(tmp_path), 1500, True)
    absent = tmp_path / "not" / "yet"
    assert cache_fact(absent) == CacheFact(str(absent), 0, True)
    blocked = tmp_path / "a" / "one" / "cache"
    assert cache_fact(blocked) == CacheFact(str(blocked), 0, False)


def test_deep_runs_installed_packages_in_children(monkeypatch: pytest.MonkeyPatch) -> None:
    present = facts(torch="2.13.0", click="8.5", onnx="1.2", ai_edge_litert="2.3").values()
    monkeypatch.setattr(doctor, "DEEP_TIMEOUT_S", 3)
    programs = {
        "torch": "print('engines', 'x86')",
        "onnx": "raise ImportError('no such symbol')",
        "click": "import os; os._exit(139)",
        "ai-edge-litert": "import time; time.sleep(60)",
        "pillow-heif": "raise SystemExit('is not installed: never run')",
    }
    ran = {f.name: (f.ran, f.why, f.said) for f in deep_facts(present, programs)}
    assert ran == {
        "torch": (True, None, "engines x86"),
        "onnx": (False, "ImportError: no such symbol", ""),
        "click": (False, "exit code 139", ""),
        "ai-edge-litert": (False, "no answer in 3 s", ""),
    }


def test_torchs_deprecations_are_told_where_torch_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES)
    versions = {"edgekit": "0.1.0", "torch": "2.13.0"}
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name) or absent(name))
    main(["doctor"])
    assert "note: PyTorch deprecates FX graph mode" in capsys.readouterr().out
    del versions["torch"]
    main(["doctor"])
    assert "FX" not in capsys.readouterr().out


def absent(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


def test_every_plain_extra_says_what_it_is_for(repository: Path) -> None:
    parsed = configparser.ConfigParser()
    parsed.read(repository / "setup.cfg", encoding="utf-8")
    extras = parsed["options.extras_require"]
    plain = {
        name
        for name, block in extras.items()
        if any(line and not line.startswith("edgekit[") for line in block.split("\n"))
    }
    assert set(doctor.FEATURES) == plain | {"core"}
    assert doctor.MAIN_EXTRA in extras


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program sees a machine without torch's companions."""
    packages = tuple(facts(click="8.5.1", torch="2.5.0").values())
    monkeypatch.setattr(doctor, "diagnose", lambda *, deep: diagnosis(*packages))


@pytest.mark.usefixtures("shown")
def test_the_table_goes_to_stdout_and_the_way_out_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor"]) == 4
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert ["torch", "2.5.0", "outside", ">=2.10,<2.15", "torch"] in rows
    assert ["onnx", "-", "missing", ">=1.18", "onnx"] in rows
    assert "pip install 'edgekit[onnx]'   for ONNX models" in out
    assert "cache: cache, 1.5 MB" in out
    assert err == (
        "error: shipped recipes cannot run here: ai-edge-litert is missing, "
        "pillow-heif is missing, torch 2.5.0 is outside >=2.10,<2.15\n"
        "  pip install 'edgekit[torch]'\n"
    ).replace("pillow-heif is missing, ", "")


def test_isolated_environments_are_shown_and_are_no_obstacle(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environments = (
        EnvironmentFact("one", "a tool 1.0", "ready", 1_200_000_000, "/x", None, "setup one"),
        EnvironmentFact("two", "a tool 2.0", "damaged", 9_000_000, "/y", "gone: z", "setup two"),
        EnvironmentFact("three", "a tool 3.0", "not set up", 2_400_000_000, None, None, "setup 3"),
    )
    found = dataclasses.replace(diagnosis(), environments=environments)
    monkeypatch.setattr(doctor, "diagnose", lambda *, deep: found)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    table = out[out.index("isolated environment") : out.index("cache:")]
    assert [" ".join(line.split()) for line in table.splitlines() if line] == [
        "isolated environment state size holds",
        "one ready 1.2 GB a tool 1.0",
        "two damaged, gone: z 0.0 GB a tool 2.0",
        "three not set up about 2.4 GB a tool 3.0",
        "setup two",
        "setup 3",
    ]
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["environments"]
    assert [fact["state"] for fact in told] == ["ready", "damaged", "not set up"]


@pytest.mark.usefixtures("shown")
def test_json_holds_the_facts_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["obstacles"][0] == {
        "what": "ai-edge-litert is missing",
        "mend": "pip install 'edgekit[torch]'",
    }
    assert {package["name"] for package in told["packages"]} >= {"click", "torch"}


@pytest.mark.usefixtures("shown")
def test_a_narrow_table_keeps_names_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["doctor"]) == 4
    table = capsys.readouterr().out.split("pip install")[0]
    assert "ai-edge-litert" in table
    assert max(map(len, table.splitlines())) <= 40


def test_without_metadata_the_way_out_is_an_installation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert main(["doctor"]) == 4
    assert "pip install -e ." in capsys.readouterr().err


@pytest.mark.slow
def test_this_environment_really_runs(tmp_path: Path) -> None:
    """Imports and runs every heavy package that is installed here."""
    pytest.importorskip("torch")
    if doctor.installed_version("edgekit") is None:
        pytest.skip("edgekit is not installed here")
    child = subprocess.run(
        [sys.executable, "-m", "edgekit", "doctor", "--deep", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ},
    )
    assert child.returncode == 0, child.stderr
    ran = {fact["name"]: fact for fact in json.loads(child.stdout)["deep"]}
    assert {"torch", "ai-edge-litert", "ai-edge-quantizer", "litert-torch"} <= set(ran)
    assert [fact["why"] for fact in ran.values() if not fact["ran"]] == []
