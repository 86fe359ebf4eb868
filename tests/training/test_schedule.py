"""What changes over the steps of a training: the learning rate, the average of weights, the gradient's norm, decay."""

from collections.abc import Callable, Mapping
from math import cos, pi
from typing import Any

import pytest
import torch
from torch import Tensor

from blade_tune.data.store import SearchData
from blade_tune.training.config import EvaluationConfig, TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.loop import Hooks, Training
from blade_tune.training.schedule import cosine_share
from tests.builders import make_model

LENGTH = 6
Make = Callable[..., Training]


@pytest.fixture(scope="module")
def device_data(tiny: SearchData) -> DeviceData:
    return DeviceData.for_search(tiny, LENGTH, EvaluationConfig(), torch.device("cpu"))


@pytest.fixture
def make(tiny: SearchData, device_data: DeviceData) -> Make:
    """Build a training of a small BLADE, four steps an epoch."""

    def build(model: Mapping[str, Any] = {}, **settings: Any) -> Training:
        small = {"max_length": LENGTH, "embedding_size": 8, "num_blocks": 1, **model}
        config = TrainConfig(**{"batch_size": 8, "max_epochs": 3, "eval_every": 1, **settings})
        windows, negatives = device_data.windows, device_data.negatives
        return Training(make_model("blade", tiny.catalog, 1, **small), windows, negatives, config, "ndcg@10")

    return build


@pytest.fixture
def hooks(device_data: DeviceData) -> Hooks:
    return Hooks(device_data.evaluator)


def at_every_step(training: Training, look: Callable[[], Any]) -> list[Any]:
    """A list that has what `look` gives whenever the optimizer is about to step."""
    seen: list[Any] = []
    training.optimizer.register_step_pre_hook(lambda *_: seen.append(look()))
    return seen


def rates_of(training: Training, hooks: Hooks) -> list[float]:
    """The learning rate of every step."""
    rates = at_every_step(training, lambda: training.optimizer.param_groups[0]["lr"])
    training.run(hooks)
    return rates


def steps_of(training: Training) -> int:
    return -(-len(training.rows_U) // training.config.batch_size) * training.config.max_epochs


# The learning rate


@pytest.mark.parametrize("warmup", [0, 1, 5, 100])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_rate_of_every_step_is_its_twin_s(make: Make, hooks: Hooks, schedule: str, warmup: int):
    """Step t of T, from 0, has rate min(1, (t + 1) / W), under cosine times (1 + cos(pi t / T)) / 2."""
    training = make(learning_rate=0.5, schedule=schedule, warmup_steps=warmup)
    steps = steps_of(training)
    assert steps == 12
    shares = [(1 + cos(pi * step / steps)) / 2 if schedule == "cosine" else 1.0 for step in range(steps)]
    warm = [min(1.0, (step + 1) / warmup) if warmup else 1.0 for step in range(steps)]
    expected = [0.5 * share * rise for share, rise in zip(shares, warm, strict=True)]
    assert rates_of(training, hooks) == pytest.approx(expected)


def test_a_cosine_falls_from_one_to_zero_by_way_of_a_half():
    """It begins at 1, is at a half in the middle, would be 0 after the last step, and never rises."""
    shares = [cosine_share(done, 10) for done in range(11)]
    assert (shares[0], shares[5], shares[10]) == pytest.approx((1.0, 0.5, 0.0))
    assert shares == sorted(shares, reverse=True)


def test_the_record_of_an_epoch_has_the_rate_of_its_last_step(make: Make, hooks: Hooks):
    """What curves show is a rate that the epoch had."""
    training = make(learning_rate=0.5, schedule="cosine", warmup_steps=3)
    rates = at_every_step(training, lambda: training.optimizer.param_groups[0]["lr"])
    history = training.run(hooks).history
    assert [record.learning_rate for record in history] == rates[3::4]


def test_without_a_schedule_no_rate_is_set(make: Make, hooks: Hooks):
    """Whatever a plateau took off stays off: after warm-up the schedule sets nothing but the cosine."""
    training = make(learning_rate=0.5, schedule="plateau", warmup_steps=2, max_epochs=16, eval_every=16)
    weight = training.model.items.weight
    training.model.losses = lambda _: {"next": 1.0 + 0.0 * weight.sum()}  # type: ignore[method-assign]
    rates = rates_of(training, hooks)
    assert rates[:3] == pytest.approx([0.25, 0.5, 0.5])
    assert rates[3::4] == pytest.approx([0.5] * 7 + [0.45] * 6 + [0.405] * 3)


# The average of weights


def copies(training: Training) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in training.model.parameters()]


@pytest.mark.parametrize("decay", [0.3, 0.9])
def test_the_average_equals_its_twin(make: Make, decay: float):
    """a = w at the start; after step n, a becomes d a + (1 - d) w with d = min(decay, (1 + n) / (10 + n))."""
    training = make(averaging=decay, learning_rate=0.05)
    averages, before = copies(training), copies(training)
    kept: list[list[Tensor]] = []
    training.optimizer.register_step_post_hook(lambda *_: kept.append(copies(training)))
    for _ in range(4):
        training.train_epoch()
    assert len(kept) == 16
    for number, weights in enumerate(kept, start=1):
        share = min(decay, (1 + number) / (10 + number))
        averages = [share * old + (1 - share) * new for old, new in zip(averages, weights, strict=True)]
    assert training.average is not None
    for found, expected, first in zip(training.average.model.parameters(), averages, before, strict=True):
        torch.testing.assert_close(found, expected)
        assert not found.requires_grad
        assert not torch.equal(found, first)


