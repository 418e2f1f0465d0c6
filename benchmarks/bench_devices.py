"""``edgekit bench``: what it adds to benchmark_model's own run, and how its ratio repeats.

    python -m benchmarks.bench_devices [RUN_DIR] [--json FILE]

The phone is tests/fake_adbd.py, driven by the real adb program; its benchmark_model sleeps. With
RUN_DIR, the folder of a run that has a float .tflite, the host times that pair five times beside
a process that keeps one CPU busy.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from benchmarks.context import circumstances, conclude, headline, new_console, say
from benchmarks.figure import Figure, Target, render
from benchmarks.process import run
from edgekit.measure.devices.adb_client import find_adb
from edgekit.measure.host import this_host
from tests import tflite_models
from tests.fake_adbd import FakePhone, write_program
from tests.phones import benchmark_program

LAUNCH_S = 0.5
ROUNDS = 5
INVOCATIONS = 5
PORT = "16711"
BUSY = "while True: pass"


def overhead(repeats: int = 3) -> Figure:
    """Seconds a model beyond those that benchmark_model itself ran, the whole command."""
    adb = find_adb()
    extra_s: list[float] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "q.tflite").write_bytes(tflite_models.int8_model())
        (folder / "f.tflite").write_bytes(tflite_models.float_model())
        program = benchmark_program(instead=f"sleep {LAUNCH_S}")
        tool = write_program(folder / "benchmark_model", program)
        phone = FakePhone(folder / "phone")
        env = {"ANDROID_ADB_SERVER_PORT": PORT, "ADB_MDNS": "0", "HOME": name}
        try:
            run([str(adb), "connect", phone.serial], env=env)
            command = [sys.executable, "-m", "edgekit", "bench", str(folder / "q.tflite")]
            command += ["--float", str(folder / "f.tflite"), "--device", f"adb:{phone.serial}"]
            command += ["--benchmark-model", str(tool), "--logs", str(folder / "logs")]
            command += ["--rounds", str(ROUNDS), "--cool-down", "0", "-q", "--json"]
            for _ in range(repeats):
                started = time.monotonic()
                run(command, env=env)
                own_s = 2 * ROUNDS * LAUNCH_S
                extra_s.append((time.monotonic() - started - own_s) / 2)
        finally:
            run([str(adb), "kill-server"], env=env)
            phone.unplug()
    return Figure(
        name="bench on a phone beyond benchmark_model's own run, a model",
        value=median(extra_s),
        unit="s",
        target=Target("<=", 2.0),
        ci=(min(extra_s), max(extra_s)),
        ci_kind=f"range of {repeats} runs",
        notes=(f"two models, {ROUNDS} rounds each; start of Python, copies and answers included",),
    )


def repeated_ratio(folder: Path) -> Figure:
    """How far the speed-ups of several invocations lie from their median, in percent."""
    command = [sys.executable, "-m", "edgekit", "bench", str(folder / "model.tflite")]
    command += ["--float", str(folder / "model.float.tflite"), "-q", "--json"]
    neighbour = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        said = [subprocess.check_output(command) for _ in range(INVOCATIONS)]
    finally:
        neighbour.kill()
        neighbour.wait()
    ratios = [json.loads(each)["devices"][0]["speedup"] for each in said]
    middle = median(ratios)
    return Figure(
        name="speed-up beside a busy process, furthest from the median of 5 invocations",
        value=100 * max(abs(ratio / middle - 1) for ratio in ratios),
        unit="%",
        target=Target("<=", 5.0),
        notes=("speed-ups " + ", ".join(f"{ratio:.3f}" for ratio in ratios),),
    )


@click.command()
@click.argument("run_dir", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
def main(run_dir: Path | None, json_file: Path | None) -> None:
    """Print the figures."""
    console = new_console()
    command = " ".join(["python -m benchmarks.bench_devices", *(["RUN_DIR"] if run_dir else [])])
    context = circumstances(command, this_host(), ["ai-edge-litert", "adbutils"])
    console.print(headline(context))
    say("a phone ...")
    figures = [overhead()]
    if run_dir is not None:
        say("the host, beside a busy process ...")
        figures.append(repeated_ratio(run_dir))
    console.print(render(figures))
    conclude(console, context, figures, json_file)


if __name__ == "__main__":
    main()
