"""Finding and calling the function that builds a model, and what goes wrong on the way."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.errors import MissingError, SourceError
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import CodeSpec, ModelSpec
from edgekit.sources.factory import Factory, locate
from tests.sources.conftest import IMAGE, MODULE_TEXT


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    """What a test imports from its own folder is forgotten after it."""
    before, path = set(sys.modules), list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def _locate(text: str, base: Path | None = None, code: tuple[CodeSpec, ...] = ()) -> Factory:
    spec = ModelSpec(framework="pytorch", inputs=(IMAGE,), factory=text, code=code)
    return locate(spec, base, SilentProgress())


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_a_file_beside_the_recipe(tmp_path: Path) -> None:
    _write(tmp_path, "nets/model.py", MODULE_TEXT)
    module = _locate("nets/model.py:build", tmp_path).call({"classes": 7})
    assert isinstance(module, torch.nn.Module)
    assert module.head.out_features == 7  # type: ignore[union-attr]


def test_a_file_may_import_its_neighbours_late_too(tmp_path: Path) -> None:
    _write(tmp_path, "layers_here.py", MODULE_TEXT)
    _write(tmp_path, "late_here.py", "CLASSES = 3\n")
    _write(
        tmp_path,
        "model.py",
        "from layers_here import Net\n"
        "def build():\n    from late_here import CLASSES\n    return Net(CLASSES)\n",
    )
    assert _locate("model.py:build", tmp_path).call({}).head.out_features == 3


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    for folder, classes in (("a", 2), ("b", 9)):
        text = MODULE_TEXT.replace("classes=5", f"classes={classes}")
        _write(tmp_path / folder, "model.py", text)
    sizes = [
        _locate("model.py:build", tmp_path / folder).call({}).head.out_features
        for folder in ("a", "b")
    ]
    assert sizes == [2, 9]


def test_a_dotted_attribute_of_an_installed_module() -> None:
    module = _locate("edgekit.zoo.mobilenet_v2:mobilenet_v2").call({"num_classes": 3})
    assert module.classifier[1].out_features == 3
    assert isinstance(_locate("torch:nn.Identity").call({}), torch.nn.Identity)


def test_code_packages_come_first_while_importing_and_calling(tmp_path: Path) -> None:
    _write(tmp_path, "code_a/pack_a/__init__.py", "")
    _write(
        tmp_path,
        "code_a/pack_a/nets.py",
        "def build():\n    from pack_b import Net\n    return Net(4)\n",
    )
    _write(tmp_path, "code_b/pack_b.py", MODULE_TEXT)
    code = tuple(CodeSpec(source=str(tmp_path / name)) for name in ("code_a", "code_b"))
    factory = _locate("pack_a.nets:build", code=code)
    assert factory.call({}).head.out_features == 4


def test_torchvision_and_timm_by_their_own_ways_in(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    def get_model(name: str, **config: Any) -> torch.nn.Module:
        calls.append((name, config))
        return torch.nn.Identity()

    torchvision, vision_models = types.ModuleType("torchvision"), types.ModuleType("models")
    vision_models.get_model = get_model  # type: ignore[attr-defined]
    timm = types.ModuleType("timm")
    timm.create_model = lambda model_name, **options: get_model(model_name, **options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.setitem(sys.modules, "torchvision.models", vision_models)
    monkeypatch.setitem(sys.modules, "timm", timm)
    _locate("torchvision:resnet18").call({"num_classes": 3})
    _locate("timm:vit_tiny").call({})
    assert calls == [("resnet18", {"num_classes": 3}), ("vit_tiny", {})]


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingError) as caught:
        Factory(f"{library}:net", library, "net", None, (), "").call({})
    assert f"pip install {library}" in str(caught.value.hint)


def test_a_module_that_is_not_there_names_the_package_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="there is no module no_such_package") as caught:
        _locate("no_such_package.nets:build").call({})
    assert "pip install no_such_package" in str(caught.value.hint)
    _write(tmp_path, "model.py", "import no_such_dependency.inner\n")
    with pytest.raises(MissingError, match="no_such_dependency"):
        _locate("model.py:build", tmp_path).call({})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:\n", r"model\.py:1: invalid syntax"),
        ("1 / 0\n", r"importing .*model\.py raised ZeroDivisionError: division by zero"),
        ("from torch import no_such_name\n", "raised ImportError: cannot import name"),
        ("def build():\n    raise ValueError('no width')\n", "raised ValueError: no width"),
        ("build = 3\n", "raised TypeError: 'int' object is not callable"),
    ],
)
def test_code_that_fails_is_a_source_error(tmp_path: Path, text: str, message: str) -> None:
    _write(tmp_path, "model.py", text)
    with pytest.raises(SourceError, match=message):
        _locate("model.py:build", tmp_path).call({})


@pytest.mark.parametrize("text", ["import sys\nsys.exit(0)\n", "def build():\n    exit(0)\n"])
def test_code_that_exits_does_not_end_edgekit(tmp_path: Path, text: str) -> None:
    _write(tmp_path, "model.py", text)
    with pytest.raises(SourceError, match=r"model\.py.* called sys\.exit\(0\)") as caught:
        _locate("model.py:build", tmp_path).call({})
    assert str(caught.value.hint).startswith(f"at {tmp_path / 'model.py'}:2;")


def test_an_interrupt_in_the_factory_stays_one(tmp_path: Path) -> None:
    _write(tmp_path, "model.py", "def build():\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        _locate("model.py:build", tmp_path).call({})


def test_an_argument_the_factory_does_not_take(tmp_path: Path) -> None:
    _write(tmp_path, "model.py", MODULE_TEXT)
    with pytest.raises(SourceError, match=r"raised TypeError: .*num_class") as caught:
        _locate("model.py:build", tmp_path).call({"num_class": 3})
    assert "model.factory_args" in str(caught.value.hint)


def test_a_name_that_is_nearly_there(tmp_path: Path) -> None:
    _write(tmp_path, "model.py", MODULE_TEXT)
    with pytest.raises(SourceError, match=r"model.py has no 'biuld'\nDid you mean 'build'\?"):
        _locate("model.py:biuld", tmp_path).call({})
    with pytest.raises(SourceError, match="has no 'Indentity'\nDid you mean 'Identity'"):
        _locate("torch:nn.Indentity").call({})


@pytest.mark.parametrize("text", ["build", ":build", "model.py:", ""])
def test_text_that_names_no_callable(text: str) -> None:
    with pytest.raises(SourceError, match="does not name a callable"):
        _locate(text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no file .*model\.py"):
        _locate("model.py:build", tmp_path)


def test_the_fingerprint_is_that_of_the_code(tmp_path: Path) -> None:
    _write(tmp_path, "model.py", MODULE_TEXT)
    first = _locate("model.py:build", tmp_path).fingerprint
    assert _locate("model.py:build", tmp_path).fingerprint == first
    _write(tmp_path, "neighbour.py", "A = 1\n")
    second = _locate("model.py:build", tmp_path).fingerprint
    _write(tmp_path, "model.py", MODULE_TEXT + "\n# changed\n")
    third = _locate("model.py:build", tmp_path).fingerprint
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("changed", ["code_a/pack/deep/inner.py", "code_b/other.py"])
def test_the_fingerprint_covers_every_package_of_the_recipe(tmp_path: Path, changed: str) -> None:
    _write(tmp_path, "code_a/pack/__init__.py", "")
    _write(tmp_path, "code_a/pack/deep/inner.py", "")
    _write(tmp_path, "code_b/other.py", "")
    code = tuple(CodeSpec(source=str(tmp_path / name)) for name in ("code_a", "code_b"))
    first = _locate("pack:build", code=code).fingerprint
    _write(tmp_path, changed, "A = 1\n")
    assert _locate("pack:build", code=code).fingerprint != first


def test_the_fingerprint_of_installed_and_of_running_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, "single_file_net.py", MODULE_TEXT)
    absent = _locate("single_file_net:build").fingerprint
    monkeypatch.syspath_prepend(str(tmp_path))
    found = _locate("single_file_net:build").fingerprint
    assert found != absent
    _write(tmp_path, "single_file_net.py", MODULE_TEXT + "# changed\n")
    assert _locate("single_file_net:build").fingerprint != found
    script = types.ModuleType("a_script")  # like __main__ of a script: a file and no spec
    script.__file__ = str(tmp_path / "single_file_net.py")
    monkeypatch.setitem(sys.modules, "a_script", script)
    assert _locate("a_script:build").fingerprint == _locate("single_file_net:build").fingerprint
    assert _locate("builtins:object").fingerprint == absent  # compiled in: no Python file
    monkeypatch.undo()
