"""The datasets of one run, by role, checked against each other before anything uses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from edgekit.data.checks import Finding, check_overlap, check_representative
from edgekit.data.dataset import Dataset
from edgekit.data.open import open_dataset
from edgekit.data.readings import Readings
from edgekit.errors import DataError
from edgekit.progress import Progress
from edgekit.recipe.schema import Recipe
from edgekit.types import Role

DEV_SAMPLES = 200
"""What a choice is made on where there are fewer whole images than that: crops, if it has any."""
DEV_WHOLE_SAMPLES = 1000
"""What it is made on where there are so many: images, texts or rows, each one of its own."""


@dataclass(frozen=True)
class RunData:
    """``fidelity`` are the eval samples that float and quantized are compared on, crops where the
    recipe asks for more than there are images; ``labelled`` the whole eval images, if labelled."""

    calibration: Dataset
    fidelity: Dataset
    labelled: Dataset | None
    open_dev: Callable[[], Dataset]
    """The dev samples: what every choice is made on. Opened only where something is chosen."""
    open_training: Callable[[int], Dataset]
    """At most so many samples of the calibration role: all that fine-tuning may learn from."""
    findings: tuple[Finding, ...]
    """Warnings only: errors have been raised."""
    dev: Dataset | None = None
    """What ``open_dev`` gave, where something was chosen."""

    @property
    def by_use(self) -> dict[str, Dataset]:
        """The datasets by the names of the fields above."""
        used = {
            "calibration": self.calibration,
            "fidelity": self.fidelity,
            "labelled": self.labelled,
            "dev": self.dev,
        }
        return {use: dataset for use, dataset in used.items() if dataset is not None}


def open_run_data(recipe: Recipe, progress: Progress) -> RunData:
    """Open and check what ``recipe`` names.

    Raises:
        DataError: unreadable, or not fit for its role.
    """
    evaluate = recipe.evaluate
    readings = Readings()
    open_role = partial(
        open_dataset,
        preprocess=recipe.preprocess,
        inputs=recipe.model.inputs,
        progress=progress,
        readings=readings,
    )

    def open_training(samples: int) -> Dataset:
        return open_role(
            recipe.calibration.dataset,
            role=Role.CALIBRATION,
            samples=samples,
            on_broken=recipe.calibration.on_broken,
        )

    calibration = open_training(recipe.calibration.samples)
    fidelity = open_role(
        evaluate.dataset,
        role=Role.EVAL,
        samples=evaluate.samples,
        on_broken=evaluate.on_broken,
    )
    labelled = None
    asked = "evaluate.metrics" if evaluate.metrics else "evaluate.metric" if evaluate.metric else ""
    if asked and not (fidelity.labelled or fidelity.targeted):
        raise DataError(
            f"{asked} asks for scores, but {fidelity.name} has neither labels nor targets",
            hint="Give labelled data; docs/metrics.md says how each kind of data holds them.",
        )
    if evaluate.labelled and (fidelity.labelled or fidelity.targeted):
        labelled = open_role(
            evaluate.dataset,
            role=Role.EVAL,
            samples=None,
            crops=False,
            on_broken=evaluate.on_broken,
            lazy=True,
        )
    findings = (*check_representative(calibration, fidelity), *readings.findings())
    _refuse_errors(findings)

    def open_dev() -> Dataset:
        open_samples = partial(
            open_role, evaluate.dataset, role=Role.DEV, on_broken=evaluate.on_broken
        )
        dev = open_samples(samples=DEV_WHOLE_SAMPLES, crops=False)
        if len(dev) < DEV_SAMPLES:
            dev = open_samples(samples=DEV_SAMPLES)
        for other in (calibration, fidelity):
            _refuse_errors(check_overlap(other, dev))
        for finding in readings.findings():
            if finding not in findings:  # its first reading was the only one then
                progress.warn(f"{finding.name}: {finding.message}")
        return dev

    return RunData(calibration, fidelity, labelled, open_dev, open_training, findings)


def _refuse_errors(findings: tuple[Finding, ...]) -> None:
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise DataError(
            "the data cannot be used:\n  "
            + "\n  ".join(f"{finding.name}: {finding.message}" for finding in errors)
        )
