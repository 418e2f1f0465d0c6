"""Data of one's own through a manifest of one's own: IDX files, and a table of texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit.cache import Cache, file_sha256
from tests import tflite_models as models
from tests.idx_files import pictures, write_idx
from tests.text_files import write_tokenizer
from tests.tiny_runs import write_model, write_recipe

IDX = """\
schema: 1
name: mine
idx:
  - images: {source: pictures.gz}
    labels: {source: labels}
    rows: {calibration: [0, 100], dev: [100, 150], eval: [150, 300]}
    licence: mine
"""
TEXTS = """\
schema: 1
name: mine
texts:
  - {source: reviews.tsv, text_column: 1, label: {column: 0}, licence: mine}
"""
NET = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(54, 16)
        self.head = torch.nn.Linear(16, 2)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask.unsqueeze(-1).float()
        return self.head((self.embed(input_ids) * mask).sum(1) / mask.sum(1).clamp(min=1))
"""


def run(home: Path, changes: dict[str, Any]) -> Any:
    """Report and contract of a run of the recipe with ``changes``."""
    recipe = write_recipe(home, {"gate": {"agreement_min": 0.8}}, changes)
    report = edgekit.quantize(str(recipe), out=home / "out", cache=Cache(home / "cache"))
    return report, json.loads((home / "out" / "contract.json").read_text(encoding="utf-8"))


def test_pictures_in_idx_files(tmp_path: Path) -> None:
    write_model(tmp_path)
    images = pictures(300, size=(4, 4, 3))
    write_idx(tmp_path / "pictures.gz", images)
    floats = (images / 127.5 - 1).astype(np.float32)
    answers = models.reference(floats, models.weights()).argmax(axis=1)
    write_idx(tmp_path / "labels", answers.astype(np.uint8))
    (tmp_path / "mine.yaml").write_text(IDX)
    report, contract = run(
        tmp_path,
        {
            "preprocess": {"kind": "image", "divisor": 127.5, "mean": 1},
            "calibration": {"dataset": "mine.yaml"},
            "evaluate": {"dataset": "mine.yaml"},
        },
    )
    assert report.exit_code == 0
    assert report.accuracy["top1"].float == 1.0  # labelled by the float network
    assert report.accuracy["top1"].n == 150
    assert report.data["calibration"]["samples"] == 40
    assert [step["op"] for step in contract["inputs"][0]["preprocess"]] == [
        "decode",
        "normalise",
        "layout",
    ]


def test_a_table_of_texts(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "mine.yaml").write_text(TEXTS)
    (tmp_path / "reviews.tsv").write_text(
        "".join(f"{row % 2}\tw{row % 50} w{row // 3 % 50} w{row // 7 % 50}\n" for row in range(200))
    )
    inputs = [
        {"name": name, "shape": [1, 8], "dtype": "int64"}
        for name in ("input_ids", "attention_mask")
    ]
    report, contract = run(
        tmp_path,
        {
            "model": {
                "framework": "pytorch",
                "file": None,
                "factory": "net.py:Net",
                "inputs": inputs,
            },
            "preprocess": {"kind": "text", "tokenizer": {"source": "tokenizer.json"}},
            "calibration": {"dataset": "mine.yaml"},
            "quantize": {"method": "dynamic"},
            "evaluate": {"dataset": "mine.yaml"},
        },
    )
    assert report.exit_code == 0
    assert report.accuracy["top1"].n == 60
    sha256 = file_sha256(tokenizer)
    for end, name in zip(contract["inputs"], ("input_ids", "attention_mask"), strict=True):
        assert end["name"] == name
        steps = {step["op"]: step for step in end["preprocess"]}
        assert steps["tokenize"]["tokenizer"] == {"file": "tokenizer.json", "sha256": sha256}
        assert steps["truncate"]["to"] == 6
        assert steps["pad"]["length"] == 8
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"]["tokenizer"]["sha256"] == sha256
    assert not (tmp_path / "out" / "tokenizer.json").exists()
