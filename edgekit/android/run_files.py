"""A run folder read for an app: its files, held against the manifest of the run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.cache import file_sha256
from edgekit.data.preprocess import Preprocessor
from edgekit.errors import DataError, IntegrityError, UsageError, Where
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, LabelsSpec, Recipe
from edgekit.report.saved import REPORT_FILE as REPORT
from edgekit.report.saved import read_run
from edgekit.runs.contract import SCHEMA
from edgekit.runs.labels import Labels, check_label_count, load_labels
from edgekit.runs.manifest import FILE as MANIFEST
from edgekit.runs.manifest import recipe_of_run

MODEL = "model.tflite"
FLOAT_MODEL = "model.float.tflite"
CONTRACT = "contract.json"
LABELS = "labels.txt"


@dataclass(frozen=True)
class RunFiles:
    """A run of a model that takes one picture and names its class.

    ``files`` go into the app under these names; ``contract`` is the content of contract.json.
    """

    folder: Path
    recipe: Recipe
    contract: Mapping[str, Any]
    labels: tuple[str, ...]
    files: Mapping[str, Path]

    @property
    def image(self) -> InputSpec:
        """The one input, as the float model takes it."""
        return self.recipe.model.inputs[0]

    @property
    def preprocessor(self) -> Preprocessor:
        """What leads from a picture to it."""
        return Preprocessor(self.recipe.preprocess, self.image)


def read_run_files(
    folder: Path, *, labels: Path | None = None, with_float: bool = True
) -> RunFiles:
    """Read what an app needs of the run in ``folder``; ``labels`` stands in for the run's own.

    Raises:
        UsageError: no run folder, a run of another format or task, or a contract or a report of
            another schema.
        DataError: no class names, or not as many as classes.
        IntegrityError: a file is not the one that the run wrote.
    """
    recipe = recipe_of_run(folder)
    promised = _promised(folder)
    if not (folder / MODEL).is_file():
        made = sorted(path.name for path in folder.glob("model.*")) or ["no model"]
        raise UsageError(
            f"{folder} holds {', '.join(made)}; an Android app takes {MODEL}",
            hint="Quantize with a method that makes a .tflite, e.g. quantize.method: litert_static",
        )
    for name in (CONTRACT, REPORT):
        if not (folder / name).is_file():
            raise UsageError(
                f"{folder} has no {name}, which the app needs",
                hint="Make the run anew with edgekit quantize.",
            )
    for name in (MODEL, FLOAT_MODEL, CONTRACT, LABELS):
        if (folder / name).is_file():
            _check(folder / name, promised)
    read_run(folder)  # which would else fail on the phone, after its benchmark
    contract = _contract(folder / CONTRACT)
    if recipe.preprocess.kind != "image" or len(contract["inputs"]) != 1:
        raise UsageError(
            f"the model of {folder} is fed with {_fed_with(recipe, contract)}; "
            "the Android export is for models that take one picture",
            hint="If it does take pictures, quantize with preprocess.kind: image",
        )
    if recipe.evaluate.task != "classification":
        raise UsageError(
            f"the task of {folder} is {recipe.evaluate.task}; the Android export is for "
            "classification",
        )
    names = _labels(folder, labels)
    primary = contract["meaning"]["primary_output"]
    output = next(each for each in contract["outputs"] if each["name"] == primary)
    check_label_count(names, math.prod(output["shape"]))  # [1, N, 1, 1] are N classes too
    contract["meaning"]["labels"] = LABELS
    files = {MODEL: folder / MODEL, REPORT: folder / REPORT}
    if with_float and (folder / FLOAT_MODEL).is_file():
        files[FLOAT_MODEL] = folder / FLOAT_MODEL
    return RunFiles(folder, recipe, contract, names.names, files)


def _promised(folder: Path) -> Mapping[str, Any]:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    outputs = manifest.get("outputs")
    return outputs if isinstance(outputs, dict) else {}


def _check(file: Path, promised: Mapping[str, Any]) -> None:
    wanted = promised.get(file.name)
    if wanted is None or wanted.get("sha256") != file_sha256(file):
        raise IntegrityError(
            f"{file} is not the file that the run wrote (its {MANIFEST} has another sha256)",
            hint="Make the run anew with edgekit quantize, or undo the change.",
        )


def _contract(file: Path) -> dict[str, Any]:
    contract = json.loads(file.read_text(encoding="utf-8"))
    schema = contract.get("schema") if isinstance(contract, dict) else None
    if schema != SCHEMA:
        raise UsageError(
            f"has schema {schema}, this edgekit writes and exports schema {SCHEMA}",
            where=Where(str(file)),
            hint="Make the run anew with this version of edgekit.",
        )
    return contract  # type: ignore[no-any-return]


def _fed_with(recipe: Recipe, contract: Mapping[str, Any]) -> str:
    if recipe.preprocess.kind != "image":
        return {"arrays": "arrays", "text": "text", "audio": "sound"}[recipe.preprocess.kind]
    return f"{len(contract['inputs'])} inputs"


def _labels(folder: Path, given: Path | None) -> Labels:
    file = given or folder / LABELS
    if not file.is_file():
        what = f"{folder} has no {LABELS}" if given is None else f"there is no file {given}"
        raise DataError(
            f"{what}, so the app could not name a class",
            hint="Give a file with one name a line: --labels FILE",
        )
    return load_labels(LabelsSpec(f"file:{file}"), SilentProgress())
