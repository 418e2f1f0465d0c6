"""Signatures that an editor left pointing to the wrong tensors."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import SessionError
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.signature import restore_signatures
from tests import tflite_models as models


def _other_end() -> bytes:
    """The network's last tensor is doubled; the graph returns that, the signature the old one."""
    graph = models.float_graph(models.weights())
    doubled = graph.tensor("doubled", (1, models.CLASSES))
    graph.operator("ADD", [6, 6], [doubled], table="AddOptions")
    model = unpack(models.write([graph], {"serving_default": 0}))
    model.subgraphs[0].outputs = [doubled]
    return pack(model)


def test_the_signature_follows_the_graph() -> None:
    original = models.float_model()
    restored = restore_signatures(_other_end(), original)
    x = np.random.default_rng(0).normal(size=models.INPUT_SHAPE).astype(np.float32)
    with LiteRTSession(original) as before, LiteRTSession(restored) as after:
        expected, found = before.run({"x": x}), after.run({"x": x})
    np.testing.assert_allclose(found["scores"], 2 * expected["scores"], rtol=1e-6)


def test_which_no_runtime_could_read_before() -> None:
    x = np.zeros(models.INPUT_SHAPE, np.float32)
    with LiteRTSession(_other_end()) as session, pytest.raises(SessionError):
        session.run({"x": x})


def test_right_signatures_give_the_same_bytes() -> None:
    for data in (models.two_output_model(), models.two_signature_model(), models.unsigned_model()):
        assert restore_signatures(data, data) is data
