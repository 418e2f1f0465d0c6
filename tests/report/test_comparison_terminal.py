"""What a person sees of two files: data/comparison_<columns>.txt.

After a change of wording, ``EDGEKIT_WRITE_TRANSCRIPTS=1 pytest tests/report`` rewrites the files;
read their diff.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgekit.measure.latency import HostLatency, PairTimes
from edgekit.measure.measurements import NotMeasured
from edgekit.numerics.fidelity import Fidelity, OutputFidelity
from edgekit.report.comparison import Comparison
from edgekit.report.comparison_terminal import print_comparison
from edgekit.types import TensorInfo
from tests.report.inspection_sample import INSPECTION, operator
from tests.report.layers_sample import REPORT

DATA = Path(__file__).parent / "data"
FLOAT_FILE = replace(
    INSPECTION.file,
    inputs=(TensorInfo("image", (-1, 224, 224, 3), "float32"),),
    operators=(operator("CONV_2D", "stem/conv", "float", "image", macs=10_838_016),),
    facts=replace(INSPECTION.file.facts, ops=1, int8_mac_fraction=0.0, transposes=0),
)
TIMES = PairTimes(np.full((2, 1), 2.0), np.full((2, 1), 1.0))
COMPARISON = Comparison(
    a=replace(
        INSPECTION, path=Path("float.tflite"), kind="float32", size_bytes=9_000_000, file=FLOAT_FILE
    ),
    b=INSPECTION,
    samples="16 dev samples of photos",
    real=True,
    fidelity=Fidelity(
        16, 0.9375, 23.4, 0.97, {"logits": OutputFidelity(23.4, 0.97, 0.99771)}
    ),
    latency=HostLatency(
        2.0, 1.0, 2.2, 1.1, 2.0, 1.6, 2.5,
        float_engine="litert 2.3", quantized_engine="litert 2.3", reference_only=False,
        caveat=None, threads=1, rounds=2, runs_per_round=1, float_warm_up_runs=3,
        quantized_warm_up_runs=3, raw=TIMES,
    ),
    layers=REPORT.errors,
)  # fmt: skip


def printed(found: Comparison, columns: int) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, width=columns, highlight=False, markup=False, emoji=False, _environ={}
    )
    print_comparison(found, console)
    return stream.getvalue()


@pytest.mark.parametrize("columns", [40, 120])
def test_transcript(columns: int) -> None:
    text = printed(COMPARISON, columns)
    expected = DATA / f"comparison_{columns}.txt"
    if os.environ.get("EDGEKIT_WRITE_TRANSCRIPTS"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")


def test_the_ratio_of_times_is_of_b_to_a_with_its_interval() -> None:
    assert "B takes 0.50 x the time of A, 95 % interval 0.40 to 0.62" in printed(COMPARISON, 120)
    latency = COMPARISON.to_dict()["latency"]
    assert (latency["ratio"], latency["ci_low"], latency["ci_high"]) == (0.5, 0.4, 0.625)


def test_what_was_not_measured_says_why() -> None:
    why = NotMeasured("another network")
    text = printed(replace(COMPARISON, fidelity=why, latency=why, layers=why), 120)
    for what in ("outputs", "latency", "layers"):
        assert f"{what} not compared: another network" in text
