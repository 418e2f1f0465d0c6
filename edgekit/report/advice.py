"""What to do about a check that did not pass, by its name and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ACCURACY = (
    "`edgekit debug {run}` shows the layers that lose it; then try `--set quantize.effort=best`, "
    "more calibration samples, or leave the worst layers out of INT8"
)
# Beginning of a check's name -> what helps where it failed; the first that fits counts.
_FAILED = (
    ("artefact.full_integer", "replace the named operators in the model, or list them under "
     "`quantize.allow_float_ops` if the target runs them"),
    ("artefact.", "change the recipe to what the file has, or ask the method for it"),
    ("size.", "look for layers left float in `report.json`; a smaller model is the other way"),
    ("fidelity.", _ACCURACY),
    ("accuracy.", _ACCURACY),
    ("latency.", "measure on a quiet machine, and on the device itself: INT8 pays off where the "
     "CPU has an INT8 dot product"),
    ("memory.", "a smaller input or model takes less, and so do fewer `latency.threads`"),
    ("baseline.", "compare the files: `edgekit compare OLD NEW --recipe RECIPE`; where the new one "
     "is meant to be so, make its report the baseline"),
    ("runtime.", "ship the runtime the file was made for, or another method for the older one"),
)  # fmt: skip
_UNDECIDED = (
    ("accuracy.", "evaluate on more labelled samples: the interval is too wide for this limit"),
    ("baseline.accuracy.", "evaluate both on more labelled samples"),
    ("latency.", "more `latency.rounds` on a quiet machine make the interval narrower"),
)


def advice(report: Mapping[str, Any], run: str) -> Iterator[str]:
    """Sentences, each once, required checks first. Code is in backticks; ``run`` is how commands
    name the run."""
    said: set[str] = set()
    for check in sorted(report["checks"], key=lambda each: not each["required"]):
        if not check["required"] or check["status"] == "pass":
            continue
        text = _about(check).replace("{run}", run)
        if text not in said:
            said.add(text)
            yield text


def _about(check: Mapping[str, Any]) -> str:
    if check["status"] == "not_measured":
        return "give what is missing, see the check's reason, and run it again"
    table = _FAILED if check["status"] == "fail" else _UNDECIDED
    found = (text for start, text in table if check["name"].startswith(start))
    return next(found, "see the check's reason")
