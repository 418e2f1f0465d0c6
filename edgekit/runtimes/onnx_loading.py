"""Load an ``.onnx`` file into ONNX Runtime, and tell its errors in its own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import MissingError, SessionError
from edgekit.runtimes.cause import condensed_cause

LAYOUTS_PROPERTY = "edgekit.layouts"
"""Key in a file's metadata: a JSON object, by input name the layout, where it is not ``any``."""


def require_onnxruntime() -> Any:
    """The package ``onnxruntime``.

    Raises:
        MissingError: it is not installed.
    """
    try:
        with captured_output():  # it looks for GPUs aloud
            import onnxruntime
    except ImportError as error:
        raise MissingError(
            "running an .onnx model needs onnxruntime, which is not installed",
            hint="pip install 'edgekit[onnx]'",
        ) from error
    return onnxruntime


def load(ort: Any, path: Path, threads: int) -> Any:
    """An ``InferenceSession`` on the CPU.

    Raises:
        SessionError: ONNX Runtime refuses the file; its cause is condensed.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what is fatal; errors come as exceptions
    # Threads of a session at rest must not take time from another that is being measured.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        with captured_output():
            return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise SessionError(
            f"{path.name} cannot be loaded: {condensed_cause(own_words(error, path))}",
            hint="Is it a complete .onnx file whose operators this ONNX Runtime "
            f"({ort.__version__}) knows?",
        ) from error


def stated_layouts(session: Any, name: str) -> dict[str, str]:
    """By input the layout that the file's metadata states (``LAYOUTS_PROPERTY``).

    Raises:
        SessionError: the metadata is damaged.
    """
    text = session.get_modelmeta().custom_metadata_map.get(LAYOUTS_PROPERTY)
    if text is None:
        return {}
    try:
        found = json.loads(text)
        return {str(key): str(value) for key, value in found.items()}
    except (ValueError, AttributeError) as error:
        raise SessionError(
            f"{name} has damaged metadata: {LAYOUTS_PROPERTY} is {text[:80]!r}"
        ) from error


def own_words(error: Exception, path: Path | None = None) -> str:
    """An error's words, without the code in front of them and the place of the file."""
    text = str(error)
    if text.startswith("[ONNXRuntimeError]"):
        text = text.split(" : ", 3)[-1]
    return text if path is None else text.replace(str(path), path.name)
