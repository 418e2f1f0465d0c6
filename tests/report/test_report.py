"""report.json: the keys that others rely on, and nothing that JSON cannot hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edgekit.gate.check import Verdict
from edgekit.recipe.gate_spec import GateSpec
from edgekit.report import NotMeasured
from edgekit.types import FloatOp
from tests.report.sample import (
    CAVEAT,
    FACTS,
    FIDELITY,
    FLOAT_OPS,
    LATENCY,
    OLDER,
    SIZE,
    TOP1,
    report,
    torch_report,
)

# What schema 1 promises. A key may be added; one that goes or changes its meaning is schema 2.
STABLE = {
    "": {"recipe", "method", "verdict", "size", "fidelity", "accuracy", "latency", "artefact"}
    | {"checks", "stages"},
    "size": {"float_bytes", "bytes", "ratio"},
    "fidelity": {"n", "agreement", "sqnr_db", "max_abs", "outputs"},
    "fidelity.outputs.logits": {"sqnr_db", "max_abs", "cosine"},
    "accuracy.top1": {"float", "quantized", "drop", "n", "ci_low", "ci_high"}
    | {"quantized_ci_low", "quantized_ci_high"},
    "latency": {"host", "devices"},
    "latency.host": {"float_ms", "quantized_ms", "speedup", "ci_low", "ci_high"},
    "latency.devices": {"measured", "why"},
    "artefact": {"path", "format", "runtime", "input_dtype", "output_dtype", "int8_mac_fraction"}
    | {"float_ops", "select_tf_ops", "transposes"},
    "artefact.float_ops.0": {"op", "layer"},
    "checks.0": {"name", "required", "limit", "value", "status", "why"},
    "stages.0": {"name", "seconds", "cached"},
}


def at(document: Any, path: str) -> Any:
    for key in filter(None, path.split(".")):
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


def as_json(document: dict[str, Any]) -> Any:
    return json.loads(json.dumps(document, allow_nan=False))


@pytest.mark.parametrize("path", STABLE)
def test_the_stable_keys(path: str) -> None:
    document = as_json(report(facts=replace(FACTS, float_ops=FLOAT_OPS)).to_dict())
    assert STABLE[path] <= set(at(document, path))


def test_the_figures_are_the_measured_ones() -> None:
    document = as_json(report(facts=replace(FACTS, float_ops=FLOAT_OPS)).to_dict())
    expected = {
        "schema": 1,
        "recipe": "mobilenet_int8",
        "method": "litert_static",
        "verdict": "fail",
        "exit_code": 1,
        "size.bytes": SIZE.bytes,
        "size.ratio": SIZE.ratio,
        "fidelity.n": 400,
        "fidelity.agreement": FIDELITY.agreement,
        "fidelity.outputs.logits.cosine": 0.9816,
        "accuracy.top1.float": 0.9,
        "accuracy.top1.drop": TOP1.drop,
        "accuracy.top1.ci_high": TOP1.ci_high,
        "latency.host.speedup": LATENCY.speedup,
        "latency.host.threads": 1,
        "latency.host.cpu": "Some CPU",
        "latency.devices.measured": False,
        "artefact.path": "model.tflite",
        "artefact.format": "tflite",
        "artefact.runtime": "litert",
        "artefact.input_dtype": "int8",
        "artefact.engine": "an engine 1.0",
        "artefact.float_ops.1": {"op": "PRELU", "layer": "head/act"},
        "artefact.transposes": 1,
        "checks.2.status": "fail",
        "checks.3.name": "size.ratio",
        "data.calibration.samples": 100,
        "bridges.0.outputs.0.sqnr_db": 120.0,
        "notes": ["twenty photos are no proof"],
        "stages.1": {"name": "quantize", "seconds": 1.25, "cached": True},
    }
    assert {path: at(document, path) for path in expected} == expected


def test_a_program_states_its_modules_its_engines_and_what_it_was_compared_with() -> None:
    document = as_json(torch_report().to_dict())
    expected = {
        "artefact.format": "pt2",
        "artefact.backend": "x86",
        "artefact.observer": "minmax",
        "artefact.modules.0": {
            "name": "features.0",
            "type": "Conv2d",
            "compute": "int8",
            "bytes": 1376,
            "why": None,
            "bits": None,
        },
        "artefact.modules.1.compute": "int8 dynamic",
        "artefact.modules.3.why": "the recipe leaves it out (a rule)",
        "latency.host.float_engine": "torch_export 2.13.0",
        "latency.host.quantized_engine": "torch_export 2.13.0",
        "latency.host.reference_only": True,
        "latency.host.caveat": CAVEAT,
        "alternatives.without fine-tuning.accuracy.top1.quantized": 0.8,
        "alternatives.without fine-tuning.fidelity.agreement": 0.9,
        "alternatives.without fine-tuning.size.bytes": 4_210_000,
    }
    assert {path: at(document, path) for path in expected} == expected
    assert as_json(report().to_dict())["artefact"]["modules"] is None


def test_operators_of_tensorflow_itself_are_named() -> None:
    found = report(facts=replace(FACTS, select_tf_ops=(FloatOp("FlexCholesky", "net/whiten"),)))
    listed = as_json(found.to_dict())["artefact"]["select_tf_ops"]
    assert listed == [{"op": "FlexCholesky", "layer": "net/whiten"}]


def test_no_raw_times() -> None:
    assert "raw" not in report().to_dict()["latency"]["host"]


def test_what_was_not_measured_says_so() -> None:
    made = report(
        GateSpec(),
        latency=NotMeasured("latency.enabled is false"),
        accuracy={},
        fidelity=replace(FIDELITY, agreement=None),
    )
    document = as_json(made.to_dict())
    host = document["latency"]["host"]
    assert (host["measured"], host["why"]) == (False, "latency.enabled is false")
    assert "float_ms" not in host
    assert document["accuracy"] == {}
    assert document["fidelity"]["agreement"] is None


def test_the_verdict_follows_the_checks() -> None:
    for gate, expected, code in (
        (GateSpec(), Verdict.PASS, 0),
        (GateSpec(agreement_min=0.99), Verdict.FAIL, 1),
        (GateSpec(top1_drop_max=0.01), Verdict.INCONCLUSIVE, 3),
    ):
        made = report(gate)
        assert (made.verdict, made.exit_code) == (expected, code)
        assert made.to_dict()["verdict"] == expected.value
        assert made.to_dict()["exit_code"] == code


def test_the_older_runtime_stands_where_it_was_tried() -> None:
    document = as_json(report(older_runtime=OLDER).to_dict())["older_runtime"]
    assert document["outputs"]["logits"] == {
        "sqnr_db": 17.76,
        "litert_sqnr_db": 17.68,
        "between_sqnr_db": 24.33,
        "between_max_abs": 0.9,
        "step": 0.129,
    }
    assert (document["runtime"], document["n"]) == ("tflite-runtime 2.14.0", 16)
    assert (document["agrees"], document["failure"]) == (True, None)
    assert as_json(report().to_dict())["older_runtime"] is None
    missing = as_json(report(older_runtime=NotMeasured("no pip")).to_dict())["older_runtime"]
    assert missing == {"measured": False, "why": "no pip"}
