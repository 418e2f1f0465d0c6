"""Programs from their files: run one operator after the other, and compiled for timing."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import runtimes
from edgekit.errors import MissingError, SessionError, UsageError
from edgekit.pytorch.description import FILE, Description, describe
from edgekit.runtimes import open_session, open_timed, torch_export, torch_inductor
from edgekit.sources.pytorch import require_torch
from edgekit.types import Array

torch = require_torch()
from edgekit.methods import load_method  # noqa: E402
from edgekit.pytorch.program import save_program  # noqa: E402
from tests.pytorch.nets import INPUTS, Net, job, trained  # noqa: E402

OUTPUTS = ("scores",)


def feeds() -> dict[str, Array]:
    images = np.random.default_rng(3).normal(size=(1, 12, 12, 3)).astype(np.float32)
    return {"image": images}


def save(file: Path, module: Any, **changes: Any) -> Path:
    program = torch.export.export(module, (torch.zeros(1, 3, 12, 12),))
    description = replace(describe(INPUTS, OUTPUTS, kept_float={}), **changes)
    save_program(program, file, description)
    return file


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("float") / "model.pt2", trained(Net()))


@pytest.fixture(scope="module")
def int8_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XNNPACK's int8 activations; weights of 7 bits, which no x86 CPU saturates on."""
    from edgekit.recipe.schema import ModuleRule

    made = job(
        tmp_path_factory.mktemp("int8"),
        trained(Net()),
        "pt2e",
        modules=(ModuleRule(name="*", weight_bits=7),),
    )
    return load_method("pt2e").quantize(made).artefact.path


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("PATH", "")
    torch_inductor.can_compile.cache_clear()
    yield
    torch_inductor.can_compile.cache_clear()


def test_a_float_program_answers_as_its_module(float_file: Path) -> None:
    with open_session(float_file, runtime="torch_export") as session:
        found = session.run(feeds())["scores"]
        info = session.info
    image = torch.from_numpy(feeds()["image"]).permute(0, 3, 1, 2)
    expected = trained(Net())(image).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (info.runtime, info.version) == ("torch_export", str(torch.__version__))
    assert info.inputs[0].shape == (1, 12, 12, 3)
    assert info.reference_only
    assert info.caveat is not None


def test_a_child_says_all_of_it_too(float_file: Path) -> None:
    with (
        open_session(float_file, runtime="torch_export") as here,
        open_session(float_file, runtime="torch_export", isolated=True) as child,
    ):
        assert child.info == here.info
        np.testing.assert_array_equal(child.run(feeds())["scores"], here.run(feeds())["scores"])


def test_an_int8_program_is_close_to_the_float_one(float_file: Path, int8_file: Path) -> None:
    with (
        open_session(float_file, runtime="torch_export") as before,
        open_session(int8_file, runtime="torch_export") as after,
    ):
        expected, found = (session.run(feeds())["scores"] for session in (before, after))
    assert 0 < np.abs(found - expected).max() < 0.2 * np.abs(expected).max()


@pytest.mark.parametrize("runtime", ["torch_export", "torch_inductor"])
def test_files_that_are_no_programs_of_ours(tmp_path: Path, runtime: str) -> None:
    with pytest.raises(UsageError, match="there is no model file"):
        open_session(tmp_path / "none.pt2", runtime=runtime)
    garbage = tmp_path / "garbage.pt2"
    garbage.write_bytes(b"\0" * 100)
    with pytest.raises(SessionError, match=r"garbage\.pt2 is damaged or no ExportedProgram"):
        open_session(garbage, runtime=runtime)
    foreign = tmp_path / "foreign.pt2"
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(2),)), foreign)
    with pytest.raises(SessionError, match="does not say what its inputs and outputs are"):
        open_session(foreign, runtime=runtime)


