"""Short fine-tuning of a prepared PyTorch model: batches, loss, steps.

Imports torch; methods import it when a recipe asks for quantization-aware fine-tuning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.errors import ConversionError, DataError, EdgekitError, SourceError
from edgekit.progress import Progress
from edgekit.pytorch.export import quiet_warnings, torch_threads, users_line
from edgekit.recipe.schema import InputSpec, QatSpec
from edgekit.runtimes.cause import condensed_cause
from edgekit.sources.factory import Factory, exit_told, importable, locate_function
from edgekit.types import Sample

if TYPE_CHECKING:
    from edgekit.data import Dataset

KEY = "quantize.qat.training_step"
HELD_BYTES = 2**30
"""Of samples in memory. More are drawn in chunks of this size, each shuffled by itself."""

Loss = Callable[[torch.nn.Module, dict[str, torch.Tensor], torch.Tensor | None], Any]


@dataclass(frozen=True)
class Batch:
    """``inputs`` by name, in call order and in the model's own layout; ``labels`` int64 ``[N]``,
    ``None`` where a sample has none."""

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor | None


def fine_tune(
    model: torch.nn.Module,
    spec: QatSpec,
    dataset: Dataset,
    inputs: Sequence[InputSpec],
    *,
    seed: int,
    threads: int,
    progress: Progress,
    on_freeze: Callable[[], None],
) -> tuple[float, ...]:
    """Train all weights of ``model`` in place, and return the loss of every step.

    Adam, its learning rate falling to zero along a half cosine (Loshchilov and Hutter 2017,
    arXiv:1608.03983, without restarts).

    ``on_freeze`` is called once, before step ``freeze_after * steps`` (after the last step where
    that is all of them). The same seed, data, threads and machine give the same weights.

    Raises:
        DataError: the default loss without labels, or with labels that are no class of the model.
        SourceError: the recipe's training step cannot be had, raised, or returned no loss.
        ConversionError: the loss became NaN or infinite, or the model cannot take a batch.
    """
    step = _training_step(spec)
    if step is None and not dataset.labelled:
        raise DataError(
            f"fine-tuning learns from labels, and {dataset.name} has none",
            hint=f"Take labelled calibration data, or a loss of your own: {KEY}",
        )
    weights = [weight for weight in model.parameters() if weight.is_floating_point()]
    for weight in weights:
        weight.requires_grad_(True)
    optimizer = torch.optim.Adam(weights, lr=spec.learning_rate)
    # Weights beside a rounding boundary end on one side of it only where steps become small.
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, spec.steps)
    freeze_at = round(spec.freeze_after * spec.steps)
    losses: list[float] = []
    with (
        _settings(seed, threads),
        importable(step.paths if step else ()),
        progress.task("Fine-tuning", spec.steps) as task,
    ):
        loss_of = partial(_users_loss, step, step.function()) if step else _cross_entropy
        drawn = batches(dataset, inputs, spec.batch, seed)
        for number, batch in enumerate(islice(drawn, spec.steps)):
            if number == freeze_at:
                on_freeze()
            losses.append(_step(model, loss_of, batch, optimizer, number, spec))
            schedule.step()
            task.advance()
        if freeze_at == spec.steps:
            on_freeze()
    return tuple(losses)


def batches(dataset: Dataset, inputs: Sequence[InputSpec], size: int, seed: int) -> Iterator[Batch]:
    """``size`` samples at a time, without end, every sample once before any comes again."""
    samples = _shuffled(dataset, np.random.default_rng(seed))
    while drawn := list(islice(samples, size)):
        labels = [sample.label for sample in drawn if sample.label is not None]
        yield Batch(
            inputs={spec.name: _stacked(drawn, spec) for spec in inputs},
            labels=torch.tensor(labels) if len(labels) == len(drawn) else None,
        )


def _shuffled(dataset: Dataset, rng: np.random.Generator) -> Iterator[Sample]:
    held: list[Sample] = []
    while True:
        for chunk in [held] if len(held) == len(dataset) else _chunks(dataset):
            yield from (chunk[index] for index in rng.permutation(len(chunk)))
            held = chunk


def _chunks(dataset: Dataset) -> Iterator[list[Sample]]:
    chunk: list[Sample] = []
    for sample in dataset:
        chunk.append(sample)
        if len(chunk) * sum(array.nbytes for array in sample.feeds.values()) >= HELD_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _stacked(samples: Sequence[Sample], spec: InputSpec) -> torch.Tensor:
    tensor = torch.from_numpy(np.concatenate([sample.feeds[spec.name] for sample in samples]))
    return tensor.permute(0, 3, 1, 2) if spec.layout == "NCHW" else tensor


def _training_step(spec: QatSpec) -> Factory | None:
    return locate_function(spec.training_step, None, key=KEY) if spec.training_step else None


@contextmanager
def _settings(seed: int, threads: int) -> Iterator[None]:
    """What is the process's while training; given back as it was."""
    with (
        torch_threads(threads),
        torch.random.fork_rng(devices=[]),
        torch.enable_grad(),
        quiet_warnings(),
    ):
        torch.manual_seed(seed)
        yield


