"""One line out of what a runtime said."""

from __future__ import annotations

from edgekit.runtimes.cause import MAX_CAUSE_CHARS, condensed_cause


def test_of_a_long_text_the_head_and_the_last_line_are_kept() -> None:
    trace = [f"  File <archive>/code/part{index}.py, in forward" for index in range(40)]
    cause = condensed_cause("\n".join(["first", *trace, "RuntimeError: sizes 3 and 4"]))
    assert cause.startswith("first; File")
    assert cause.endswith("…RuntimeError: sizes 3 and 4")
    assert len(cause) == MAX_CAUSE_CHARS
    assert len(condensed_cause("x" * 900)) == MAX_CAUSE_CHARS
