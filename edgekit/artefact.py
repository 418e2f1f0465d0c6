"""What can be done with an artefact of any format: open it, look into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module

from edgekit.runtimes import open_session, open_timed
from edgekit.runtimes.predict import predict
from edgekit.runtimes.renamed import RenamedSession
from edgekit.runtimes.session import Session
from edgekit.types import KEPT_FLOAT, Artefact, ArtefactFacts, ArtefactFormat, Sample

INSPECTORS: dict[ArtefactFormat, str] = {
    ArtefactFormat.TFLITE: "edgekit.tflite.facts",
    ArtefactFormat.ONNX: "edgekit.onnx.facts",
    ArtefactFormat.PT2: "edgekit.pytorch.program_facts",
    ArtefactFormat.TORCHSCRIPT: "edgekit.pytorch.script_facts",
}
"""Module of each format's ``inspect(file) -> ArtefactFacts``."""


def open_artefact(artefact: Artefact, *, threads: int = 1, isolated: bool = False) -> Session:
    """As ``runtimes.open_session``, on the artefact's own runtime, with the model's names."""
    return _named(
        artefact,
        open_session(artefact.path, threads=threads, isolated=isolated, runtime=artefact.runtime),
    )


def open_timed_artefact(artefact: Artefact, *, threads: int = 1) -> Session:
    """As ``runtimes.open_timed``, likewise."""
    return _named(artefact, open_timed(artefact.path, threads=threads, runtime=artefact.runtime))


def _named(artefact: Artefact, session: Session) -> Session:
    return RenamedSession(session, artefact.renamed) if artefact.renamed else session


def inspect_artefact(artefact: Artefact, samples: Iterable[Sample]) -> ArtefactFacts:
    """Load a new file and run ``samples`` where a crash can be survived and named; then read it.

    Raises:
        SessionError: it fails, or takes its process down.
        SourceError: it cannot be read.
    """
    with open_artefact(artefact, isolated=True) as session:
        predict(session, samples)
    facts: ArtefactFacts = import_module(INSPECTORS[artefact.format]).inspect(artefact.path)
    return _with_reasons(facts, artefact.notes.get(KEPT_FLOAT, {}))


def _with_reasons(facts: ArtefactFacts, reasons: Mapping[str, str]) -> ArtefactFacts:
    """What a rule of the recipe left float says so."""
    if facts.float_ops is None or not reasons:
        return facts
    ops = tuple(replace(op, why=reasons.get(op.layer)) for op in facts.float_ops)
    return replace(facts, float_ops=ops)