def rewritten(source: Path, target: Path, **changed: bytes) -> Path:
    """The archive with other content in the entries whose names end so; ``__`` is a dot."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            key = next((end for end in changed if name.endswith(end.replace("__", "."))), None)
            after.writestr(name, before.read(name) if key is None else changed[key])
    return target


def test_a_program_that_this_torch_cannot_read_names_both_versions(
    float_file: Path, tmp_path: Path
) -> None:
    old = Description(INPUTS, OUTPUTS, tools={"torch": "1.2.3"}).to_json().encode()
    file = rewritten(float_file, tmp_path / "old.pt2", edgekit__json=old, model__json=b"{}")
    with pytest.raises(SessionError) as caught:
        open_session(file, runtime="torch_export")
    assert f"torch {torch.__version__} cannot load old.pt2, which torch 1.2.3" in str(caught.value)
    assert caught.value.hint is not None
    assert "Run it with torch 1.2.3" in caught.value.hint


def test_operators_of_a_package_that_is_not_there(
    float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = {"torch": str(torch.__version__), "torchao": "0.18.0"}
    described = Description(INPUTS, OUTPUTS, tools=tools).to_json().encode()
    file = rewritten(float_file, tmp_path / "a.pt2", edgekit__json=described)
    monkeypatch.setitem(__import__("sys").modules, "torchao", None)
    with pytest.raises(MissingError) as caught:
        open_session(file, runtime="torch_export")
    assert caught.value.hint == "pip install torchao==0.18.0"


def test_there_are_no_signatures(float_file: Path) -> None:
    for runtime in ("torch_export", "torch_inductor"):
        with pytest.raises(UsageError, match="no signature 'main'"):
            open_session(float_file, runtime=runtime, signature="main")
        with pytest.raises(UsageError, match="threads must be at least 1"):
            open_session(float_file, runtime=runtime, threads=0)


# Timing ----------------------------------------------------------------------------------------


def test_without_a_compiler_times_are_for_reference_only(
    float_file: Path, no_compiler: None
) -> None:
    assert not torch_inductor.can_compile()
    with pytest.raises(SessionError, match=r"needs a C\+\+ compiler") as caught:
        open_session(float_file, runtime="torch_inductor")
    assert "CXX" in str(caught.value.hint)
    with open_timed(float_file, runtime="torch_export") as session:
        assert session.info.reference_only
        assert "a C++ compiler that works" in str(session.info.caveat)
        assert session.time_ms(feeds(), 2).shape == (2,)


def test_a_compiler_that_does_not_compile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    torch_inductor.can_compile.cache_clear()
    assert not torch_inductor.can_compile()
    torch_inductor.can_compile.cache_clear()


def test_a_failed_compilation_is_told_and_leaves_nothing(
    float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CppCompileError: cc1plus: out of memory\nmore\n")

    monkeypatch.setenv("EDGEKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", fail)
    monkeypatch.setattr(torch_inductor, "can_compile", lambda: True)
    before = torch.get_num_threads()
    with open_timed(float_file, runtime="torch_export") as session:
        assert session.info.reference_only
        assert "cannot be compiled: RuntimeError: CppCompileError" in str(session.info.caveat)
        assert "out of memory" in str(session.info.caveat)
    assert torch.get_num_threads() == before
    assert not list((tmp_path / "cache").rglob("*.pt2"))


def test_other_runtimes_are_timed_as_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        runtimes, "open_session", lambda path, *, threads, runtime: asked.append(runtime)
    )
    open_timed(Path("model.tflite"))
    open_timed(Path("model.ts"), runtime="torchscript")
    open_timed(Path("model.pt2"), runtime="torch_export")
    assert asked == ["litert", "torchscript", "torch_inductor"]


@pytest.mark.slow
@pytest.mark.skipif(not torch_inductor.can_compile(), reason="no C++ compiler")
def test_a_compiled_program_agrees_and_is_compiled_once(
    int8_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        open_session(int8_file, runtime="torch_export") as reference,
        open_timed(int8_file, runtime="torch_export") as compiled,
    ):
        info = compiled.info
        assert (info.runtime, info.reference_only, info.caveat) == ("torch_inductor", False, None)
        assert info.version == f"{torch.__version__}, inductor"
        assert info.max_batch == 1
        expected, found = reference.run(feeds())["scores"], compiled.run(feeds())["scores"]
    noise = float(((expected - found) ** 2).sum())
    assert noise < 1e-3 * float((expected**2).sum())  # 30 dB

    def again(*_: Any) -> None:
        raise AssertionError("it was compiled already")

    monkeypatch.setattr(torch_inductor, "_compile", again)
    with open_timed(int8_file, runtime="torch_export") as compiled:
        np.testing.assert_array_equal(compiled.run(feeds())["scores"], found)


def test_answers_that_differ_are_told(float_file: Path) -> None:
    description = torch_export.read_program_description(float_file)
    session = torch_inductor._CompiledSession(trained(Net()), description, 1, sqnr_db=3.14)
    assert "(3.1 dB SQNR on noise)" in str(session.info.caveat)
    assert not session.info.reference_only
    good = torch_inductor._CompiledSession(trained(Net()), description, 1, sqnr_db=40.0)
    assert good.info.caveat is None


def test_int8_becomes_uint8_without_a_change_of_any_number(int8_file: Path) -> None:
    program, description = torch_export.load_program(int8_file)
    image = torch.from_numpy(feeds()["image"]).permute(0, 3, 1, 2)
    expected = program.module(check_guards=False)(image)
    torch_inductor._as_unsigned(program.graph_module)
    dtypes = {
        node.args[5]
        for node in program.graph.nodes
        if "quantize_per_tensor" in str(node.target) and not str(node.args[0]).startswith("b_")
    }
    assert dtypes == {torch.uint8}
    assert torch.equal(program.module(check_guards=False)(image), expected)
    assert description.outputs == OUTPUTS


def test_the_description_is_where_torch_puts_extra_files(float_file: Path) -> None:
    extra = {FILE: ""}
    torch.export.load(float_file, extra_files=extra)
    assert extra[FILE] == torch_export.read_program_description(float_file).to_json()
