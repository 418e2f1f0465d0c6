"""State dicts: fitted strictly, read without running code, and every misfit said in words."""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edgekit.errors import MissingError, SourceError
from edgekit.sources.torch_weights import check_finite, load_into
from tests.sources.conftest import Net, seeded


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def _load(file: Path, *, trust_pickle: bool = False) -> Net:
    module = seeded(1)
    load_into(module, file, trust_pickle=trust_pickle)
    return module


def _same(found: Net, expected: Net) -> bool:
    pairs = zip(found.state_dict().values(), expected.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("nest", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_loaded_plain_or_nested_old_format_or_new(
    file: Path, nest: str | None, zipped: bool
) -> None:
    state: Any = seeded(0).state_dict()
    if nest is not None:
        state = {"epoch": 3, nest: state}
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    assert _same(_load(file), seeded(0))


def test_keys_that_do_not_fit_are_listed_all_three_kinds(file: Path) -> None:
    state = seeded().state_dict()
    state["head.weight"] = torch.zeros(7, 4)
    del state["body.0.bias"]
    state["classifier.weight"] = torch.zeros(1)
    torch.save(state, file)
    with pytest.raises(SourceError) as caught:
        _load(file)
    assert str(caught.value) == (
        "weights.pth does not fit Net:\n"
        "  1 missing in the file: body.0.bias\n"
        "  1 unknown to the model: classifier.weight\n"
        "  1 of another shape: head.weight [7, 4] instead of [5, 4]\n"
        "Check model.factory and model.factory_args (number of classes, width)."
    )


def test_many_keys_are_counted_not_all_shown(file: Path) -> None:
    torch.save({f"k{i}": torch.zeros(1) for i in range(40)}, file)
    with pytest.raises(SourceError, match=r"40 unknown to the model: k0, k1, .* and 35 more"):
        _load(file)


def test_batch_norm_counters_may_be_missing_as_in_files_older_than_torch_0_4_1(file: Path) -> None:
    state = seeded().state_dict()
    del state["body.1.num_batches_tracked"]
    torch.save(dict(state), file)
    assert _same(_load(file), seeded())


def _half(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key.startswith(prefix)}


def test_two_files_together_are_one_state(file: Path, tmp_path: Path) -> None:
    state, head = seeded(0).state_dict(), tmp_path / "head.pth"
    torch.save(_half(state, "body."), file)
    torch.save(_half(state, "head."), head)
    module = seeded(1)
    load_into(module, file, head, trust_pickle=False)
    assert _same(module, seeded(0))
    with pytest.raises(SourceError, match=r"weights\.pth does not fit Net:\n  2 missing"):
        load_into(module, file, trust_pickle=False)


def test_a_key_is_in_one_of_the_files_only(file: Path, tmp_path: Path) -> None:
    state, head = seeded(0).state_dict(), tmp_path / "head.pth"
    torch.save(state, file)
    torch.save(_half(state, "head."), head)
    with pytest.raises(SourceError, match=r"head\.pth holds .*: head\.bias, head\.weight"):
        load_into(seeded(1), file, head, trust_pickle=False)


def test_keys_that_a_glob_calls_unused_are_left_out(file: Path) -> None:
    state = seeded(0).state_dict()
    state["pooler.weight"] = state["pooler.bias"] = torch.zeros(1)
    torch.save(state, file)
    module = seeded(1)
    with pytest.raises(SourceError, match=r"2 unknown to the model: pooler\.bias") as caught:
        load_into(module, file, trust_pickle=False)
    assert "model.unused_weights" in str(caught.value.hint)
    load_into(module, file, trust_pickle=False, unused=("pooler.*",))
    assert _same(module, seeded(0))


def test_a_glob_that_matches_nothing_is_said(file: Path) -> None:
    torch.save(seeded(0).state_dict(), file)
    with pytest.raises(SourceError, match=r"'heed\.bias' matches no key of weights\.pth") as caught:
        load_into(seeded(1), file, trust_pickle=False, unused=("heed.bias",))
    assert caught.value.hint == "Did you mean 'head.bias'?"


def test_safetensors_are_known_by_their_content(file: Path) -> None:
    save_file(seeded(0).state_dict(), file)
    assert _same(_load(file), seeded(0))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.999])
