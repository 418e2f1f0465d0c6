"""Train the Keras net whose weights ship: ``python -m edgekit.zoo.train_fashion_keras``.

Learns from the calibration role of the shipped manifest, prints the top-1 on the dev pictures after
each epoch and, once at the end, on the eval pictures. Labels are smoothed (Szegedy et al. 2016,
arXiv:1512.00567) not for the top-1 alone: logits then stay within a few units, and INT8 has finer
steps for the same margins.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from edgekit.data import open_dataset
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.tensorflow.function import require_tensorflow
from edgekit.types import Array, Role

DATASET = "fashion_mnist"
INPUT = InputSpec("image", (1, 28, 28, 1), layout="NHWC")
PREPROCESS = PreprocessSpec(colour="GRAY", divisor=255.0, mean=(0.286,), std=(0.353,))
"""Mean and standard deviation of the training pictures' pixels, scaled to 0..1."""
CLASSES = 10
_SCORED_AT_ONCE = 500


@dataclass(frozen=True)
class Plan:
    """How the net is trained; chosen on the dev pictures."""

    epochs: int = 8
    batch: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    warm_up: float = 0.1
    """Share of the steps in which the learning rate rises, before it falls as a cosine."""


@dataclass(frozen=True)
class Pictures:
    """``images`` float32 ``[N, 28, 28, 1]``, normalised; ``labels`` int64 ``[N]``."""

    images: Array
    labels: Array


def load_pictures(role: Role) -> Pictures:
    """All pictures of ``role``.

    Raises:
        FetchError: the package that holds them could not be fetched.
    """
    dataset = open_dataset(DATASET, role=role, preprocess=PREPROCESS, inputs=(INPUT,), samples=None)
    taken = list(dataset)
    images = np.concatenate([sample.feeds[INPUT.name] for sample in taken])
    return Pictures(images, np.asarray([sample.label for sample in taken], np.int64))


def train(
    plan: Plan,
    pictures: Pictures,
    *,
    seed: int = 0,
    after_epoch: Callable[[int, Any], None] = lambda epoch, net: None,
) -> Any:
    """A ``keras.Model`` trained by AdamW, every picture mirrored half the time.

    ``after_epoch`` gets the number of the epoch, from 1, and the net. The random state of Python,
    NumPy and TensorFlow is set to ``seed``.
    """
    tensorflow = require_tensorflow()
    import keras

    from edgekit.zoo.fashion_mobilenet import fashion_mobilenet

    keras.utils.set_random_seed(seed)
    net = fashion_mobilenet(CLASSES)
    count = len(pictures.labels)
    steps = count // plan.batch
    optimizer = _optimizer(plan, steps)
    loss_of = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=plan.label_smoothing
    )

    @tensorflow.function  # type: ignore[untyped-decorator]
    def step(images: Any, labels: Any) -> None:
        with tensorflow.GradientTape() as tape:
            loss = loss_of(tensorflow.one_hot(labels, CLASSES), net(images, training=True))
        weights = net.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)

    random = np.random.default_rng(seed)
    for epoch in range(1, plan.epochs + 1):
        order = random.permutation(count)
        for rows in order[: steps * plan.batch].reshape(steps, plan.batch):
            mirrored = random.random(plan.batch) < 0.5
            images = pictures.images[rows]
            images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
            step(tensorflow.constant(images), tensorflow.constant(pictures.labels[rows]))
        after_epoch(epoch, net)
    return net


def _optimizer(plan: Plan, steps: int) -> Any:
    import keras

    rising = int(plan.epochs * steps * plan.warm_up)
    schedule = keras.optimizers.schedules.CosineDecay(
        plan.learning_rate / 20,
        plan.epochs * steps - rising,
        warmup_target=plan.learning_rate,
        warmup_steps=rising,
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=plan.weight_decay, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def top1(net: Any, pictures: Pictures) -> float:
    """Share of ``pictures`` that ``net`` names rightly."""
    answers = [
        np.asarray(net(pictures.images[start : start + _SCORED_AT_ONCE], training=False)).argmax(1)
        for start in range(0, len(pictures.labels), _SCORED_AT_ONCE)
    ]
    return float((np.concatenate(answers) == pictures.labels).mean())


def save(net: Any, file: Path) -> None:
    """Write ``net`` as a ``.keras`` file, whole or not at all."""
    partial = file.with_name(f".{file.stem}.partial.keras")  # Keras goes by the ending
    net.save(partial)
    os.replace(partial, file)


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default="fashion_mobilenet.keras", show_default=True
)
@click.option("--seed", default=0, show_default=True)
def main(out: Path, seed: int) -> None:
    """Train the net and write it."""
    plan, dev = Plan(), load_pictures(Role.DEV)

    def tell(epoch: int, net: Any) -> None:
        click.echo(f"epoch {epoch} of {plan.epochs}: dev top-1 {top1(net, dev):.4f}")

    trained = train(plan, load_pictures(Role.CALIBRATION), seed=seed, after_epoch=tell)
    save(trained, out)
    click.echo(f"eval top-1 {top1(trained, load_pictures(Role.EVAL)):.4f}; wrote {out}")


if __name__ == "__main__":
    main()
