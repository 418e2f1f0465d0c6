"""The training of the Fashion-MNIST nets, on a handful of made-up pictures."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from edgekit.recipe import load_recipe
from edgekit.types import Role
from edgekit.zoo import train_fashion
from edgekit.zoo.fashion_lstm import fashion_lstm
from edgekit.zoo.fashion_mobilenet_v3 import fashion_mobilenet_v3
from edgekit.zoo.fashion_net import fashion_net
from edgekit.zoo.train_fashion import Pictures, Plan, save, top1, train

NETS = {"net": fashion_net, "lstm": fashion_lstm, "mobilenet_v3": fashion_mobilenet_v3}
PLANS = {name: Plan(build, epochs=2, batch=16) for name, build in NETS.items()}


def pictures(count: int = 40) -> Pictures:
    """A bright top or a bright bottom: two classes that any net learns."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = torch.rand(count, 1, 28, 28, generator=random)
    images[labels == 0, :, :14] += 2
    images[labels == 1, :, 14:] += 2
    return Pictures(images, labels)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_a_seed_gives_the_same_weights_again_and_another_one_others(name: str) -> None:
    plan = PLANS[name]
    torch.manual_seed(1)
    first = train(plan, pictures(), seed=5).state_dict()
    torch.manual_seed(2)  # what the rest of the process draws plays no part
    again = train(plan, pictures(), seed=5).state_dict()
    other = train(plan, pictures(), seed=6).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", PLANS)
def test_training_leaves_the_process_its_random_numbers(name: str) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    train(PLANS[name], pictures(), seed=0)
    assert torch.equal(torch.rand(4), expected)


def test_it_learns_and_tells_after_every_epoch() -> None:
    plan, data = Plan(fashion_lstm, epochs=8, batch=20), pictures()
    told: list[int] = []

    def tell(epoch: int, net: torch.nn.Module) -> None:
        assert not net.training
        told.append(epoch)

    net = train(plan, data, after_epoch=tell)
    assert told == list(range(1, 9))
    assert not net.training
    assert top1(net, data) == 1.0


def test_a_plan_bounds_the_gradients() -> None:
    def moved(gradient_norm_max: float) -> float:
        plan = Plan(
            fashion_lstm, 1, batch=20, weight_decay=0.0, gradient_norm_max=gradient_norm_max
        )
        torch.manual_seed(0)
        start = plan.build().parameters()
        trained = train(plan, pictures(), seed=0).parameters()
        steps = [float((a - b).detach().abs().max()) for a, b in zip(start, trained, strict=True)]
        return max(steps)

    # Adam's eps is far above gradients as small as the first bound leaves.
    assert moved(1e-14) < 1e-6
    assert moved(math.inf) > 1e-4


def test_top1_is_the_share_of_right_answers_over_all_batches() -> None:
    net = torch.nn.Flatten()
    images = torch.zeros(1200, 1, 1, 3)
    images[:, 0, 0, 1] = 1
    assert top1(net, Pictures(images, torch.tensor([1, 1, 1, 2] * 300))) == 0.75


def test_what_is_saved_is_contiguous_and_loads_strictly(tmp_path: Path) -> None:
    net = train(PLANS["net"], pictures())
    save(net, tmp_path / "net.pt")
    state = torch.load(tmp_path / "net.pt", weights_only=True)
    assert all(tensor.is_contiguous() for tensor in state.values())
    loaded = fashion_net()
    loaded.load_state_dict(state, strict=True)
    assert torch.equal(loaded.stem[0].weight, net.stem[0].weight)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


@pytest.mark.parametrize("net", ["fashion_lstm", "fashion_dark"])
def test_the_command_learns_from_calibration_and_opens_eval_last(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Role, str]] = []

    def opening(role: Role, *, dataset: str) -> Pictures:
        opened.append((role, dataset))
        return pictures(20 if role is Role.CALIBRATION else 10)

    learned: list[int] = []

    def learning(plan: Plan, data: Pictures, **options: object) -> torch.nn.Module:
        learned.append(len(data.labels))
        return plan.build().eval()

    monkeypatch.setattr(train_fashion, "load_pictures", opening)
    monkeypatch.setattr(train_fashion, "train", learning)
    threads = torch.get_num_threads()
    out = tmp_path / "net.pt"
    result = CliRunner().invoke(train_fashion.main, [net, "--out", str(out)])
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    dataset = train_fashion.PLANS[net].dataset
    assert opened == [(role, dataset) for role in (Role.DEV, Role.CALIBRATION, Role.EVAL)]
    assert learned == [20]
    assert out.is_file()
    assert "eval top-1 0." in result.output


@pytest.mark.parametrize(
    ("name", "net"),
    [
        ("fashion_qat", "fashion_net"),
        ("fashion_lstm_dynamic", "fashion_lstm"),
        ("fashion_dark_int8", "fashion_dark"),
    ],
)
def test_the_recipes_prepare_pictures_as_the_training_did(name: str, net: str) -> None:
    recipe = load_recipe(name)
    assert recipe.preprocess == train_fashion.PREPROCESS
    assert recipe.model.inputs == (train_fashion.INPUT,)
    dataset = train_fashion.PLANS[net].dataset
    assert recipe.calibration.dataset == recipe.evaluate.dataset == dataset
