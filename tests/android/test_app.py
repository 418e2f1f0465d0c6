"""android_demo/app without an Android SDK: it compiles, and names only what Android has."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.android import kotlin
from tests.android.api import Member, Stubs, members_declared, members_named
from tests.android.resources import class_r, dangling, resources

APP = kotlin.DEMO / "app/src/main"
RES = APP / "res"
STUBS = Path(__file__).parent / "stubs"
ENGINE_TEST = Path(__file__).parent / "engine"
_ANDROID = "{http://schemas.android.com/apk/res/android}"
_FORMAT = re.compile(r"%(\d)\$(?:\.\d)?([sdf])")


@pytest.fixture(scope="module")
def stub_jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stubs of Android, AndroidX and LiteRT, and R of the demo's own resources."""
    folder = tmp_path_factory.mktemp("stubs")
    for bundle in STUBS.glob("*.java.txt"):
        for part in bundle.read_text(encoding="utf-8").split("//// ")[1:]:
            name, _, source = part.partition("\n")
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source, encoding="utf-8")
    r = folder / "dev/edgekit/demo/R.java"
    r.parent.mkdir(parents=True)
    r.write_text(class_r("dev.edgekit.demo", resources(RES)), encoding="utf-8")
    return kotlin.compile_java(folder)


@pytest.fixture(scope="module")
def app_jar(stub_jar: Path) -> Path:
    """The app's classes and the test of its engine, compiled with warnings as errors."""
    sources = [APP / "kotlin", STUBS / "kotlin", ENGINE_TEST]
    core = kotlin.compile_core().jar
    libraries = [core, stub_jar, kotlin.COROUTINES, *kotlin.TESTING]
    compiled = kotlin.compile_kotlin(sources, libraries)
    assert compiled.ok, compiled.said
    return compiled.jar


@pytest.fixture(scope="module")
def android() -> Stubs:
    """What was made from Google's android.jar of API 36."""
    return Stubs(kotlin.STUBS)


@kotlin.needs_kotlin
def test_all_of_android_that_the_app_names_is_in_api_36(app_jar: Path, android: Stubs) -> None:
    members, classes = members_named(app_jar, "dev/edgekit/demo/")
    assert len(members) > 40
    assert sorted(str(member) for member in members if not android.has(member)) == []
    assert sorted(name for name in classes if not android.has_class(name)) == []
    print(f"{len(members)} members and {len(classes)} classes of Android are in API 36")


@kotlin.needs_kotlin
def test_the_engine_closes_what_it_opened_on_every_path(app_jar: Path, stub_jar: Path) -> None:
    tested = kotlin.run_tests(
        [app_jar, stub_jar, kotlin.compile_core().jar],
        [f"dev.edgekit.demo.{name}" for name in kotlin.classes_in(ENGINE_TEST)],
    )
    assert (tested.code, tested.failed) == (0, 0), tested.output
    assert tested.passed >= 9


@kotlin.needs_kotlin
def test_the_stubs_claim_nothing_that_is_not_in_api_36(stub_jar: Path, android: Stubs) -> None:
    claimed = members_declared(stub_jar, "android/")
    assert len(claimed) > 60
    assert sorted(str(member) for member in claimed if not android.has(member)) == []


@kotlin.needs_kotlin
@pytest.mark.parametrize(
    "wrong",
    [
        Member("android.content.res.AssetManager", "nope", ("Ljava/lang/String;",)),
        Member("android.content.res.AssetManager", "openFd", ("Ljava/io/File;",)),
        Member("android.content.res.AssetManager", "openFd", ()),
        Member("android.graphics.Bitmap", "getPixels", ("[J", "I", "I", "I", "I", "I", "I")),
        Member("android.view.View", "setVisibility", ("J",)),
        Member("android.os.Build.VERSION", "SDK_LONG", None),
        Member("android.os.Build.VERSION", "SDK_INT", ()),
        Member("android.nowhere.Nothing", "__init__", ()),
        Member("android.content.Intent", "__init__", ("Ljava/lang/Class;", "Ljava/lang/Class;")),
    ],
)
def test_a_member_that_android_lacks_is_found(android: Stubs, wrong: Member) -> None:
    assert not android.has(wrong)


