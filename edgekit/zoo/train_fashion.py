"""Train the Fashion-MNIST nets whose weights ship: ``python -m edgekit.zoo.train_fashion NET``.

Learns from the calibration role of a shipped manifest, chooses nothing by itself, prints the
top-1 on the dev pictures after each epoch and, once at the end, on the eval pictures. One thread
and one seed: the same machine and torch give the same weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.data import open_dataset
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.types import Role
from edgekit.zoo.fashion_lstm import fashion_lstm
from edgekit.zoo.fashion_mobilenet_v3 import fashion_mobilenet_v3
from edgekit.zoo.fashion_net import fashion_net

INPUT = InputSpec("image", (1, 1, 28, 28), layout="NCHW")
PREPROCESS = PreprocessSpec(colour="GRAY", divisor=255.0, mean=(0.286,), std=(0.353,))
"""Mean and standard deviation of the training pictures' pixels, scaled to 0..1."""


@dataclass(frozen=True)
class Plan:
    """How a net is trained; chosen on the dev pictures. ``gradient_norm_max`` bounds the L2 norm of
    all gradients together, ``math.inf`` leaves them as they are."""

    build: Callable[[], nn.Module]
    epochs: int
    dataset: str = "fashion_mnist"
    batch: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    gradient_norm_max: float = 1.0


PLANS = {
    "fashion_net": Plan(fashion_net, epochs=6),
    "fashion_lstm": Plan(fashion_lstm, epochs=10),
    "fashion_dark": Plan(fashion_mobilenet_v3, epochs=6, dataset="fashion_dark", batch=256),
}


@dataclass(frozen=True)
class Pictures:
    """``images`` float32 ``[N, 1, 28, 28]``, normalised; ``labels`` int64 ``[N]``."""

    images: Tensor
    labels: Tensor


def load_pictures(
    role: Role, samples: int | None = None, *, dataset: str = "fashion_mnist"
) -> Pictures:
    """The pictures of ``role``, or the first ``samples`` of them.

    Raises:
        FetchError: the package that holds them could not be fetched.
    """
    taken = list(
        open_dataset(dataset, role=role, preprocess=PREPROCESS, inputs=(INPUT,), samples=samples)
    )
    images = np.concatenate([sample.feeds[INPUT.name] for sample in taken])
    labels = np.asarray([sample.label for sample in taken], np.int64)
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return Pictures(torch.from_numpy(channels_first), torch.from_numpy(labels))


def train(
    plan: Plan,
    pictures: Pictures,
    *,
    seed: int = 0,
    after_epoch: Callable[[int, nn.Module], None] = lambda epoch, net: None,
) -> nn.Module:
    """A net trained by AdamW under a one-cycle learning rate (Smith and Topin 2017,
    arXiv:1708.07120), every picture mirrored half the time; in eval mode.

    ``after_epoch`` gets the number of the epoch, from 1, and the net in eval mode.
    """
    with torch.random.fork_rng():
        # Of the weights to start from and, all through the training, of dropout.
        torch.manual_seed(seed)
        net = plan.build()
        # Convolutions run twice as fast so.
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        _fit(net, plan, pictures, torch.Generator().manual_seed(seed), after_epoch)
    return net


def _fit(
    net: nn.Module,
    plan: Plan,
    pictures: Pictures,
    random: torch.Generator,
    after_epoch: Callable[[int, nn.Module], None],
) -> None:
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
    )
    count = len(pictures.labels)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.learning_rate, total_steps=plan.epochs * (count // plan.batch)
    )
    for epoch in range(1, plan.epochs + 1):
        net.train()
        order = torch.randperm(count, generator=random)
        for rows in order[: count - count % plan.batch].view(-1, plan.batch):
            mirrored = torch.rand(plan.batch, generator=random) < 0.5
            images = pictures.images[rows]
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
            images = images.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            functional.cross_entropy(net(images), pictures.labels[rows]).backward()  # type: ignore[no-untyped-call]
            # An LSTM's gradients explode now and then.
            nn.utils.clip_grad_norm_(net.parameters(), plan.gradient_norm_max)
            optimizer.step()
            schedule.step()
        net.eval()
        after_epoch(epoch, net)


def top1(net: nn.Module, pictures: Pictures) -> float:
    """Share of ``pictures`` that ``net``, in eval mode, names rightly."""
    with torch.inference_mode():
        answers = [net(images).argmax(1) for images in torch.split(pictures.images, 500)]
    return float((torch.cat(answers) == pictures.labels).double().mean())


def save(net: nn.Module, file: Path) -> None:
    """Write the state dict of ``net``, whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    torch.save({key: value.contiguous() for key, value in net.state_dict().items()}, partial)
    os.replace(partial, file)


@click.command()
@click.argument("net", type=click.Choice(list(PLANS)))
@click.option("--out", type=click.Path(path_type=Path), help="[default: NET.pt]")
@click.option("--seed", default=0, show_default=True)
def main(net: str, out: Path | None, seed: int) -> None:
    """Train NET and write its state dict."""
    torch.set_num_threads(1)
    plan = PLANS[net]
    load = partial(load_pictures, dataset=plan.dataset)
    dev = load(Role.DEV)

    def tell(epoch: int, module: nn.Module) -> None:
        click.echo(f"epoch {epoch} of {plan.epochs}: dev top-1 {top1(module, dev):.4f}")

    trained = train(plan, load(Role.CALIBRATION), seed=seed, after_epoch=tell)
    file = out or Path(f"{net}.pt")
    save(trained, file)
    click.echo(f"eval top-1 {top1(trained, load(Role.EVAL)):.4f}; wrote {file}")


if __name__ == "__main__":
    main()
