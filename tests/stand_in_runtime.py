"""tflite-runtime as LiteRT plays it: the real worker in an environment that needs no venv."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgekit.environments import LocalEnvironment
from edgekit.environments.spec import WORKERS

# LiteRT's interpreter has the functions of the older one.
_INTERPRETER = """
from ai_edge_litert.interpreter import Interpreter as _Newer

class Interpreter(_Newer):
    def __init__(self, path, num_threads):
        super().__init__(path, num_threads=num_threads)
"""


def stand_in_runtime(folder: Path, body: str = "") -> LocalEnvironment:
    """``body`` is added to the class ``Interpreter``, after the last line of its ``__init__``."""
    workers = folder / "workers"
    package = workers / "tflite_runtime"
    package.mkdir(parents=True)
    for name in ("protocol.py", "run_tflite_runtime.py"):
        shutil.copy(WORKERS / name, workers)
    (package / "__init__.py").write_text("__version__ = '2.14.0'\n")
    (package / "interpreter.py").write_text(f"{_INTERPRETER}{body}\n")
    return LocalEnvironment(workers)
