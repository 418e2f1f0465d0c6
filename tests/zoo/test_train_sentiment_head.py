"""The sentiment head: how it is fitted, and the one that ships."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional

from edgekit.recipe import load_recipe
from edgekit.sources import locate
from edgekit.types import Role
from edgekit.zoo import train_sentiment_head
from edgekit.zoo.train_sentiment_head import Embedded, accuracy, embed, fit, save

PENALTY = 1e-3
ACCURACY = 0.726
"""Of 400 dev snippets: two standard errors below the 0.768 of all 2,120."""


def embedded(count: int = 200, width: int = 6) -> Embedded:
    random = torch.Generator().manual_seed(0)
    values = functional.normalize(torch.randn(count, width, generator=random))
    noise = torch.randn(count, generator=random)
    return Embedded(values, (values[:, 0] + 0.2 * noise > 0).long())


def test_the_fit_is_where_the_gradient_vanishes() -> None:
    data = embedded()
    head = fit(data, PENALTY).double()
    loss = functional.cross_entropy(head(data.embeddings.double()), data.labels)
    loss = loss + PENALTY * head.weight.square().sum()
    slope, bias_slope = torch.autograd.grad(loss, (head.weight, head.bias))
    assert slope.abs().max() < 1e-7  # as near as a float32 head can be
    assert bias_slope.abs().max() < 1e-7
    torch.testing.assert_close(head.weight[0], -head.weight[1])


def test_the_fit_is_the_same_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = fit(embedded(), PENALTY)
    torch.manual_seed(2)
    again = fit(embedded(), PENALTY)
    assert torch.equal(first.weight, again.weight)
    assert torch.equal(first.bias, again.bias)
    assert first.weight.dtype == torch.float32


def test_a_larger_penalty_gives_smaller_weights_and_a_fair_fit_the_labels() -> None:
    data = embedded()
    assert fit(data, 1e-1).weight.norm() < fit(data, 1e-4).weight.norm()
    assert accuracy(fit(data, PENALTY), data) > 0.8


def test_the_command_takes_the_penalty_that_dev_likes_and_opens_eval_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Role, int | None]] = []
    learned, dev = embedded(), embedded()
    # What was learned is worth little on dev: so the smallest weights win, whose bias decides.
    dev = Embedded(dev.embeddings, torch.full_like(dev.labels, 1))

    def opening(model: object, role: Role, samples: int | None = None) -> Embedded:
        opened.append((role, samples))
        return learned if role is Role.CALIBRATION else dev

    monkeypatch.setattr(train_sentiment_head, "load_encoder", lambda: None)
    monkeypatch.setattr(train_sentiment_head, "embed", opening)
    threads, out = torch.get_num_threads(), tmp_path / "head.pt"
    result = CliRunner().invoke(train_sentiment_head.main, ["--out", str(out)])
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    assert opened == [(Role.CALIBRATION, None), (Role.DEV, None), (Role.EVAL, None)]
    heads = [fit(learned, penalty) for penalty in train_sentiment_head.PENALTIES]
    best = max(heads, key=lambda head: accuracy(head, dev))
    state = torch.load(out, weights_only=True)
    assert torch.equal(state["classifier.weight"], best.weight)
    assert "eval accuracy" in result.output


def test_the_file_holds_the_heads_part_of_the_model(tmp_path: Path) -> None:
    head = fit(embedded(), PENALTY)
    save(head, tmp_path / "head.pt")
    state = torch.load(tmp_path / "head.pt", weights_only=True)
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        "classifier.weight": (2, 6),
        "classifier.bias": (2,),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["head.pt"]


def test_the_shipped_head_is_small_and_fits_the_encoder(repository: Path) -> None:
    file = repository / "recipes" / "weights" / "minilm_sentiment_head.pt"
    assert file.stat().st_size < 8_000
    state = torch.load(file, weights_only=True)
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        "classifier.weight": (2, 384),
        "classifier.bias": (2,),
    }


def test_the_recipe_is_about_what_the_head_was_fitted_on() -> None:
    recipe = load_recipe("minilm_dynamic")
    assert recipe.model.inputs == train_sentiment_head.INPUTS
    assert recipe.model.weights == train_sentiment_head.ENCODER
    assert recipe.model.sha256 == train_sentiment_head.ENCODER_SHA256
    assert recipe.model.unused_weights == train_sentiment_head.UNUSED
    assert recipe.preprocess.tokenizer == train_sentiment_head.TOKENIZER
    assert recipe.calibration.dataset == recipe.evaluate.dataset == train_sentiment_head.DATASET


@pytest.mark.slow
@pytest.mark.network
def test_the_recipes_model_knows_the_dev_snippets() -> None:
    model = locate(load_recipe("minilm_dynamic").model).value
    assert accuracy(model.classifier, embed(model, Role.DEV, 400)) >= ACCURACY
