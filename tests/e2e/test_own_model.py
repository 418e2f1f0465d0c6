"""From a model file of one's own to a verdict, in two commands or in one."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch

from tests.cli.commands import edgekit
from tests.e2e.torch_project import module, write_project


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_project(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_an_exported_program(home: Path) -> None:
    example = (torch.zeros(1, 3, 16, 16),)
    torch.export.save(torch.export.export(module(), example), home / "net.pt2")
    made = edgekit("init", "net.pt2", "--data", "photos", "--normalize", "signed", cwd=home)
    assert made.code == 0, made
    _, *arguments = shlex.split(made.stdout)
    ran = edgekit(*arguments, "--set", "gate.agreement_min=0.5", "--out", "out", "--json", cwd=home)
    assert ran.code == 0, ran
    report = json.loads(ran.stdout)
    assert report["bridges"][0]["bridge"] == "litert_torch"
    assert report["bridges"][0]["outputs"][0]["sqnr_db"] > 60
    assert report["fidelity"]["sqnr_db"] > 20
    contract = json.loads((home / "out" / "contract.json").read_text(encoding="utf-8"))
    assert contract["inputs"][0]["shape"] == [1, 16, 16, 3]


@pytest.mark.slow
def test_torchscript(home: Path) -> None:
    torch.jit.trace(module(), torch.zeros(1, 3, 16, 16)).save(str(home / "net.ts"))
    ran = edgekit(
        *("quantize", "net.ts", "--input-shape", "1,3,16,16", "--data", "photos"),
        *("--normalize", "signed", "--set", "gate.agreement_min=0.5", "--out", "out", "--json"),
        cwd=home,
    )
    assert ran.code == 0, ran
    assert "assumed: input image [1, 3, 16, 16] is NCHW, by its channels" in ran.stderr
    assert json.loads(ran.stdout)["fidelity"]["sqnr_db"] > 20
