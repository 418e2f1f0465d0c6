"""One Report object, rendered to the terminal and to JSON."""

from __future__ import annotations

from edgekit.measure.measurements import NotMeasured
from edgekit.report.report import Report
from edgekit.runs.run import Stage

__all__ = ["NotMeasured", "Report", "Stage"]
