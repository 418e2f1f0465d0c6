"""Fine-tuning: what is learnt, that it is repeatable, and what goes wrong on the way."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.data.arrays import ArrayDataset, open_arrays
from edgekit.errors import ConversionError, DataError, EdgekitError, SourceError
from edgekit.progress import SilentProgress, Task
from edgekit.pytorch import training
from edgekit.pytorch.training import batches, fine_tune
from edgekit.recipe.schema import InputSpec, PreprocessSpec, QatSpec
from edgekit.types import Role

IMAGE = InputSpec("image", (1, 2, 4, 4), "float32", "NCHW")
CLASSES = 3


def _data(folder: Path, rows: int = 60, labels: Any = "means") -> ArrayDataset:
    """Half of ``rows``: noise, its class told by which of two channels is larger, and by how
    much."""
    x = np.random.default_rng(0).normal(size=(rows, 2, 4, 4)).astype(np.float32)
    arrays = {"image": x}
    if labels is not None:
        lead = x.mean((2, 3)) @ [1, -1]
        found = np.digitize(lead, [-0.1, 0.1]) if isinstance(labels, str) else labels(rows)
        arrays["labels"] = found
    np.savez(folder / "data.npz", **arrays)  # type: ignore[arg-type]
    return open_arrays(
        folder / "data.npz", Role.CALIBRATION, (IMAGE,), PreprocessSpec(kind="arrays"), None
    )


class Net(torch.nn.Module):
    """Returns two outputs, of which the first are the scores."""

    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.conv = torch.nn.Conv2d(2, 4, 3)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.dropout(self.conv(x).relu().flatten(1))
        return self.head(h), h


def _tune(
    dataset: ArrayDataset,
    net: torch.nn.Module | None = None,
    *,
    seed: int = 0,
    on_freeze: Callable[[], None] = lambda: None,
    progress: Any = None,
    **options: Any,
) -> tuple[float, ...]:
    given = {"steps": 40, "batch": 8, "learning_rate": 1e-2, **options}
    return fine_tune(
        net or Net(),
        QatSpec(**given),
        dataset,
        (IMAGE,),
        seed=seed,
        threads=1,
        progress=progress or SilentProgress(),
        on_freeze=on_freeze,
    )


class Counting(SilentProgress):
    """Its own only task."""

    def __init__(self) -> None:
        self.steps = 0

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        yield self

    def advance(self, steps: int = 1) -> None:
        self.steps += steps


def _write_step(folder: Path, body: str) -> str:
    text = f"import torch\n\ndef step(model, inputs, labels):\n    {body}\n"
    (folder / "my_step.py").write_text(text)
    return f"{folder / 'my_step.py'}:step"


def test_the_loss_falls(tmp_path: Path) -> None:
    losses = _tune(_data(tmp_path))
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        net = Net(dropout=0.3)
        _tune(_data(tmp_path), net, seed=seed, steps=10)
        return torch.cat([weight.detach().flatten() for weight in net.parameters()])

    torch.manual_seed(1)
    first = weights(5)
    torch.manual_seed(2)
    assert torch.equal(first, weights(5))
    assert not torch.equal(first, weights(6))


def test_randomness_threads_and_gradients_of_the_process_stay_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(3)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    net = Net()
    torch.set_rng_state(state)
    with torch.no_grad():
        _tune(_data(tmp_path), net, steps=2)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("share", "at"), [(0.0, 0), (0.5, 5), (1.0, 10)])
def test_freezing_comes_once_in_its_place(tmp_path: Path, share: float, at: int) -> None:
    counting = Counting()
    seen: list[int] = []
    _tune(
        _data(tmp_path),
        steps=10,
        freeze_after=share,
        on_freeze=lambda: seen.append(counting.steps),
        progress=counting,
    )
    assert seen == [at]
    assert counting.steps == 10


def test_steps_become_smaller_to_the_end(tmp_path: Path) -> None:
    biases: list[torch.Tensor] = []
    net = Net()

    class Watching(Counting):
        def advance(self, steps: int = 1) -> None:
            biases.append(net.head.bias.detach().clone())

    _tune(_data(tmp_path), net, progress=Watching(), steps=40)
    moved = [float((b - a).abs().max()) for a, b in pairwise(biases)]
    assert moved[-1] < 0.01 * max(moved)


def test_batches_are_in_the_models_own_layout_and_every_sample_comes_in_turn(
    tmp_path: Path,
) -> None:
    dataset = _data(tmp_path)
    originals = {
        sample.feeds["image"].tobytes(): (sample.feeds["image"], sample.label) for sample in dataset
    }
    assert len(dataset) == 30
    keys = []
    for batch in islice(batches(dataset, (IMAGE,), 10, seed=0), 6):
        image = batch.inputs["image"]
        assert image.shape == (10, 2, 4, 4)
        assert batch.labels is not None
        for row, label in zip(image.permute(0, 2, 3, 1), batch.labels, strict=True):
            key = row.contiguous().numpy().tobytes()
            np.testing.assert_array_equal(originals[key][0][0], row.numpy())
            assert originals[key][1] == int(label)
            keys.append(key)
    assert set(keys[:30]) == set(keys[30:]) == set(originals)
    assert keys[:30] != keys[30:]
    assert keys[:30] != list(originals)


def test_more_samples_than_memory_holds_come_in_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _data(tmp_path)
    one = next(iter(dataset)).feeds["image"].nbytes
    monkeypatch.setattr(training, "HELD_BYTES", 12 * one)
    order = [sample.feeds["image"].tobytes() for sample in dataset]
    drawn = [
        batch.inputs["image"].permute(0, 2, 3, 1).contiguous().numpy().tobytes()
        for batch in islice(batches(dataset, (IMAGE,), 1, seed=0), 60)
    ]
    for epoch in (drawn[:30], drawn[30:]):
        for start, end in ((0, 12), (12, 24), (24, 30)):
            assert set(epoch[start:end]) == set(order[start:end])
    assert drawn[:30] != drawn[30:]


def test_a_training_step_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "my_target.py").write_text("TARGET = 0.5\n")
    text = _write_step(
        tmp_path,
        "from my_target import TARGET; assert list(inputs) == ['image'] and labels is None; "
        "return (model(inputs['image'])[1] - TARGET).square().mean()",
    )
    losses = _tune(_data(tmp_path, labels=None), training_step=text, learning_rate=3e-2)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("return labels.no_such_name", SourceError, r"raised AttributeError: .*my_step\.py:4"),
        ("raise SystemExit(0)", SourceError, r"step called sys\.exit\(0\)"),
        ("return 1.0", SourceError, "returned a float, not a loss"),
        ("return None", SourceError, "returned a NoneType, not a loss"),
        ("return model(inputs['image'])[0]", SourceError, r"returned a tensor \[8, 3\]"),
        ("return torch.tensor(2.0)", SourceError, "does not depend on the model's weights"),
        (
            "return model(inputs['image'])[0].sum() * float('nan')",
            ConversionError,
            "the loss of step 1 of 40 is nan",
        ),
    ],
)
def test_a_training_step_that_is_wrong(
    tmp_path: Path, body: str, error: type[EdgekitError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        _tune(_data(tmp_path), training_step=_write_step(tmp_path, body))
    assert caught.value.hint


def test_a_training_step_that_is_not_there(tmp_path: Path) -> None:
    text = _write_step(tmp_path, "return 0")
    with pytest.raises(SourceError, match=r"training_step .* has no 'stepp'\nDid you mean 'step'"):
        _tune(_data(tmp_path), training_step=f"{text}p")
    with pytest.raises(SourceError, match=r"qat\.training_step .*there is no file"):
        _tune(_data(tmp_path), training_step="nowhere.py:step")
    with pytest.raises(SourceError, match=r"training_step 'step' does not name a callable"):
        _tune(_data(tmp_path), training_step="step")
    with pytest.raises(SourceError, match=r"is a float, no function"):
        _tune(_data(tmp_path), training_step="math:pi")


def test_a_loss_that_diverges_names_the_step_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"the loss of step \d+ of 40 is (nan|inf)") as caught:
        _tune(_data(tmp_path), learning_rate=1e37)
    assert "quantize.qat.learning_rate (it is 1e+37)" in str(caught.value.hint)


def test_the_default_loss_wants_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"learns from labels, and data\.npz has none") as caught:
        _tune(_data(tmp_path, labels=None))
    assert "quantize.qat.training_step" in str(caught.value.hint)


def test_the_default_loss_wants_labels_that_are_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"label 9 is no class of the model, which has 3 \(0 to 2"):
        _tune(_data(tmp_path, labels=lambda rows: np.full(rows, 9)))


class Maps(Net):
    """Its first output is a map."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.conv(x), x


class One(Net):
    """Takes one sample only."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.conv(x).relu().reshape(1, 16)
        return self.head(h), h


def test_models_the_default_loss_cannot_use(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"wants class scores \[8, classes\].*\[8, 4, 2, 2\]"):
        _tune(_data(tmp_path), Maps())
    with pytest.raises(ConversionError, match="fails on a batch of 8") as caught:
        _tune(_data(tmp_path), One())
    assert "quantize.qat.batch: 1" in str(caught.value.hint)
    assert len(_tune(_data(tmp_path), One(), batch=1)) == 40


class Interrupting(SilentProgress):
    """Somebody presses Ctrl-C in the third step."""

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        assert (description, total) == ("Fine-tuning", 40)
        steps = iter(range(total or 0))

        class Ticking:
            def advance(self, count: int = 1) -> None:
                if next(steps) == 2:
                    signal.raise_signal(signal.SIGINT)

        yield Ticking()


def test_an_interrupt_ends_it_between_two_steps(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _tune(_data(tmp_path), progress=Interrupting())