def _step(
    model: torch.nn.Module,
    loss_of: Loss,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    number: int,
    spec: QatSpec,
) -> float:
    loss = loss_of(model, batch.inputs, batch.labels)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise ConversionError(
            f"fine-tuning: the loss of step {number + 1} of {spec.steps} is {value}",
            hint=f"Take a smaller quantize.qat.learning_rate (it is {spec.learning_rate:g}).",
        )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return value


def _cross_entropy(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor], labels: torch.Tensor | None
) -> torch.Tensor:
    """Of the first output as class scores ``[N, classes]``."""
    scores = _first(_answer(model, inputs))
    size = len(next(iter(inputs.values())))
    if not isinstance(scores, torch.Tensor) or scores.ndim != 2 or len(scores) != size:
        shape = list(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise ConversionError(
            f"fine-tuning wants class scores [{size}, classes]; the model's first output is "
            f"{shape}",
            hint=f"Give a loss of your own: {KEY}",
        )
    if labels is None:
        raise DataError("fine-tuning met a sample without a label")
    wrong = labels[(labels < 0) | (labels >= scores.shape[1])]
    if len(wrong):
        raise DataError(
            f"label {int(wrong[0])} is no class of the model, which has {scores.shape[1]} (0 to "
            f"{scores.shape[1] - 1})",
            hint="Check the order and the number of class folders of the calibration data.",
        )
    return torch.nn.functional.cross_entropy(scores, labels)


def _answer(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> Any:
    try:
        return model(*inputs.values())
    except EdgekitError:
        raise
    except SystemExit as error:
        raise exit_told(error, "fine-tuning: the model") from error
    except Exception as error:  # the model is the user's code: it may raise anything
        raise ConversionError(
            f"fine-tuning: the model fails on a batch of {len(next(iter(inputs.values())))}: "
            f"{condensed_cause(f'{type(error).__name__}: {error}')}",
            hint="Where it can take one sample only, write quantize.qat.batch: 1.",
        ) from error


def _first(answer: Any) -> Any:
    if isinstance(answer, Mapping):
        answer = tuple(answer.values())
    return answer[0] if isinstance(answer, tuple | list) else answer


def _users_loss(
    step: Factory,
    function: Loss,
    model: torch.nn.Module,
    inputs: dict[str, torch.Tensor],
    labels: torch.Tensor | None,
) -> torch.Tensor:
    try:
        loss = function(model, inputs, labels)
    except EdgekitError:
        raise
    except SystemExit as error:
        raise exit_told(error, f"{KEY} {step.text}") from error
    except Exception as error:  # the user's own code
        place = users_line(error)
        raise SourceError(
            f"{KEY} {step.text} raised {type(error).__name__}: "
            f"{condensed_cause(str(error))}" + (f" (at {place})" if place else ""),
            hint="It is called as function(model, inputs, labels): the inputs by name, each "
            "[batch, ...], and the labels [batch].",
        ) from error
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        found = (
            f"a tensor {list(loss.shape)}"
            if isinstance(loss, torch.Tensor)
            else f"a {type(loss).__name__}"
        )
        raise SourceError(
            f"{KEY} {step.text} returned {found}, not a loss",
            hint="Return one tensor without axes, such as torch's losses give.",
        )
    if not loss.requires_grad:
        raise SourceError(
            f"{KEY} {step.text} returned a loss that does not depend on the model's weights",
            hint="Call model(...) in it, without torch.no_grad() or .detach().",
        )
    return loss.reshape(())
