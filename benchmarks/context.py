"""Under which circumstances a benchmark ran, and what it leaves behind."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.figure import Figure
from edgekit.measure.host import Host


def new_console() -> Console:
    """Wide enough for the tables where nobody watches."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def circumstances(command: str, host: Host, libraries: Sequence[str]) -> dict[str, Any]:
    """As JSON values; the load is that of now."""
    return {
        "command": command,
        "utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cpu": host.cpu,
        "cpus": len(os.sched_getaffinity(0)),
        "int8_dot_product": host.int8_dot_product,
        "load_average_before": os.getloadavg(),
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in libraries},
    }


def headline(context: dict[str, Any]) -> str:
    has = {True: "has", False: "has no", None: "may have an"}[context["int8_dot_product"]]
    return (
        f"{context['command']}\n"
        f"{context['utc']}, {context['cpus']} x {context['cpu']}, which {has} INT8 dot product; "
        f"load average {_loads(context['load_average_before'])} before\n"
        + ", ".join(f"{name} {number}" for name, number in context["libraries"].items())
    )


def conclude(
    console: Console, context: dict[str, Any], figures: Sequence[Figure], json_file: Path | None
) -> None:
    """Print the load that is now, and write everything to ``json_file`` if there is one."""
    context = {**context, "load_average_after": os.getloadavg()}
    console.print(f"load average {_loads(context['load_average_after'])} after")
    if json_file is None:
        return
    content = {**context, "figures": [figure.to_dict() for figure in figures]}
    partial = json_file.with_name(f".{json_file.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(json_file)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def _loads(loads: tuple[float, float, float]) -> str:
    return " ".join(f"{load:.2f}" for load in loads)
