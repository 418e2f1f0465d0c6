"""Golden vectors: what Python computes for a few pictures, for Kotlin to compute again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.android.pictures import Picture
from edgekit.android.run_files import MODEL, RunFiles
from edgekit.cache import file_sha256
from edgekit.errors import DataError
from edgekit.runtimes.quantized_io import dequantize, quantize
from edgekit.runtimes.session import Session

SCHEMA = 1
FILE = "golden.json"
_TOP = 5


def golden_vectors(
    run: RunFiles, session: Session, pictures: Iterable[Picture]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The content of golden.json, and that of the files it names. ``session`` runs the model.

    Of each picture: its pixels as stored in its file (uint8, row by row), the model's input tensor
    to the byte, the sha256 of the float32 tensor before quantization (little-endian), the primary
    output to the byte, and the best five classes of it.

    Raises:
        DataError: a picture that does not come to the model's input.
        SessionError: the model cannot be run.
    """
    files: dict[str, bytes] = {}
    vectors = [
        _vector(run, session, picture, f"{number:03}", files)
        for number, picture in enumerate(pictures)
    ]
    sha256 = file_sha256(run.folder / MODEL)
    return {"schema": SCHEMA, "model_sha256": sha256, "vectors": vectors}, files


def _vector(
    run: RunFiles, session: Session, picture: Picture, stem: str, files: dict[str, bytes]
) -> dict[str, Any]:
    preprocessor = run.preprocessor
    try:
        values = preprocessor.tensor(preprocessor.pixels(picture.image))
    except DataError as error:
        raise DataError(f"{picture.name} {error.message}", hint=error.hint) from error
    (info,) = session.info.inputs
    is_float = values.dtype.kind == "f"
    quantized = info.quant is not None and is_float
    tensor = quantize(values, info.quant, info.dtype) if info.quant and quantized else values
    name = run.contract["meaning"]["primary_output"]
    answer = session.run({info.name: tensor})[name]
    output = next(each for each in session.info.outputs if each.name == name)
    scores = (answer if output.quant is None else dequantize(answer, output.quant)).reshape(-1)
    best = np.argsort(-scores, kind="stable")[:_TOP]  # of equal ones the lower index
    height, width, channels = picture.stored.shape
    for kind, array in (("pixels", picture.stored), ("tensor", tensor), ("answer", answer)):
        little = array.astype(array.dtype.newbyteorder("<"))
        files[f"{stem}.{kind}"] = np.ascontiguousarray(little).tobytes()
    return {
        "name": picture.name,
        "width": width,
        "height": height,
        "channels": channels,
        "exif_orientation": picture.exif_orientation,
        "pixels": f"{stem}.pixels",
        "tensor": f"{stem}.tensor",
        "values_sha256": _sha256(values.astype("<f4").tobytes()) if is_float else None,
        "answer": f"{stem}.answer",
        "top": [
            {"index": int(index), "label": run.labels[index], "score": float(scores[index])}
            for index in best
        ],
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_golden(folder: Path, content: dict[str, Any], files: dict[str, bytes]) -> None:
    """Write what ``golden_vectors`` gave into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")
