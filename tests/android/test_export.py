"""edgekit export-android: what is written, over what, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.android import export as module
from edgekit.android.export import ASSETS, GOLDEN, export_android
from edgekit.android.kotlin import check_package, contract_source
from edgekit.android.project import RECORD
from edgekit.cache import file_sha256
from edgekit.errors import EdgekitError, OutputError, UsageError
from edgekit.pipeline import quantize
from tests import tiny_runs
from tests.android import kotlin
from tests.cli.commands import edgekit, refused

CONTRACT_KT = "src/main/kotlin/dev/edgekit/model/ModelContract.kt"
CORE_COPY = "main/kotlin/dev/edgekit/core"
MODEL_PACKAGE = "kotlin/dev/edgekit/model"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the tiny network on pictures, with names of its five classes."""
    folder = tmp_path_factory.mktemp("made")
    tiny_runs.write_model(folder)
    tiny_runs.write_photos(folder)
    (folder / "names.txt").write_text('ant\nbee\ncat\ndog\n$elk "\u2603"\n', encoding="utf-8")
    recipe = tiny_runs.write_recipe(
        folder, tiny_runs.IMAGES, {"model": {"labels": {"source": "file:names.txt"}}}
    )
    quantize(str(recipe), out=folder / "run")
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "app/src").mkdir(parents=True)
    (folder / "app/build.gradle.kts").write_text("android {}\n")
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def edit_json(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, **changes}), encoding="utf-8")
    manifest = file.parent / "manifest.json"
    outputs = json.loads(manifest.read_text(encoding="utf-8"))
    outputs["outputs"][file.name]["sha256"] = file_sha256(file)
    manifest.write_text(json.dumps(outputs), encoding="utf-8")


def test_everything_an_app_needs_is_written(run: Path, project: Path) -> None:
    exported = export_android(run, project)
    app = project / "app"
    for name in ("model.tflite", "model.float.tflite", "report.json", "labels.txt"):
        assert (app / ASSETS / name).read_bytes() == (run / name).read_bytes()
    contract = json.loads((app / ASSETS / "contract.json").read_text(encoding="utf-8"))
    assert contract == json.loads((run / "contract.json").read_text(encoding="utf-8"))
    golden = json.loads((app / GOLDEN / "golden.json").read_text(encoding="utf-8"))
    assert golden["model_sha256"] == file_sha256(run / "model.tflite")
    assert len(golden["vectors"]) == exported.pictures == 8
    assert exported.core
    assert (app / "src/main/kotlin/dev/edgekit/core/Resampling.kt").is_file()
    record = json.loads((app / RECORD).read_text(encoding="utf-8"))["files"]
    assert set(record) == set(files_in(app)) - {"build.gradle.kts", RECORD}
    assert not list(app.glob(".*"))


def test_twice_is_the_same_bytes(run: Path, project: Path) -> None:
    export_android(run, project)
    first = files_in(project)
    export_android(run, project)
    assert files_in(project) == first


def test_a_project_with_a_core_of_its_own_keeps_it(run: Path, project: Path) -> None:
    core = project / "core/src/main/kotlin/dev/edgekit/core"
    core.mkdir(parents=True)
    (core / "Contract.kt").write_text("package dev.edgekit.core\n")
    assert not export_android(run, project).core
    assert not (project / "app/src/main/kotlin/dev/edgekit/core").exists()


def test_a_module_named_by_itself_knows_the_core_beside_it(run: Path, project: Path) -> None:
    core = project / "core/src/main/kotlin/dev/edgekit/core"
    core.mkdir(parents=True)
    (core / "Contract.kt").write_text("package dev.edgekit.core\n")
    (project / "settings.gradle").write_text("include ':core', ':app'\n")
    assert not export_android(run, project / "app").core


def test_what_an_export_no_longer_writes_goes(run: Path, project: Path) -> None:
    export_android(run, project, package="com.example.old")
    export_android(run, project, package="com.example.model", with_float=False)
    kept = files_in(project / "app")
    assert f"{ASSETS}/model.float.tflite" not in kept
    assert not (project / "app/src/main/kotlin/com/example/old").exists()
    assert "src/main/kotlin/com/example/model/ModelContract.kt" in kept


@pytest.mark.parametrize("how", ["foreign", "changed", "link", "folder"])
def test_nothing_that_is_not_ours_is_replaced(run: Path, project: Path, how: str) -> None:
    target = project / "app" / CONTRACT_KT
    if how == "changed":
        export_android(run, project)
        target.write_text("// mine now\n")
    else:
        target.parent.mkdir(parents=True)
        if how == "foreign":
            target.write_text("// mine\n")
        elif how == "link":
            target.symlink_to(project / "app/build.gradle.kts")
        else:
            target.mkdir()
    before = files_in(project)
    with pytest.raises(OutputError, match=r"(?s)ModelContract\.kt.*--force"):
        export_android(run, project)
    assert files_in(project) == before
    assert not list((project / "app").glob(".*"))
    if how == "folder":
        with pytest.raises(OutputError, match="Is a directory"):
            export_android(run, project, force=True)
    else:
        export_android(run, project, force=True)
        assert "object ModelContract" in target.read_text(encoding="utf-8")
        assert "android {}" in (project / "app/build.gradle.kts").read_text()