def test_safetensors_cut_short_are_damaged(file: Path, share: float) -> None:
    save_file(seeded(0).state_dict(), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError, match=r"weights\.pth is (a )?damaged"):
        _load(file)


def test_safetensors_without_their_package(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(seeded(0).state_dict(), file)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingError, match="the package safetensors is not installed"):
        _load(file)


class _Versioned(torch.nn.Module):
    """Its second version calls its weight by another name, and converts older states."""

    _version = 2

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        if metadata.get("version", 1) < 2:
            state[prefix + "scale"] = state[prefix + "scale"] * 10
        super()._load_from_state_dict(state, prefix, metadata, *rest)


def test_a_modules_own_version_is_not_lost_on_the_way(file: Path) -> None:
    torch.save(_Versioned().state_dict(), file)
    module = _Versioned()
    load_into(module, file, trust_pickle=False)
    assert module.scale.item() == 1.0


class _Runs:
    """Unpickling it runs code: it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(file: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it_ran"
    torch.save({"state_dict": seeded().state_dict(), "extra": _Runs(marker)}, file)
    with pytest.raises(SourceError, match=r"can run code when loaded: it asks for \S+") as caught:
        _load(file)
    assert "model.trust_pickle: true" in str(caught.value.hint)
    assert not marker.exists()
    assert _same(_load(file, trust_pickle=True), seeded())
    assert marker.exists()


def test_a_whole_module_is_taken_where_the_pickle_is_trusted(file: Path) -> None:
    torch.save(seeded(), file)
    with pytest.raises(SourceError, match=r"asks for tests\.sources\.conftest\.Net"):
        _load(file)
    assert _same(_load(file, trust_pickle=True), seeded())


def test_a_trusted_pickle_whose_class_is_gone_is_no_bug_of_ours(file: Path) -> None:
    content = b"\x80\x02cno_such_module\nNet\n."
    torch.save(seeded().state_dict(), file, _use_new_zipfile_serialization=False)
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    file.write_bytes(magic + pickle.dumps({"little_endian": True}, 2) + content)
    with pytest.raises(SourceError, match="needs a class that cannot be imported: No module named"):
        _load(file, trust_pickle=True)


CONTENTS = {
    "empty": b"",
    "text": b"hello world",
    "a page": b"<!DOCTYPE html><html><body>404</body></html>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "bytes": bytes(range(200, 256)) * 4,
    "a bare pickle": pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("name", list(CONTENTS))
def test_a_file_that_is_no_checkpoint_is_said_to_be_none(
    file: Path, name: str, trust: bool
) -> None:
    file.write_bytes(CONTENTS[name])
    with pytest.raises(SourceError, match=r"weights\.pth is damaged or no PyTorch checkpoint"):
        _load(file, trust_pickle=trust)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_a_file_cut_short_is_damaged(file: Path, zipped: bool, share: float) -> None:
    torch.save(seeded().state_dict(), file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError, match="is damaged or no PyTorch checkpoint"):
        _load(file)


@pytest.mark.parametrize("content", [[torch.zeros(1)], torch.zeros(2), {"a": 1}, {}])
def test_a_checkpoint_without_a_state_dict(file: Path, content: Any) -> None:
    torch.save(content, file)
    with pytest.raises(SourceError, match="not a state dict"):
        _load(file)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(bad: float) -> None:
    state: OrderedDict[str, torch.Tensor] = seeded().state_dict()
    check_finite(state)
    state["head.weight"][2, 1] = bad
    state["body.1.running_var"][0] = bad
    with pytest.raises(SourceError, match=r"infinity:\n  body\.1\.running_var, head\.weight"):
        check_finite(state)
