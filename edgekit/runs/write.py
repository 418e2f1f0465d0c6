"""Write everything of a finished run into its folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.artefact import open_artefact
from edgekit.data.audio import AudioForm
from edgekit.data.preprocess import Preprocessor
from edgekit.data.roles import RunData
from edgekit.data.tokens import open_tokenizer
from edgekit.progress import SilentProgress
from edgekit.recipe import recipe_to_dict
from edgekit.recipe.schema import Recipe
from edgekit.report.evidence import evidence_to_dict
from edgekit.report.html import html
from edgekit.report.junit import junit
from edgekit.report.markdown import markdown
from edgekit.report.report import Report
from edgekit.report.saved import EVIDENCE_FILE, REPORT_FILE
from edgekit.report.terminal import relative
from edgekit.runs.contract import contract
from edgekit.runs.labels import Labels, check_label_count
from edgekit.runs.manifest import manifest
from edgekit.sources.source import SourceModel
from edgekit.types import ArtefactFormat, ModelKind

FLOAT_FILE = "model.float.tflite"
LABELS_FILE = "labels.txt"
# Files that keep the layout of the PyTorch or ONNX model they were made from.
_CHANNELS_FIRST = (ArtefactFormat.PT2, ArtefactFormat.TORCHSCRIPT, ArtefactFormat.ONNX)


def write_run(
    folder: Path,
    report: Report,
    recipe: Recipe,
    source: SourceModel,
    baseline: SourceModel,
    data: RunData,
    labels: Labels | None,
) -> None:
    """Add to the artefact in ``folder`` all that belongs beside it; manifest.json comes last.

    ``source`` is the model as it was given, ``baseline`` the float model in the artefact's format.
    """
    if baseline.kind is ModelKind.FLOAT_TFLITE:
        shutil.copyfile(baseline.files["model"], folder / FLOAT_FILE)
    with open_artefact(report.artefact) as session:
        info = session.info
    primary = next(end for end in info.outputs if end.name == source.outputs[0])
    if labels is not None:
        check_label_count(labels, primary.shape[-1])
        (folder / LABELS_FILE).write_text("\n".join(labels.names) + "\n", encoding="utf-8")
    steps, used = _preprocessing(recipe)
    if not report.artefact.renamed:  # a contract speaks of the file's own names
        _write_json(
            folder / "contract.json",
            contract(
                info,
                recipe.model.inputs,
                steps,
                task=recipe.evaluate.task,
                primary=primary.name,
                labels=None if labels is None else LABELS_FILE,
                channels_first=report.artefact.format in _CHANNELS_FIRST,
            ),
        )
    write_reports(folder, report, None if labels is None else labels.names)
    _write_json(
        folder / "manifest.json",
        manifest(
            recipe=recipe_to_dict(recipe),
            inputs={**source.files, **used, **({} if labels is None else {"labels": labels.file})},
            data=data.by_use,
            outputs=folder,
            seed=recipe.quantize.seed,
            stages=[dataclasses.asdict(stage) for stage in report.stages],
        ),
    )


def write_reports(folder: Path, report: Report, class_names: Sequence[str] | None) -> None:
    """report.json and what stands behind it, and both rendered for people and for CI."""
    document = report.to_dict()
    evidence = evidence_to_dict(report.evidence, class_names)
    _write_json(folder / REPORT_FILE, document)
    _write_json(folder / EVIDENCE_FILE, evidence)
    name = relative(report.folder)
    for file, text in (
        ("report.html", html(document, evidence, name)),
        ("report.md", markdown(document, name)),
        ("junit.xml", junit(document)),
    ):
        (folder / file).write_text(text, encoding="utf-8")


def _preprocessing(recipe: Recipe) -> tuple[dict[str, Any], dict[str, Path]]:
    """The steps of the contract by input name, and the files they need, by role."""
    preprocess, inputs = recipe.preprocess, recipe.model.inputs
    if preprocess.kind == "text":
        tokenizer = open_tokenizer(preprocess, inputs, SilentProgress())
        return tokenizer.steps(), {"tokenizer": tokenizer.file}
    if preprocess.kind == "audio":
        form = AudioForm.of(preprocess, inputs)
        return {form.input.name: form.steps()}, {}
    image = next((spec for spec in inputs if len(spec.shape) == 4), None)
    if preprocess.kind == "image" and image is not None:
        return {image.name: Preprocessor(preprocess, image).steps()}, {}
    return {}, {}


def _write_json(file: Path, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")