def test_a_file_where_a_folder_is_needed_stops_all(run: Path, project: Path) -> None:
    (project / "app/src/test").write_text("mine\n")
    before = files_in(project)
    with pytest.raises(OutputError, match=r"src/test is a file, where the export needs a folder"):
        export_android(run, project, force=True)
    assert files_in(project) == before


def test_an_export_that_was_stopped_half_way_is_taken_up(
    run: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_android(run, project)
    replaced = 0
    replace = os.replace

    def stopping(source: Path, target: Path) -> None:
        nonlocal replaced
        replaced += 1
        if replaced == 20:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopping)
    pictures = run.parent / "pictures"
    pictures.mkdir()
    Image.new("RGB", (9, 9), "red").save(pictures / "red.png")
    with pytest.raises(OutputError, match="No space left"):
        export_android(run, project, pictures=pictures, with_float=False)
    monkeypatch.undo()
    export_android(run, project, pictures=pictures, with_float=False)
    golden = json.loads((project / "app" / GOLDEN / "golden.json").read_text(encoding="utf-8"))
    assert [vector["name"] for vector in golden["vectors"]] == ["red.png"]
    assert not (project / "app" / GOLDEN / "007.pixels").exists()


def test_no_run_folder(project: Path, tmp_path: Path) -> None:
    ran = edgekit("export-android", tmp_path, "--to", project, cwd=tmp_path)
    refused(ran, 2, "is no run folder")


def test_a_run_of_another_format_is_told_so(run: Path, project: Path) -> None:
    (run / "model.tflite").rename(run / "model.onnx")
    (run / "model.float.tflite").unlink()
    with pytest.raises(UsageError, match=r"holds model\.onnx; an Android app takes model\.tflite"):
        export_android(run, project)


@pytest.mark.parametrize("name", ["contract.json", "report.json"])
def test_a_run_that_lacks_a_file_is_told_so(run: Path, project: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(UsageError, match=f"has no {name}, which the app needs"):
        export_android(run, project)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}'])
def test_a_report_that_nothing_reads_is_told_so(run: Path, project: Path, text: str) -> None:
    (run / "report.json").write_text(text)
    with pytest.raises(UsageError, match=r"report\.json: not "):
        export_android(run, project)
    assert files_in(project / "app").keys() == {"build.gradle.kts"}


def test_a_contract_of_another_schema_is_told_so(run: Path, project: Path) -> None:
    edit_json(run / "contract.json", schema=2)
    with pytest.raises(UsageError, match=r"contract\.json: has schema 2, this edgekit .* schema 1"):
        export_android(run, project)


def test_a_changed_file_of_the_run_is_told_so(run: Path, project: Path) -> None:
    with (run / "model.tflite").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UsageError, match=r"model\.tflite is not the file that the run wrote"):
        export_android(run, project)
    assert files_in(project / "app").keys() == {"build.gradle.kts"}


def test_missing_labels_are_asked_for_and_taken(run: Path, project: Path) -> None:
    (run / "labels.txt").unlink()
    with pytest.raises(UsageError, match=r"has no labels\.txt.*\n.*--labels FILE"):
        export_android(run, project)
    names = run.parent / "own.txt"
    names.write_text("a\nb\nc\nd\n")
    with pytest.raises(UsageError, match="4 labels for a model with 5 classes"):
        export_android(run, project, labels=names)
    names.write_text("a\nb\nc\nd\ne\n")
    export_android(run, project, labels=names)
    assert (project / "app" / ASSETS / "labels.txt").read_text() == "a\nb\nc\nd\ne\n"
    as_json = run.parent / "own.json"
    as_json.write_text('["v", "w", "x", "y", "z"]')
    export_android(run, project, labels=as_json)
    assert (project / "app" / ASSETS / "labels.txt").read_text() == "v\nw\nx\ny\nz\n"
    with pytest.raises(UsageError, match=r"there is no file .*nowhere"):
        export_android(run, project, labels=run / "nowhere")


def test_classes_may_lie_on_any_axis(run: Path, project: Path) -> None:
    contract = json.loads((run / "contract.json").read_text(encoding="utf-8"))
    (output,) = contract["outputs"]
    edit_json(run / "contract.json", outputs=[{**output, "shape": [1, 5, 1, 1]}])
    assert export_android(run, project).pictures == 8


