"""The calibration pass: exact extremes, whether the runtime reduces a tensor whole or by rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.progress import SilentProgress
from edgekit.runtimes import open_session
from edgekit.tflite import reductions
from edgekit.tflite.collect import collect_extremes
from edgekit.types import Sample
from tests import tflite_models as models

pytest.importorskip("ai_edge_litert")
WHOLE, BY_ROW = 1 << 40, 1


def _extremes(folder: Path, samples: list[np.ndarray], threads: int = 1):
    graph = reductions.with_extremes(models.float_model())
    file = folder / "instrumented.tflite"
    file.write_bytes(graph.data)
    with (
        open_session(file, threads=threads) as session,
        SilentProgress().task("calibrating") as task,
    ):
        name = session.info.inputs[0].name
        sizes = {output.name: np.prod(output.shape) for output in session.info.outputs}
        feeds = (Sample(str(i), str(i), {name: x}) for i, x in enumerate(samples))
        return collect_extremes(session, graph, feeds, task), sizes


@pytest.mark.parametrize("rows_from", [WHOLE, BY_ROW])
@pytest.mark.parametrize("threads", [1, 2])
def test_extremes_are_those_of_numpy(tmp_path, monkeypatch, rows_from, threads):
    monkeypatch.setattr(reductions, "ROWS_FROM", rows_from)
    rng = np.random.default_rng(5)
    samples = [rng.normal(0, 3, models.INPUT_SHAPE).astype(np.float32) for _ in range(6)]

    found, sizes = _extremes(tmp_path, samples, threads)

    assert list(found) == ["serving_x", "hidden", "serving_scores"]
    weights = models.weights()
    for number, x in enumerate(samples):
        assert found["serving_x"].min[number] == x.min()
        assert found["serving_x"].max[number] == x.max()
        for name, expected in (
            ("hidden", models.hidden(x, weights)),
            ("serving_scores", models.reference(x, weights)),
        ):
            assert found[name].min[number] == pytest.approx(expected.min(), abs=1e-4)
            assert found[name].max[number] == pytest.approx(expected.max(), abs=1e-4)
    # Four rows of the input and of "hidden" are left standing; the scores have no rows.
    rows = 4 if rows_from == BY_ROW else 1
    assert sorted(sizes.values()) == sorted([rows, rows, rows, rows, 1, 1])


def test_no_sample_is_refused(tmp_path):
    with pytest.raises(DataError, match="no sample"):
        _extremes(tmp_path, [])
