"""Kotlin's compiler and a JVM for tests: what ``.ci/kotlin`` unpacked. Without it the tests are
skipped, but not where CI is: there they fail, and somebody notices."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
TOOLS = REPOSITORY / "build" / "kotlin"
DEMO = REPOSITORY / "android_demo"
CORE = DEMO / "core/src/main/kotlin"
CORE_TESTS = DEMO / "core/src/test/kotlin"
_LIB = TOOLS / "compiler" / "lib"
STDLIB = _LIB / "kotlin-stdlib.jar"
COROUTINES = _LIB / "kotlinx-coroutines-core-jvm.jar"
TESTING = (
    _LIB / "kotlin-test.jar",
    _LIB / "kotlin-test-junit.jar",
    TOOLS / "junit/junit4.jar",
    TOOLS / "junit/hamcrest-all.jar",
)
KTLINT = TOOLS / "ktlint.jar"
STUBS = TOOLS / "stubs"
"""The Python stubs that were made from Android's own android.jar."""
_COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
# The Kotlin that android_demo/gradle/libs.versions.toml names: nothing newer is used.
_LANGUAGE = ("-language-version", "2.2", "-api-version", "2.2")
_JAVA_17 = ("-jvm-target", "17")
# Of Java's own library: API 24, where the app still runs, knows nothing newer.
_JAVA_8 = ("-jvm-target", "1.8", "-Xjdk-release=1.8")
_TIMEOUT_S = 280
_SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)

needs_kotlin = pytest.mark.skipif(
    os.environ.get("CI") != "true"
    and not ((TOOLS / ".ready").exists() and shutil.which("java") and shutil.which("javac")),
    reason="no Kotlin compiler, or no JDK: run .ci/kotlin",
)


@dataclass(frozen=True)
class Compiled:
    """What a compiler said; ``jar`` is there if it found no mistake."""

    jar: Path
    ok: bool
    said: str


def compile_kotlin(
    sources: Sequence[Path], classpath: Sequence[Path], java: Sequence[str] = _JAVA_17
) -> Compiled:
    """Compile files and folders of ``sources`` with warnings as errors; an equal one is not done
    twice, whatever its verdict was."""
    options = ["-no-stdlib", "-no-reflect", "-Werror", *java, *_LANGUAGE]
    key = _key(sources, classpath, options)
    jar = TOOLS / "compiled" / f"{key}.jar"
    log = jar.with_suffix(".log")
    if not log.exists():
        jar.parent.mkdir(exist_ok=True)
        partial = jar.with_name(f"{key}.{os.getpid()}.jar")
        path = os.pathsep.join(map(str, [STDLIB, *classpath]))
        command = [
            _program("java"),
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-cp",
            f"{_LIB}/*",
            _COMPILER,
        ]
        ran = _run([*command, *options, "-cp", path, "-d", str(partial), *map(str, sources)])
        if ran.returncode == 0:
            partial.replace(jar)
        text = ran.stdout + ran.stderr
        log.write_text(text, encoding="utf-8")
    return Compiled(jar, jar.exists(), log.read_text(encoding="utf-8"))


def compile_core() -> Compiled:
    """core and its unit tests in one jar; fails where they do not compile, or name what Java's
    library has only since Java 9."""
    compiled = compile_kotlin([CORE, CORE_TESTS], TESTING, java=_JAVA_8)
    assert compiled.ok, compiled.said
    return compiled


def compile_java(sources: Path) -> Path:
    """The jar of the Java files below ``sources``."""
    files = sorted(sources.rglob("*.java"))
    key = _key(files, [], [])
    jar = TOOLS / "compiled" / f"{key}.jar"
    if not jar.exists():
        jar.parent.mkdir(exist_ok=True)
        classes = jar.with_suffix(f".{os.getpid()}.classes")
        path = str(_LIB / "annotations-13.0.jar")
        ran = _run(
            [
                _program("javac"),
                "-cp",
                path,
                "-nowarn",
                "-Xlint:none",
                "-d",
                str(classes),
                *map(str, files),
            ]
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        shutil.make_archive(str(classes), "zip", classes)
        shutil.rmtree(classes)
        Path(f"{classes}.zip").replace(jar)
    return jar


def lint(folder: Path) -> str:
    """What ktlint says of the Kotlin below ``folder``: nothing, where it is well. The folder's
    .editorconfig counts."""
    command = [_program("java"), "-jar", str(KTLINT), "--relative", "**/*.kt", "**/*.kts"]
    ran = _run(command, cwd=folder)
    assert ran.returncode == 0 or ran.stdout, ran.stderr
    return ran.stdout


@dataclass(frozen=True)
class Tested:
    """The end of a test run: its exit code, counts and output."""

    code: int
    passed: int
    failed: int
    output: str


def run_tests(
    classpath: Sequence[Path], classes: Sequence[str], properties: dict[str, str] | None = None
) -> Tested:
    """Run JUnit test ``classes`` in a JVM of their own."""
    path = os.pathsep.join(map(str, [*classpath, STDLIB, *TESTING]))
    given = [f"-D{name}={value}" for name, value in (properties or {}).items()]
    ran = _run([_program("java"), *given, "-cp", path, "dev.edgekit.core.RunTestsKt", *classes])
    output = ran.stdout + ran.stderr
    counts = _SUMMARY.findall(ran.stdout)
    assert len(counts) == 1, output
    return Tested(ran.returncode, int(counts[0][0]), int(counts[0][1]), output)


def classes_in(folder: Path) -> list[str]:
    """Names of the classes with tests below ``folder``, by their files' names."""
    return [
        ".".join(file.relative_to(folder).with_suffix("").parts)
        for file in sorted(folder.rglob("*Test.kt"))
    ]


def _program(name: str) -> str:
    program = shutil.which(name)
    assert program is not None, f"there is no {name}: run .ci/kotlin"
    return program


def _run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )


def _key(sources: Sequence[Path], classpath: Sequence[Path], options: Sequence[str]) -> str:
    digest = hashlib.sha256(" ".join(options).encode())
    for source in sources:
        files = sorted(source.rglob("*.kt")) if source.is_dir() else [source]
        for file in files:
            digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    for jar in classpath:
        digest.update(f"{jar.name}\0{jar.stat().st_size}\0".encode())
    return digest.hexdigest()[:16]
