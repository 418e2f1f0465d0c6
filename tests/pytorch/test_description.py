"""What a PyTorch artefact says about itself."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import SessionError
from edgekit.pytorch.description import Description, describe, from_json
from edgekit.recipe.schema import InputSpec

_names = st.text(min_size=1, max_size=8)
_inputs = st.builds(
    InputSpec,
    name=_names,
    shape=st.lists(st.integers(1, 9), max_size=4).map(tuple),
    dtype=st.sampled_from(["float32", "int64"]),
    layout=st.sampled_from(["NCHW", "any"]),
)


@given(
    st.builds(
        Description,
        inputs=st.lists(_inputs, max_size=3).map(tuple),
        outputs=st.lists(_names, max_size=3).map(tuple),
        kept_float=st.dictionaries(_names, _names, max_size=3),
        tools=st.dictionaries(_names, _names, max_size=2),
    )
)
def test_it_reads_back_equal(description: Description) -> None:
    assert from_json(description.to_json(), "model.pt2") == description


def test_it_names_the_versions_that_wrote_it() -> None:
    made = describe((), ("output",), kept_float={}, tools=("torch", "numpy"))
    assert made.tools == {"torch": version("torch"), "numpy": version("numpy")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not say what its inputs and outputs are"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        (json.dumps({"schema": 99}), "another schema"),
        (json.dumps({"schema": 1, "inputs": [], "outputs": [], "wings": 2}), "wings"),
    ],
)
def test_a_description_that_is_none(text: str, message: str) -> None:
    with pytest.raises(SessionError, match=message):
        from_json(text, "model.ts")
