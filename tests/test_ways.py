"""``quantize.bridge``: whole runs over stand-in bridges, on a network that takes microseconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edgekit
from edgekit import pipeline, reach
from edgekit.bridges import BridgeJob
from edgekit.cache import Cache
from edgekit.errors import ConversionError, MissingError, RecipeError
from edgekit.report import Report
from edgekit.sources import locate
from edgekit.sources.source import SourceModel
from tests.stand_in_bridges import (
    ONNX,
    TFLITE,
    TORCH,
    Bridges,
    crashing,
    missing,
    refusing,
    reshaping,
    wrong,
)
from tests.tiny_runs import write_arrays, write_model, write_recipe


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def as_torch(*given: Any, **named: Any) -> SourceModel:
        return replace(locate(*given, **named), kind=TORCH)

    write_model(tmp_path)
    write_arrays(tmp_path)
    monkeypatch.setattr(pipeline, "locate", as_torch)
    monkeypatch.setattr(reach, "_is_set_up", lambda environment: False)
    return tmp_path


@pytest.fixture
def bridges(monkeypatch: pytest.MonkeyPatch) -> Bridges:
    """PyTorch to ONNX; each test adds what leads on from there, and beside it."""
    table = Bridges(monkeypatch)
    table.add("export", TORCH, ONNX)
    return table


def run(home: Path, bridge: str = "first", **changes: Any) -> Report:
    recipe = write_recipe(home, {"quantize": {"bridge": bridge}}, changes)
    return edgekit.quantize(str(recipe), out=home / "out", cache=Cache(home / "cache"))


# first -------------------------------------------------------------------------------------------


def test_first_takes_the_first_way_and_asks_no_other(home: Path, bridges: Bridges) -> None:
    bridges.add("direct", TORCH, TFLITE)
    bridges.add("isolated", ONNX, TFLITE, environment="e")
    report = run(home)
    assert bridges.calls == ["direct"]
    assert [hop.bridge for hop in report.bridges] == ["direct"]
    assert (report.choices, report.alternatives) == ((), {})
    assert report.bridges[0].ops == 2
    assert report.bridges[0].transposes == 0
    assert run_again(home).to_dict()["bridges"] == report.to_dict()["bridges"]


def run_again(home: Path) -> Report:
    recipe = str(home / "recipe.yaml")
    return edgekit.quantize(recipe, out=home / "out", cache=Cache(home / "cache"), force=True)


def test_what_failed_on_the_way_to_it_is_a_warning(home: Path, bridges: Bridges) -> None:
    bridges.add("direct", TORCH, TFLITE, wrong)
    bridges.add("isolated", ONNX, TFLITE, environment="e")
    report = run(home)
    assert bridges.calls == ["direct", "export", "isolated"]
    assert [hop.bridge for hop in report.bridges] == ["export", "isolated"]
    (warning,) = (note for note in report.notes if note.startswith("direct failed"))
    assert "so export, isolated was taken" in warning
    assert "60 dB wanted" in warning
    names = [stage.name for stage in report.stages]
    assert names[2:4] == ["float graph: export", "float graph: export, isolated"]


def test_no_environment_is_made_for_a_package_that_is_missing(home: Path, bridges: Bridges) -> None:
    bridges.add("direct", TORCH, TFLITE, missing)
    bridges.add("isolated", ONNX, TFLITE, environment="e")
    with pytest.raises(MissingError, match="converter needs a package") as caught:
        run(home)
    assert bridges.calls == ["direct"]
    assert caught.value.exit_code == 4
    assert caught.value.hint == (
        "pip install it\n"
        "or set up what does without: edgekit bridge setup e, then quantize.bridge: isolated"
    )


def test_one_that_is_set_up_is_used_in_its_stead(
    home: Path, bridges: Bridges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_is_set_up", lambda environment: environment == "ready")
    bridges.add("direct", TORCH, TFLITE, missing)
    bridges.add("isolated", ONNX, TFLITE, environment="e")
    bridges.add("ready", ONNX, TFLITE, environment="ready")
    report = run(home)
    assert [hop.bridge for hop in report.bridges] == ["export", "ready"]
    assert "isolated" not in bridges.calls


def test_a_shared_hop_that_fails_is_tried_once(home: Path, bridges: Bridges) -> None:
    bridges.add("export", TORCH, ONNX, refusing)
    bridges.add("one", ONNX, TFLITE)
    bridges.add("other", ONNX, TFLITE)
    with pytest.raises(ConversionError) as caught:
        run(home)
    assert bridges.calls == ["export"]
    assert caught.value.message.splitlines()[1:] == [
        "  export, one, export, other: no rule for Search at net/find"
    ]
    assert caught.value.hint == "Rewrite it."
    assert not (home / "out").exists()


# auto --------------------------------------------------------------------------------------------


def test_auto_shows_every_way_side_by_side(home: Path, bridges: Bridges) -> None:
    bridges.add("direct", TORCH, TFLITE)
    bridges.add("isolated", ONNX, TFLITE, environment="e")
    bridges.add("wrong", ONNX, TFLITE, wrong)
    bridges.add("crashing", ONNX, TFLITE, crashing)
    bridges.add("reshaping", ONNX, TFLITE, reshaping)
    bridges.add("lacking", ONNX, TFLITE, missing)
    report = run(home, "auto")
    assert bridges.calls.count("export") == 1
    (choice,) = json.loads((home / "out" / "report.json").read_text())["choices"]
    # The graphs are the same, so nothing but a busy machine could tell them apart.
    assert (choice["of"], choice["chosen"], choice["by"]) == ("bridge", "direct", "order")
    assert choice["on"] == {"role": "dev", "dataset": "data.npz", "samples": 20}
    found = {each["name"]: each for each in choice["candidates"]}
    assert list(found) == [
        "direct",
        "export, wrong",
        "export, crashing",
        "export, reshaping",
        "export, lacking",
        "export, isolated",
    ]
    for name in ("direct", "export, isolated"):
        each = found[name]
        assert "error" not in each
        assert each["latency_ms"] > 0
        assert (each["ops"], each["transposes"], each["float_ops"]) == (2, 0, 0)
        assert each["hops"][-1]["outputs"][0]["sqnr_db"] == 200
    assert "comes first" in found["export, isolated"]["lost"]
    assert "60 dB wanted" in found["export, wrong"]["error"]
    assert found["export, wrong"]["hops"][1]["outputs"][0]["sqnr_db"] < 60
    assert "crashed" in found["export, crashing"]["error"]
    assert [hop["bridge"] for hop in found["export, crashing"]["hops"]] == ["export"]
    assert "changed the model's inputs" in found["export, reshaping"]["error"]
    assert found["export, lacking"]["error"] == "converter needs a package"
    assert [hop.bridge for hop in report.bridges] == ["direct"]
    assert list(report.alternatives) == ["export, isolated"]
    files = {path.name for path in (home / "out").glob("model.*")}
    assert files == {"model.tflite", "model.float.tflite", "model.export-isolated.tflite"}
    assert sum(note.startswith("export, wrong came to nothing") for note in report.notes) == 1


def test_one_way_alone_needs_no_dev_data(home: Path, bridges: Bridges) -> None:
    bridges.add("direct", TORCH, TFLITE)
    report = run(home, "auto")
    assert report.choices == ()
    assert "dev" not in report.data


def test_nothing_is_timed_where_the_recipe_wants_no_latency(home: Path, bridges: Bridges) -> None:
    bridges.add("direct", TORCH, TFLITE)
    bridges.add("other", ONNX, TFLITE)
    (choice,) = run(home, "auto", latency={"enabled": False}).choices
    assert [each.latency_ms for each in choice.candidates] == [None, None]


def test_all_that_fail_give_all_their_reasons(home: Path, bridges: Bridges) -> None:
    bridges.add("direct", TORCH, TFLITE, refusing)
    bridges.add("lacking", ONNX, TFLITE, missing)
    with pytest.raises(ConversionError, match="none of the bridges that auto tries") as caught:
        run(home, "auto")
    assert "direct: no rule for Search" in caught.value.message
    assert "export, lacking: converter needs a package" in caught.value.message
    assert caught.value.hint == "Rewrite it.\npip install it"


def test_a_bridge_that_failed_is_not_offered(home: Path, bridges: Bridges) -> None:
    def offering(job: BridgeJob) -> bytes:
        raise ConversionError("no rule", hint="Rewrite it.", bridges=("other", "unasked"))

    bridges.add("one", TORCH, TFLITE, offering)
    with pytest.raises(ConversionError) as caught:
        run(home, "auto")
    alone = "Rewrite it.\nTry the bridge other or unasked (quantize.bridge)."
    assert caught.value.hint == alone
    bridges.add("other", ONNX, TFLITE, wrong)
    for bridge in ("auto", "first"):
        with pytest.raises(ConversionError) as caught:
            run(home, bridge)
        assert caught.value.hint is not None
        assert caught.value.hint.startswith("Rewrite it.\n")
        assert caught.value.hint.endswith("\nTry the bridge unasked (quantize.bridge).")


def test_exit_code_4_where_nothing_could_run_for_lack_of_something(
    home: Path, bridges: Bridges
) -> None:
    bridges.add("direct", TORCH, TFLITE, missing)
    bridges.add("lacking", ONNX, TFLITE, missing)
    with pytest.raises(MissingError) as caught:
        run(home, "auto")
    assert (caught.value.message, caught.value.hint) == (
        "converter needs a package",
        "pip install it",
    )


# By name -----------------------------------------------------------------------------------------


def test_a_name_that_leads_nowhere_is_a_mistake_in_the_recipe(home: Path, bridges: Bridges) -> None:
    bridges.add("direct", TORCH, TFLITE)
    with pytest.raises(RecipeError, match="does not lead"):
        run(home, "export")