def test_a_model_that_takes_arrays_is_refused(tmp_path: Path, project: Path) -> None:
    tiny_runs.write_model(tmp_path)
    tiny_runs.write_arrays(tmp_path)
    quantize(str(tiny_runs.write_recipe(tmp_path)), out=tmp_path / "arrays")
    with pytest.raises(UsageError, match=r"fed with arrays.*one picture"):
        export_android(tmp_path / "arrays", project)


def test_no_android_project(run: Path, tmp_path: Path) -> None:
    for folder, why in ((tmp_path / "nowhere", "no folder"), (run, "is no Android project")):
        with pytest.raises(UsageError, match=why):
            export_android(run, folder)


@pytest.mark.parametrize("package", ["model", "a.in.b", "A.b", "a..b", "a.b;", "a.1b", ""])
def test_no_package_name(package: str) -> None:
    with pytest.raises(UsageError, match="is no package name"):
        check_package(package)


def test_pictures_that_cannot_be_read_are_named(run: Path, project: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    with pytest.raises(UsageError, match="holds no pictures"):
        export_android(run, project, pictures=pictures)
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(UsageError, match=r"broken\.png"):
        export_android(run, project, pictures=pictures)
    assert files_in(project / "app").keys() == {"build.gradle.kts"}


def test_pictures_of_one_name_are_told_apart_by_their_types(
    run: Path, project: Path, tmp_path: Path
) -> None:
    """Kotlin asks for them by name: of two with one name it would see the first twice."""
    (tmp_path / "pictures").mkdir()
    for kind in ("png", "jpg"):
        Image.new("RGB", (9, 9), "red").save(tmp_path / f"pictures/same.{kind}")
    export_android(run, project, pictures=tmp_path / "pictures")
    golden = json.loads((project / "app" / GOLDEN / "golden.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in golden["vectors"]] == ["same.jpg", "same.png"]


def test_pictures_beyond_what_a_project_should_hold_are_refused(
    run: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.android.pictures.MAX_PIXELS", 100)
    (tmp_path / "pictures").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (9, 9), "red").save(tmp_path / f"pictures/{name}.png")
    with pytest.raises(UsageError, match=r"million pixels by b\.png"):
        export_android(run, project, pictures=tmp_path / "pictures")


def test_a_folder_that_cannot_be_written_is_one_sentence(
    run: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(module, "staging_folder", full)
    with pytest.raises(EdgekitError, match=r"cannot write to .*: Read-only file system"):
        export_android(run, project)


def test_the_command_says_what_it_did(run: Path, project: Path) -> None:
    ran = edgekit("export-android", run, "--to", project, "--json", "-q", cwd=project)
    assert ran.code == 0, ran
    assert ran.stderr == ""
    found = json.loads(ran.stdout)
    assert found["golden_vectors"] == 8
    assert found["core_copied"]
    assert CONTRACT_KT in found["files"]
    ran = edgekit("export-android", run, "--to", project, cwd=project)
    assert ran.stdout.endswith("golden vectors of 8 pictures among them\n")
    assert "core: copied" in ran.stderr


def test_without_a_project_it_is_asked_for(run: Path, tmp_path: Path) -> None:
    refused(edgekit("export-android", run, cwd=tmp_path), 2, "--to DIR")


def test_names_that_mean_something_in_kotlin_are_escaped(run: Path) -> None:
    contract = json.loads((run / "contract.json").read_text(encoding="utf-8"))
    contract["inputs"][0]["name"] = 'a"$b\\\u2603\U0001f600'
    source = contract_source("a.b", contract, run="x */ evil\n", model_sha256="0")
    assert '"a\\"\\$b\\\\\\u2603\\ud83d\\ude00"' in source
    assert "run x */ evil?" not in source
    assert np.all([ord(char) < 127 for char in source])


@pytest.mark.slow
@kotlin.needs_kotlin
def test_what_is_generated_compiles_and_its_own_test_passes(run: Path, project: Path) -> None:
    export_android(run, project)
    source = project / "app/src"
    core = kotlin.compile_core()
    copied = {path.name: path.read_bytes() for path in (source / CORE_COPY).iterdir()}
    assert copied == {path.name: path.read_bytes() for path in kotlin.CORE.rglob("*.kt")}
    generated = [source / "main" / MODEL_PACKAGE, source / "test" / MODEL_PACKAGE]
    compiled = kotlin.compile_kotlin(generated, [core.jar, *kotlin.TESTING])
    assert compiled.ok, compiled.said
    tested = kotlin.run_tests(
        [compiled.jar, core.jar, source / "test/resources"], ["dev.edgekit.model.ModelContractTest"]
    )
    assert (tested.code, tested.passed, tested.failed) == (0, 2, 0), tested.output