def test_what_is_evaluated_and_kept_is_the_average(make: Make, device_data: DeviceData):
    """The model of every evaluation is the average; the kept weights, loaded, give the kept metrics and ranks."""
    training = make(averaging=0.9, learning_rate=0.05)
    seen: list[Any] = []

    def evaluate(model: Any) -> Any:
        seen.append(model)
        return device_data.evaluator(model)

    outcome = training.run(Hooks(evaluate))
    assert training.average is not None
    assert all(model is training.average.model for model in seen)
    other = make().model
    other.load_state_dict(outcome.weights)
    again = device_data.evaluator(other)
    assert (again.metrics, again.ranks_U.tolist()) == (outcome.metrics, outcome.ranks_U.tolist())
    assert device_data.evaluator(training.model).ranks_U.tolist() != again.ranks_U.tolist()


def test_an_average_changes_no_training(make: Make, hooks: Hooks):
    """Losses are those of a training without one; at decay 0 there is none, and the model itself is evaluated."""
    ended = []
    for decay in (0.0, 0.9):
        training = make(learning_rate=0.05, averaging=decay)
        assert (training.average is None) == (decay == 0.0)
        ended.append(([record.losses for record in training.run(hooks).history], copies(training)))
    (losses, weights), (other_losses, other_weights) = ended
    assert losses == other_losses
    assert all(torch.equal(one, other) for one, other in zip(weights, other_weights, strict=True))


def test_an_average_keeps_padding_zero(make: Make, hooks: Hooks):
    """The padding row of the averaged item table is zero, as that of the model."""
    training = make(averaging=0.9, learning_rate=0.05)
    training.run(hooks)
    assert training.average is not None
    assert not training.average.model.items.weight[0].any()


# The gradient and its step


def norm(training: Training) -> float:
    """Of the gradient of all parameters together, as the optimizer sees it."""
    gradients = [p.grad for p in training.model.parameters() if p.grad is not None]
    return float(torch.cat([gradient.flatten() for gradient in gradients]).norm())


def test_the_gradient_that_a_step_sees_is_clipped(make: Make):
    """Its norm is the least of clip_norm and what it would be; its direction is the same; 0 clips nothing."""
    free, mild, tight = (make(clip_norm=largest, learning_rate=1e-6) for largest in (0.0, 1e6, 0.01))
    norms = [at_every_step(training, lambda training=training: norm(training)) for training in (free, mild, tight)]
    rows = [at_every_step(t, lambda t=t: t.model.items.weight.grad.clone()) for t in (free, tight)]
    for training in (free, mild, tight):
        torch.manual_seed(7)
        training.train_epoch()
    assert norms[0] == pytest.approx(norms[1])
    assert min(norms[0]) > 0.01
    assert norms[2] == pytest.approx([0.01] * len(norms[0]), rel=1e-3)
    whole, clipped = rows[0][0], rows[1][0]  # later steps differ in their weights
    torch.testing.assert_close(clipped, whole * 0.01 / norms[0][0], rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_adamw_shrinks_weights_by_themselves(make: Make, schedule: str):
    """A weight whose gradient is zero shrinks by 1 - rate times decay a step; under adam it moves by its own rate."""
    training = make(optimizer="adamw", weight_decay=0.5, learning_rate=0.1, schedule=schedule)
    weight = training.model.items.weight
    training.model.losses = lambda _: {"next": (weight[1] ** 2).sum()}  # type: ignore[method-assign]
    rates = at_every_step(training, lambda: training.optimizer.param_groups[0]["lr"])
    before = weight.detach().clone()
    for _ in range(3):
        training.train_epoch()
    expected = before[2:].clone()
    for rate in rates:
        expected *= 1 - rate * 0.5
    torch.testing.assert_close(weight[2:].detach(), expected)
    assert not weight[0].any()


def test_adam_has_decay_in_its_gradient(make: Make):
    """The first step of adam moves a weight whose gradient is zero by the whole rate towards zero, however small."""
    training = make(optimizer="adam", weight_decay=0.5, learning_rate=1e-4, batch_size=1000)
    weight = training.model.items.weight
    training.model.losses = lambda _: {"next": 0.0 * weight.sum()}  # type: ignore[method-assign]
    before = weight.detach().clone()
    training.train_epoch()
    torch.testing.assert_close(weight[1:].detach(), before[1:] - 1e-4 * before[1:].sign(), atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize(("loss", "shared"), [("bce", 0), ("ce", 0), ("sampled_softmax", 3), ("gbce", 3)])
def test_a_step_has_the_negatives_of_its_loss(make: Make, loss: str, shared: int):
    """Losses that share negatives get so many for the batch and no other; the others get one a step and none shared."""
    training = make({"loss": loss, **({"num_negatives": 3} if shared else {})})
    batches: list[Any] = []
    losses = training.model.losses

    def spy(batch: Any) -> Any:
        batches.append(batch)
        return losses(batch)

    training.model.losses = spy  # type: ignore[method-assign]
    training.train_epoch()
    for batch in batches:
        assert (batch.negatives_BL is None) == bool(shared)
        assert (0 if batch.shared_negatives_X is None else len(batch.shared_negatives_X)) == shared
    if shared:
        assert len({tuple(batch.shared_negatives_X.tolist()) for batch in batches}) > 1
