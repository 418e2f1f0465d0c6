"""MobileNetV2 by PyTorch's static methods: fidelity and size."""

from __future__ import annotations

from typing import Any

from benchmarks.direct import compare
from benchmarks.figure import Figure, Target
from benchmarks.torch_run import Direct

PT2E = {"pt2e": "torchao PT2E, defaults", "pt2e_per_channel": "torchao PT2E, per channel"}
FX = {"fx_x86": "FX default mapping, x86", "fx_onednn": "FX default mapping, onednn"}
BESIDE = {"mobilenet_pt2e": PT2E, "mobilenet_fx": FX, "mobilenet_pt2e_tflite": PT2E}
"""The ways that each recipe stands beside, by what the table calls them."""
AGREEMENT = 0.93
SIZE_RATIO = 0.30


def fidelity(recipe: str, report: dict[str, Any], direct: Direct) -> list[Figure]:
    """Against the float model in PyTorch, on the same samples."""
    beside = {
        name: compare(direct.reference, direct.answers[way]) for way, name in BESIDE[recipe].items()
    }
    ours, artefact = report["fidelity"], report["artefact"]
    return [
        Figure(
            name=f"agreement, {recipe}",
            value=ours["agreement"],
            target=Target(">=", AGREEMENT),
            beside=tuple((name, found["agreement"]) for name, found in beside.items()),
            notes=(
                f"{ours['n']} crops, float is 1; backend {artefact['backend']}, "
                f"{artefact['observer']}",
            ),
        ),
        Figure(
            name=f"SQNR, {recipe}",
            value=ours["sqnr_db"],
            unit="dB",
            beside=tuple((name, found["sqnr_db"]) for name, found in beside.items()),
        ),
    ]


def program_size(recipe: str, report: dict[str, Any], direct: Direct) -> Figure:
    """Of the ``.pt2``, beside the converted program as ``torch.export.save`` writes it."""
    size, plain = report["size"], direct.ways["pt2e"]
    return Figure(
        name=f"size ratio, {recipe}",
        value=size["ratio"],
        unit="x",
        target=Target("<=", SIZE_RATIO),
        beside=(
            ("torch.export.save", plain["bytes"] / size["float_bytes"]),
            ("... its example input a copy", plain["bytes_own_example"] / size["float_bytes"]),
        ),
        notes=(
            f"float .pt2 {size['float_bytes']:,} bytes, edgekit {size['bytes']:,}; "
            f"torch.export.save {plain['bytes']:,} with a slice of the calibration samples as "
            f"example input, {plain['bytes_own_example']:,} with a copy of that slice",
        ),
    )


def other_size(recipe: str, report: dict[str, Any], direct: Direct) -> Figure:
    """Of a TorchScript file, beside that of FX's defaults; of a .tflite, beside nothing."""
    size = report["size"]
    beside = {
        name: direct.ways[way]["bytes"]
        for way, name in BESIDE[recipe].items()
        if report["artefact"]["format"] == "ts"
    }
    return Figure(
        name=f"size ratio, {recipe}",
        value=size["ratio"],
        unit="x",
        beside=tuple((name, held / size["float_bytes"]) for name, held in beside.items()),
        notes=(f"float {size['float_bytes']:,} bytes, edgekit {size['bytes']:,}",),
    )
