"""basic-pitch from its ONNX file, beside its SavedModel of the same training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import direct
from benchmarks.context import say
from benchmarks.figure import Figure
from benchmarks.torch_run import run_edgekit
from edgekit.data.roles import open_run_data
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.runtimes.predict import Predictions, predict
from edgekit.sources import locate

SAVED_MODEL, ONNX = "basic_pitch_int8", "basic_pitch_onnx_int8"


def basic_pitch(folder: Path) -> tuple[list[Table], list[Figure]]:
    """The two float models against each other, and what their recipes make of them."""
    say("basic-pitch: float models")
    saved, onnx = _answers(SAVED_MODEL), _answers(ONNX)
    reports = {}
    for name in (SAVED_MODEL, ONNX):
        say(name)
        reports[name] = run_edgekit(name, folder / name)
    return [], [*float_figures(saved, onnx), *int8_figures(reports)]


def float_figures(saved: Predictions, onnx: Predictions) -> list[Figure]:
    """SQNR of every output; the ONNX file has other names for them, in the same order."""
    return [
        Figure(
            name=f"SQNR of ONNX against SavedModel, {name}",
            value=direct.compare(_rows(saved, name), _rows(onnx, other))["sqnr_db"],
            unit="dB",
            notes=(f"{len(saved)} evaluation windows, float32",),
        )
        for name, other in zip(saved.outputs, onnx.outputs, strict=True)
    ]


def int8_figures(reports: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """Of the finished files, each against its own float model."""
    ours, other = reports[ONNX], reports[SAVED_MODEL]
    pairs = zip(_by_output(ours).items(), _by_output(other).items(), strict=True)
    way = ", ".join(hop["bridge"] for hop in ours["bridges"])
    return [
        *(
            Figure(
                name=f"SQNR of INT8 from ONNX, {plain}",
                value=value,
                unit="dB",
                beside=((SAVED_MODEL, beside),),
                notes=(f"by {way}; {name!r} there",),
            )
            for (name, value), (plain, beside) in pairs
        ),
        Figure(
            name="bytes of INT8 from ONNX",
            value=ours["size"]["bytes"],
            beside=((SAVED_MODEL, other["size"]["bytes"]),),
        ),
        Figure(
            name="speed-up of INT8 from ONNX",
            value=ours["latency"]["host"]["speedup"],
            unit="x",
            ci=(ours["latency"]["host"]["ci_low"], ours["latency"]["host"]["ci_high"]),
            ci_kind="95 % bootstrap",
            beside=((SAVED_MODEL, other["latency"]["host"]["speedup"]),),
        ),
    ]


def _answers(recipe_name: str) -> Predictions:
    recipe = load_recipe(recipe_name)
    data = open_run_data(recipe, SilentProgress())
    with locate(recipe.model, progress=SilentProgress()).open_session(1) as session:
        found = predict(session, data.fidelity)
    # In the recipe's order, which pairs those of the two.
    outputs = {name: found.outputs[name] for name in recipe.model.outputs}
    return Predictions(outputs, found.ids, found.labels)


def _by_output(report: Mapping[str, Any]) -> dict[str, float]:
    order = load_recipe(report["recipe"]).model.outputs
    return {name: report["fidelity"]["outputs"][name]["sqnr_db"] for name in order}


def _rows(answers: Predictions, output: str) -> Any:
    array = answers.outputs[output]
    return array.reshape(len(array), -1)
