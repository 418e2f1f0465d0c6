"""The message format of child sessions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.runtimes.wire import PREFIX, Message, decode, encode
from edgekit.types import Array

ARRAYS = st.dictionaries(
    st.text(max_size=8),
    hnp.arrays(
        st.sampled_from(["float32", "int8", "uint8", "int64", "bool"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    max_size=3,
)
FIELDS = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9) | st.none())


@given(st.text(max_size=6), FIELDS, ARRAYS)
def test_a_message_survives_the_way(
    kind: str, fields: dict[str, object], arrays: dict[str, Array]
) -> None:
    raw = b"".join(encode(Message(kind, fields, arrays)))
    header_length, payload_length = PREFIX.unpack(raw[: PREFIX.size])
    header, payload = raw[PREFIX.size :][:header_length], raw[PREFIX.size :][header_length:]
    assert len(payload) == payload_length
    back = decode(header, bytearray(payload))
    assert (back.kind, back.fields) == (kind, fields)
    assert list(back.arrays) == list(arrays)
    for name, array in arrays.items():
        assert back.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(back.arrays[name], array)


def test_views_are_sent_in_their_own_order() -> None:
    turned = np.arange(6, dtype=np.int8).reshape(2, 3).T
    raw = b"".join(encode(Message("run", arrays={"x": turned})))
    assert raw.endswith(bytes([0, 3, 1, 4, 2, 5]))


def test_a_payload_of_the_wrong_length_is_refused() -> None:
    header = json.dumps({"kind": "ran", "fields": {}, "arrays": [["x", "<f4", [2]]]}).encode()
    with pytest.raises(ValueError, match=r"buffer is smaller|announced"):
        decode(header, bytearray(4))
    with pytest.raises(ValueError, match="12 bytes of arrays where 8 were announced"):
        decode(header, bytearray(12))
