"""Roles of rows: disjoint by content, fair in every first part."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.rows import FileRows, RowRoles, Span, pick
from edgekit.errors import DataError
from edgekit.types import Role

HASHES = st.lists(st.none() | st.text("0123456789abcdef", min_size=2, max_size=2), max_size=30)


@st.composite
def roles(draw: st.DrawFn, rows: int) -> RowRoles:
    """A way to give roles to that many rows: by content, all to one, or in spans."""
    way = draw(st.sampled_from(["split", "one", "spans"]))
    if way == "split" or rows == 0:
        return RowRoles(None)
    if way == "one":
        return RowRoles({draw(st.sampled_from(Role)): ((0, None),)})
    cuts = sorted(draw(st.sets(st.integers(0, rows), min_size=2, max_size=4)))
    spans: dict[Role, tuple[Span, ...]] = {}
    for first, end in pairwise(cuts):
        role = draw(st.sampled_from(Role))
        spans[role] = (*spans.get(role, ()), (first, end))
    return RowRoles(spans)


@st.composite
def files(draw: st.DrawFn) -> list[FileRows]:
    made = []
    for number in range(draw(st.integers(1, 3))):
        hashes = draw(HASHES)
        labels = [None if sha is None else int(sha, 16) % 3 for sha in hashes]
        made.append(FileRows(f"f{number}", hashes, labels, draw(roles(len(hashes)))))
    return made


@given(files())
def test_roles_share_no_content_and_nothing_else_is_lost(parts: list[FileRows]) -> None:
    picked = {role: pick(parts, role, None) for role in Role}
    contents = {
        role: {parts[file].hashes[row] for file, row in found.rows}
        for role, found in picked.items()
    }
    assert sum(map(len, contents.values())) == len(set().union(*contents.values()))
    assert None not in set().union(*contents.values())
    given_roles = sum(len(found.rows) + found.repeated for found in picked.values())
    whole = sum(
        sum(sha is not None for sha in part.hashes)
        if part.roles.spans is None
        else sum(
            sha is not None
            for spans in part.roles.spans.values()
            for first, end in spans
            for sha in part.hashes[first:end]
        )
        for part in parts
    )
    assert given_roles == whole
    assert picked[Role.EVAL].repeated == 0


@given(files(), st.sampled_from(Role), st.integers(0, 20))
def test_a_smaller_sample_is_the_first_part_of_a_larger(
    parts: list[FileRows], role: Role, samples: int
) -> None:
    assert pick(parts, role, samples).rows == pick(parts, role, None).rows[:samples]


@given(files(), st.sampled_from(Role))
def test_files_that_do_not_concern_a_role_change_nothing(parts: list[FileRows], role: Role) -> None:
    concerned = [part for part in parts if part.roles.concern(role)]
    names = [(concerned[f].name, row) for f, row in pick(concerned, role, None).rows]
    assert names == [(parts[f].name, row) for f, row in pick(parts, role, None).rows]


def test_the_verdict_keeps_what_is_shared() -> None:
    first = FileRows("a", ["x", "y", "z", "w"], [0] * 4, RowRoles({Role.CALIBRATION: ((0, None),)}))
    second = FileRows(
        "b", ["y", "v", "w"], [0] * 3, RowRoles({Role.EVAL: ((0, 2),), Role.DEV: ((2, 3),)})
    )
    assert sorted(pick([first, second], Role.CALIBRATION, None).rows) == [(0, 0), (0, 2)]
    assert pick([first, second], Role.CALIBRATION, None).repeated == 2
    assert sorted(pick([first, second], Role.EVAL, None).rows) == [(1, 0), (1, 1)]
    assert pick([first, second], Role.DEV, None).rows == ((1, 2),)


@pytest.mark.parametrize("samples", [10, 50, 100, 333])
def test_any_first_part_has_each_class_as_often_as_the_whole(samples: int) -> None:
    labels = [0] * 700 + [1] * 200 + [2] * 100
    hashes = [f"{row * 7919 % 1000:04}" for row in range(1000)]
    part = FileRows("a", hashes, labels, RowRoles({Role.EVAL: ((0, None),)}))
    counts = Counter(labels[row] for _, row in pick([part], Role.EVAL, samples).rows)
    for label, share in ((0, 0.7), (1, 0.2), (2, 0.1)):
        assert abs(counts[label] - share * samples) <= 1


def test_order_is_by_content_not_by_place() -> None:
    hashes = [f"{row * 7919 % 101:03}" for row in range(100)]
    roles = RowRoles({Role.EVAL: ((0, None),)})
    forward = pick([FileRows("a", hashes, [0] * 100, roles)], Role.EVAL, None)
    backward = pick([FileRows("a", hashes[::-1], [0] * 100, roles)], Role.EVAL, None)
    assert [hashes[row] for _, row in forward.rows] == [
        hashes[::-1][row] for _, row in backward.rows
    ]


@pytest.mark.parametrize("span", [(0, 5), (4, None), (4, 5)])
def test_rows_that_are_not_there(span: Span) -> None:
    part = FileRows("a.idx", list("wxyz"), [0] * 4, RowRoles({Role.DEV: (span,)}))
    with pytest.raises(DataError, match=r"a\.idx has 4 rows.*dev those from"):
        pick([part], Role.DEV, None)
