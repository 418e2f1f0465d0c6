"""PyTorch sources: located without torch, told apart by content, opened behind the seam."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.errors import FetchError, IntegrityError, MissingError, SourceError, UsageError
from edgekit.recipe.schema import ModelSpec
from edgekit.sources import FRAMEWORKS, locate
from edgekit.sources.pytorch import file_kind, load_file
from edgekit.types import ModelKind
from tests.sources.conftest import IMAGE, MODULE_TEXT, seeded

OUTPUTS = ("features", "scores")


def _from_factory(folder: Path, **other: Any) -> ModelSpec:
    spec = ModelSpec(
        framework="pytorch",
        inputs=(IMAGE,),
        outputs=OUTPUTS,
        factory="model.py:build",
        weights=(str(folder / "net.pth"),),
    )
    return replace(spec, **other)


def _from_file(file: Path) -> ModelSpec:
    return ModelSpec(framework="pytorch", inputs=(IMAGE,), outputs=OUTPUTS, file=str(file))


def _expected() -> tuple[dict[str, Any], dict[str, Any]]:
    """Channels-last feeds, and the network's answers to them, channels-last too."""
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    with torch.inference_mode():
        features, scores = seeded()(torch.from_numpy(x).permute(0, 3, 1, 2))
    return {"image": x}, {
        "features": features.permute(0, 2, 3, 1).numpy(),
        "scores": scores.numpy(),
    }


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("factory", ModelKind.TORCH_MODULE),
        ("net.pt2", ModelKind.EXPORTED_PROGRAM),
        ("free.pt2", ModelKind.EXPORTED_PROGRAM),
        ("net.ts", ModelKind.TORCHSCRIPT),
    ],
)
def test_every_form_answers_as_the_network_it_was_made_from(
    saved: Path, form: str, kind: ModelKind
) -> None:
    spec = _from_factory(saved) if form == "factory" else _from_file(saved / form)
    source = locate(spec, base=saved)
    assert source.kind is kind
    assert kind in FRAMEWORKS["pytorch"]
    feeds, expected = _expected()
    with source.open_session(1) as session:
        found = session.run(feeds)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


def test_a_factory_without_weights_keeps_its_own(saved: Path) -> None:
    source = locate(_from_factory(saved, weights=()), base=saved)
    assert not source.files
    assert not source.value.training


def test_weights_that_are_not_the_promised_ones(saved: Path) -> None:
    with pytest.raises(IntegrityError):
        locate(_from_factory(saved, sha256="0" * 64), base=saved)
    with pytest.raises((UsageError, FetchError), match="gone"):
        locate(_from_factory(saved, weights=(str(saved / "gone.pth"),)), base=saved)


def test_the_first_weights_that_are_there_are_taken(saved: Path) -> None:
    weights = (str(saved / "gone.pth"), str(saved / "net.pth"))
    source = locate(_from_factory(saved, weights=weights), base=saved)
    assert source.files["weights"] == saved / "net.pth"


def test_the_fingerprint_covers_weights_code_arguments_and_file(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODULE_TEXT)
    torch.save(seeded(0).state_dict(), tmp_path / "net.pth")
    spec = _from_factory(tmp_path)

    def fingerprint(spec: ModelSpec) -> str:
        return locate(spec, base=tmp_path).fingerprint

    first = fingerprint(spec)
    assert fingerprint(spec) == first
    seen = {first, fingerprint(replace(spec, factory_args={"classes": 5}))}
    seen.add(fingerprint(replace(spec, weights=())))
    torch.save(seeded(1).state_dict(), tmp_path / "net.pth")
    seen.add(fingerprint(spec))
    (tmp_path / "model.py").write_text(MODULE_TEXT + "# changed\n")
    seen.add(fingerprint(spec))
    assert len(seen) == 5


