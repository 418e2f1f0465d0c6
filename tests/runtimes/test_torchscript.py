"""TorchScript files behind the Session seam: engines, versions, damage."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import SessionError, UsageError
from edgekit.pytorch.description import FILE, Description, describe
from edgekit.pytorch.script import save
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes import open_session

IMAGE = InputSpec("image", (1, 3, 4, 4), layout="NCHW")
DESCRIPTION = describe((IMAGE,), ("hidden",), kept_float={})
HERE = str(torch.__version__).split("+")[0]


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU()).eval()


def written(folder: Path, description: Description = DESCRIPTION) -> Path:
    file = folder / "model.ts"
    save(net(), [(torch.zeros(1, 3, 4, 4),)], description, file)
    return file


@pytest.mark.parametrize("isolated", [False, True])
def test_channels_last_in_and_out(tmp_path: Path, isolated: bool) -> None:
    image = np.random.default_rng(0).normal(size=(1, 4, 4, 3)).astype(np.float32)
    file = written(tmp_path)
    with open_session(file, runtime="torchscript", isolated=isolated) as session:
        found = session.run({"image": image})["hidden"]
        assert session.info.runtime == "torchscript"
        assert session.time_ms({"image": image}, 3).shape == (3,)
    with torch.no_grad():
        wanted = net()(torch.from_numpy(image).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_the_engine_of_the_file_is_set_while_it_runs_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supported = torch.backends.quantized.supported_engines
    before = torch.backends.quantized.engine
    other = next((name for name in supported if name not in (before, "none")), None)
    if other is None:
        pytest.skip("this torch has one quantized engine")
    file = written(tmp_path, dataclasses.replace(DESCRIPTION, engine=other))
    seen = []
    load = torch.jit.load

    def noting(*args: object, **options: object) -> object:
        seen.append(torch.backends.quantized.engine)
        return load(*args, **options)

    monkeypatch.setattr(torch.jit, "load", noting)
    with open_session(file, runtime="torchscript") as session:
        module = session._module  # type: ignore[attr-defined]

        class Asking:
            def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
                seen.append(torch.backends.quantized.engine)
                return tensors[0]

        module._module = Asking()
        session.run({"image": np.zeros((1, 4, 4, 3), np.float32)})
    assert seen == [other, other]
    assert torch.backends.quantized.engine == before


def test_an_engine_that_is_not_here_is_told_with_those_that_are(tmp_path: Path) -> None:
    file = written(tmp_path, dataclasses.replace(DESCRIPTION, engine="abacus"))
    with pytest.raises(SessionError, match=r"quantized engine abacus.*it has \w+"):
        open_session(file, runtime="torchscript")


def test_a_file_of_a_newer_torch_names_both_versions(tmp_path: Path) -> None:
    file = written(tmp_path, dataclasses.replace(DESCRIPTION, tools={"torch": "9.1.0"}))
    with pytest.raises(SessionError, match=rf"torch 9\.1\.0.*newer than torch {HERE}") as caught:
        open_session(file, runtime="torchscript")
    assert "torch==9.1.0" in str(caught.value.hint)
    assert caught.value.exit_code == 1


def test_an_operator_this_torch_lacks_names_both_versions(tmp_path: Path) -> None:
    file = written(tmp_path, dataclasses.replace(DESCRIPTION, tools={"torch": "2.1.0"}))
    data = file.read_bytes()
    assert data.count(b"torch.batch_norm") == 1
    file.write_bytes(data.replace(b"torch.batch_norm", b"torch.bitch_norm"))
    with pytest.raises(SessionError, match=rf"torch {HERE}.* cannot load .*torch 2\.1\.0 wrote"):
        open_session(file, runtime="torchscript")


def test_a_file_of_an_older_torch_opens(tmp_path: Path) -> None:
    file = written(tmp_path, dataclasses.replace(DESCRIPTION, tools={"torch": "2.1.0"}))
    open_session(file, runtime="torchscript").close()


@pytest.mark.parametrize("kept", [0, 100, 0.5, -1])
def test_a_damaged_file_is_told(tmp_path: Path, kept: float) -> None:
    file = written(tmp_path)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept) if 0 < kept < 1 else int(kept)])
    with pytest.raises(SessionError, match=r"model\.ts"):
        open_session(file, runtime="torchscript")


def test_a_script_that_edgekit_did_not_write_is_told(tmp_path: Path) -> None:
    file = tmp_path / "other.ts"
    torch.jit.save(torch.jit.trace(net(), torch.zeros(1, 3, 4, 4)), str(file))
    with pytest.raises(SessionError, match="does not say what its inputs"):
        open_session(file, runtime="torchscript")
    assert FILE == "edgekit.json"


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model file"):
        open_session(tmp_path / "none.ts", runtime="torchscript")
    with pytest.raises(UsageError, match="has no signature 'other'"):
        open_session(written(tmp_path), runtime="torchscript", signature="other")