@kotlin.needs_kotlin
def test_a_call_that_android_lacks_is_found_in_bytecode(android: Stubs, tmp_path: Path) -> None:
    """A negative control of the whole way: a stub that claims too much, and code that calls it."""
    (tmp_path / "AssetManager.java").write_text(
        "package android.content.res; public class AssetManager { public void nope() {} }"
    )
    (tmp_path / "Wrong.java").write_text(
        "package dev.edgekit.wrong;"
        "class Wrong { void f(android.content.res.AssetManager a) { a.nope(); } }"
    )
    jar = kotlin.compile_java(tmp_path)
    members, classes = members_named(jar, "dev/edgekit/wrong/")
    assert members == {Member("android.content.res.AssetManager", "nope", ())}
    assert not any(map(android.has, members))
    assert all(map(android.has_class, classes))


@pytest.mark.slow
@kotlin.needs_kotlin
def test_a_warning_is_an_error(tmp_path: Path) -> None:
    code = tmp_path / "Warned.kt"
    code.write_text('@Deprecated("") fun old() = 1\n\nfun f() = old()\n')
    compiled = kotlin.compile_kotlin([code], [])
    assert not compiled.ok
    assert "warning" in compiled.said


def test_every_resource_that_xml_names_is_there() -> None:
    files = [APP / "AndroidManifest.xml", *RES.rglob("*.xml")]
    assert len(files) >= 8
    assert dangling(files, resources(RES)) == []


def test_every_component_of_the_manifest_has_its_class() -> None:
    root = ElementTree.parse(APP / "AndroidManifest.xml").getroot()
    names = [each.attrib[f"{_ANDROID}name"] for each in root.iter("activity")]
    assert len(names) == 2
    for name in names:
        assert (APP / "kotlin/dev/edgekit/demo" / f"{name[1:]}.kt").is_file()
    assert root.find("uses-permission") is None


def test_no_text_of_the_screens_stands_outside_the_resources() -> None:
    for file in (RES / "layout").glob("*.xml"):
        for element in ElementTree.parse(file).getroot().iter():
            for name in ("text", "contentDescription", "hint"):
                value = element.attrib.get(f"{_ANDROID}{name}", "@")
                assert value.startswith("@"), (file.name, value)
            if element.tag in ("ImageView", "ImageButton", "ProgressBar"):
                assert f"{_ANDROID}contentDescription" in element.attrib, file.name


def test_every_format_gets_what_it_takes() -> None:
    texts = {
        each.attrib["name"]: each.text or ""
        for each in ElementTree.parse(RES / "values/strings.xml").getroot().iter("string")
    }
    code = "\n".join(file.read_text(encoding="utf-8") for file in (APP / "kotlin").rglob("*.kt"))
    used = set(re.findall(r"R\.string\.(\w+)", code))
    in_xml = "\n".join(file.read_text(encoding="utf-8") for file in APP.rglob("*.xml"))
    used |= set(re.findall(r"@string/(\w+)", in_xml))
    assert used == set(texts)
    for name, text in texts.items():
        places = {int(place) for place, _ in _FORMAT.findall(text)}
        assert places == set(range(1, len(places) + 1)), name
        assert len(re.findall(r"(?<!%)%(?!%)", text)) == len(_FORMAT.findall(text)), name


def test_dark_and_light_have_the_same_styles() -> None:
    day, night = (
        {each.attrib["name"] for each in ElementTree.parse(RES / folder / "themes.xml").getroot()}
        for folder in ("values", "values-night")
    )
    assert day == night != set()