def test_locating_imports_no_torch(saved: Path) -> None:
    """What lets a cached run start in a fraction of the time."""
    code = f"""
import sys
from pathlib import Path
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.sources import locate
folder = Path({str(saved)!r})
image = InputSpec("image", (1, 3, 8, 8), "float32", "NCHW")
for spec in (
    ModelSpec("pytorch", (image,), factory="model.py:build", weights=(str(folder / "net.pth"),)),
    ModelSpec("pytorch", (image,), factory="edgekit.zoo.mobilenet_v2:mobilenet_v2"),
    ModelSpec("pytorch", (image,), file=str(folder / "net.pt2")),
    ModelSpec("pytorch", (image,), file=str(folder / "net.ts")),
):
    print(locate(spec, base=folder).kind.value)
heavy = {{"torch", "numpy.testing", "ai_edge_litert"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "torch_module",
        "torch_module",
        "exported_program",
        "torchscript",
    ]


def test_a_source_needs_a_factory_or_a_file() -> None:
    with pytest.raises(SourceError, match=r"needs model\.factory or model\.file"):
        locate(ModelSpec(framework="pytorch", inputs=(IMAGE,)))


def test_a_factory_that_makes_no_module(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def build():\n    return [1]\n")
    spec = _from_factory(tmp_path, weights=())
    with pytest.raises(SourceError, match=r"model\.py:build made a list, not a torch\.nn\.Module"):
        _ = locate(spec, base=tmp_path).value


def test_nan_in_the_weights_stops_every_form(tmp_path: Path) -> None:
    net = seeded()
    with torch.no_grad():
        net.head.weight[0, 0] = torch.nan
    x = torch.zeros(1, 3, 8, 8)
    torch.export.save(torch.export.export(net, (x,)), tmp_path / "net.pt2")
    torch.jit.trace(net, x, check_trace=False).save(str(tmp_path / "net.ts"))
    torch.save(net.state_dict(), tmp_path / "net.pth")
    (tmp_path / "model.py").write_text(MODULE_TEXT)
    specs = [_from_factory(tmp_path), *(_from_file(tmp_path / n) for n in ("net.pt2", "net.ts"))]
    for spec in specs:
        with pytest.raises(SourceError, match=r"NaN or infinity:\n  head\.weight"):
            _ = locate(spec, base=tmp_path).value


def test_kinds_are_told_by_content_not_by_name(saved: Path, tmp_path: Path) -> None:
    for name, kind in (
        ("net.pt2", ModelKind.EXPORTED_PROGRAM),
        ("net.ts", ModelKind.TORCHSCRIPT),
    ):
        renamed = tmp_path / "model.pth"
        renamed.write_bytes((saved / name).read_bytes())
        assert file_kind(renamed) is kind
    older = tmp_path / "older.pt2"  # as torch wrote it up to 2.7
    with zipfile.ZipFile(older, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("version", "1.1")
    assert file_kind(older) is ModelKind.EXPORTED_PROGRAM
    with pytest.raises(SourceError, match="cannot read"):
        load_file(older, ModelKind.EXPORTED_PROGRAM)


def test_a_checkpoint_given_as_a_model_is_called_one(saved: Path) -> None:
    with pytest.raises(SourceError, match=r"is a checkpoint \(weights without the network\)") as e:
        locate(_from_file(saved / "net.pth"))
    assert "model.weights" in str(e.value.hint)


def test_archives_and_other_files_that_are_no_model(tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("photo.txt", "a cat")
    with pytest.raises(SourceError, match="is a zip archive, but no PyTorch model"):
        locate(_from_file(archive))
    text = tmp_path / "model.pt2"
    text.write_text("no archive at all")
    with pytest.raises(SourceError, match="neither an ExportedProgram nor a TorchScript file"):
        locate(_from_file(text))


@pytest.mark.parametrize("name", ["net.pt2", "net.ts"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_saved_model_cut_short(saved: Path, tmp_path: Path, name: str, share: float) -> None:
    file = tmp_path / name
    whole = (saved / name).read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError, match=name):
        _ = locate(_from_file(file)).value


@pytest.mark.parametrize("name", ["net.pt2", "net.ts"])
def test_a_saved_model_with_a_damaged_member(saved: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    with zipfile.ZipFile(saved / name) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.namelist():
            keep = not member.endswith((".json", ".py", "constants.pkl"))
            new.writestr(member, old.read(member) if keep else b"damaged")
    with pytest.raises(SourceError, match=r"torch 2\S* cannot read"):
        _ = locate(_from_file(file)).value


def test_without_torch_the_way_out_is_given(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = locate(_from_file(saved / "net.pt2"))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingError, match="needs the package torch") as caught:
        _ = source.value
    assert caught.value.hint == "pip install 'edgekit[torch]'"
