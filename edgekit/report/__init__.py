"""One Report object, rendered to the terminal and to JSON."""

from __future__ import annotations

from edgekit.report.report import NotMeasured, Report, Stage

__all__ = ["NotMeasured", "Report", "Stage"]
