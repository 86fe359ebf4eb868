"""The training loop: what an epoch is, when it is evaluated, and that stopping and going on changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.data.store import SearchData
from blade_tune.errors import InterruptedStudyError, NonFiniteError
from blade_tune.training.config import EvaluationConfig, TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.loop import Hooks, Training, TrainingResult
from tests.builders import make_model

CPU = torch.device("cpu")
LENGTH = 6


@pytest.fixture(scope="session")
def device_data(tiny: SearchData) -> DeviceData:
    return DeviceData.for_search(tiny, LENGTH, EvaluationConfig(), CPU)


Make = Callable[..., Training]


@pytest.fixture
def make(tiny: SearchData, device_data: DeviceData) -> Make:
    """Build a training of a small BLADE with dropout and augmentation, drawn from a seed."""

    def build(
        seed: int = 1, schedule_patience: int = 5, loss: str = "bce", **settings: Any
    ) -> Training:
        small = {"max_length": LENGTH, "embedding_size": 8, "num_blocks": 1}
        model = make_model("blade", tiny.catalog, seed, **small, loss=loss)
        config = TrainConfig(**{"batch_size": 8, "max_epochs": 4, "eval_every": 2, **settings})
        training = Training(model, device_data.windows, device_data.negatives, config, "ndcg@10")
        training.plateau.patience = schedule_patience
        return training

    return build


@pytest.fixture
def hooks(device_data: DeviceData) -> Hooks:
    return Hooks(device_data.evaluator)


def assert_same(one: TrainingResult, other: TrainingResult) -> None:
    """All that a training gives is equal bit for bit, but for the time it took."""
    assert [replace(record, seconds=0.0, cpu_seconds=0.0) for record in one.history] == [
        replace(record, seconds=0.0, cpu_seconds=0.0) for record in other.history
    ]
    assert (one.best_epoch, one.metrics) == (other.best_epoch, other.metrics)
    assert torch.equal(one.ranks_U, other.ranks_U)
    assert one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


# --- epochs and evaluations ---


@pytest.mark.parametrize(
    ("max_epochs", "eval_every", "grid"),
    [(4, 2, [2, 4]), (5, 2, [2, 4, 5]), (3, 1, [1, 2, 3]), (2, 5, [2]), (1, 1, [1])],
)
def test_evaluations_stand_on_the_grid_and_in_the_last_epoch(
    make: Make, hooks: Hooks, max_epochs: int, eval_every: int, grid: list[int]
):
    """Every `eval_every` epochs and the last one end with an evaluation, no other does."""
    history = make(max_epochs=max_epochs, eval_every=eval_every).run(hooks).history
    assert [record.epoch for record in history] == list(range(1, max_epochs + 1))
    assert [record.epoch for record in history if record.metrics] == grid


def test_every_user_with_a_real_step_is_trained_on_once_an_epoch(
    make: Make, hooks: Hooks, device_data: DeviceData
):
    """An epoch is all windows in a new order; windows without a real step are left out."""
    windows = device_data.windows
    starts_U = windows.starts_U.clone()
    starts_U[[0, 7]] = windows.ends_U[[0, 7]] - 1
    padding = replace(windows, starts_U=starts_U)
    training = make(max_epochs=2)
    training = Training(training.model, padding, training.negatives, training.config, "ndcg@10")
    seen: list[int] = []
    losses = training.model.losses

    def spy(batch: Batch) -> dict[str, torch.Tensor]:
        assert batch.real_BL.any(dim=1).all()
        seen.extend(batch.users_B.tolist())
        return losses(batch)

    training.model.losses = spy  # type: ignore[method-assign]
    training.run(hooks)
    users = [user for user, length in enumerate(padding.lengths_U.tolist(), start=1) if length]
    assert not {1, 8} & set(users)
    first, second = seen[: len(users)], seen[len(users) :]
    assert sorted(first) == sorted(second) == users
    assert first != second


def test_a_part_of_an_epoch_may_be_timed(make: Make):
    """So many steps are trained, at most an epoch; a loss that is not finite is none of timing's business."""
    training = make()
    sizes: list[int] = []
    losses = training.model.losses

    def spy(batch: Batch) -> dict[str, torch.Tensor]:
        sizes.append(len(batch.users_B))
        return {name: term * torch.nan for name, term in losses(batch).items()}

    training.model.losses = spy  # type: ignore[method-assign]
    assert training.time_steps(2) > 0.0
    assert sizes == [8, 8]
    training.time_steps(10_000)
    assert len(sizes) == 2 + training.steps_per_epoch
    assert sum(sizes[2:]) == len(training.rows_U)


def test_the_record_of_an_epoch_is_the_mean_of_its_steps(make: Make, hooks: Hooks):
    """Losses are recorded by the model's names, each the mean over the epoch's steps."""
    training = make(max_epochs=1)
    steps: list[dict[str, float]] = []
    losses = training.model.losses

    def spy(batch: Batch) -> dict[str, torch.Tensor]:
        terms = losses(batch)
        steps.append({name: float(term.detach()) for name, term in terms.items()})
        return terms

    training.model.losses = spy  # type: ignore[method-assign]
    [record] = training.run(hooks).history
    assert len(steps) == -(-len(training.windows) // 8) > 1
    for name in ("next", "contrastive"):
        assert record.losses[name] == pytest.approx(sum(step[name] for step in steps) / len(steps))


def test_the_best_epoch_s_weights_are_kept(make: Make, hooks: Hooks, device_data: DeviceData):
    """Outcome, metrics, ranks and weights are those of one epoch: the weights, loaded, give the metrics."""
    training = make(max_epochs=12, eval_every=1, learning_rate=0.05)
    result = training.run(hooks)
    assert result.metrics == result.history[result.best_epoch - 1].metrics
    assert result.metrics["ndcg@10"] == max(record.metrics["ndcg@10"] for record in result.history)
    assert result.best_epoch < 12, "the test needs an epoch after the best one"
    training.model.load_state_dict(result.weights)
    again = device_data.evaluator(training.model)
    assert (again.metrics, again.ranks_U.tolist()) == (result.metrics, result.ranks_U.tolist())


def test_patience_ends_training(make: Make, device_data: DeviceData):
    """Training ends after `patience` evaluations in a row without a better one."""
    rising = iter([0.1, 0.3, 0.2, 0.2, 0.4])

    def evaluate(model: Any) -> Any:
        evaluation = device_data.evaluator(model)
        return replace(evaluation, metrics={**evaluation.metrics, "ndcg@10": next(rising)})

    result = make(max_epochs=40, eval_every=1, patience=2).run(Hooks(evaluate))
    assert (result.best_epoch, len(result.history)) == (2, 4)


def test_training_learns(make: Make, hooks: Hooks):
    """The training loss falls."""
    history = make(max_epochs=15, eval_every=15, learning_rate=0.01).run(hooks).history
    assert history[-1].losses["next"] < 0.9 * history[0].losses["next"]


def test_one_seed_one_result(make: Make, hooks: Hooks):
    """The same seed gives the same training bit for bit, another seed another one."""
    first, again, other = (make(seed).run(hooks) for seed in (1, 1, 2))
    assert_same(first, again)
    assert first.history[0].losses != other.history[0].losses


def test_evaluating_changes_no_training(make: Make, hooks: Hooks):
    """How often a training is evaluated has no effect on its losses."""
    often, rarely = (make(max_epochs=4, eval_every=every).run(hooks).history for every in (1, 4))
    assert [record.losses for record in often] == [record.losses for record in rarely]


@pytest.mark.parametrize(
    ("schedule", "rates"), [("plateau", [0.5] * 7 + [0.45] * 6 + [0.405]), ("constant", [0.5] * 14)]
)
def test_a_plateau_lowers_the_learning_rate(
    make: Make, hooks: Hooks, schedule: str, rates: list[float]
):
    """Under plateau a tenth is taken off after every six epochs without a lower loss; a constant rate stays."""
    training = make(learning_rate=0.5, max_epochs=14, schedule=schedule)
    weight = training.model.items.weight
    training.model.losses = lambda _: {"next": 1.0 + 0.0 * weight.sum()}  # type: ignore[method-assign]
    assert [record.learning_rate for record in training.run(hooks).history] == pytest.approx(rates)


# --- broken numbers ---


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_training(make: Make, hooks: Hooks, value: float):
    """It is an error that names epoch, step, the terms of that step and the learning rate."""
    training = make()
    steps, losses = iter(range(1000)), training.model.losses
    per_epoch = -(-len(training.windows) // 8)

    def break_once(batch: Batch) -> dict[str, torch.Tensor]:
        terms = losses(batch)
        return {**terms, "next": terms["next"] * value} if next(steps) == per_epoch + 1 else terms

    training.model.losses = break_once  # type: ignore[method-assign]
    expected = rf"^epoch 2, step 2: a loss is not finite: next {value}, contrastive [\d.]+, learning rate 0\.001\.$"
    with pytest.raises(NonFiniteError, match=expected):
        training.run(hooks)
    assert len(training.history) == 1


def test_weights_that_are_not_finite_cannot_be_ranked(make: Make, hooks: Hooks):
    """A NaN that no loss shows ends training at the next evaluation."""
    training = make()
    evaluate = hooks.evaluate

    def break_items(model: Any) -> Any:
        torch.nn.init.constant_(model.items.weight, float("nan"))
        return evaluate(model)

    with pytest.raises(NonFiniteError, match="a score is NaN or infinite"):
        training.run(Hooks(break_items))


# --- stopping and going on ---

LONG = {"max_epochs": 9, "eval_every": 2}
NOISY = {
    **LONG,
    "schedule": "plateau",
    "schedule_patience": 0,
    "learning_rate": 0.3,
    "early_stop": "eidp",
    "weight_decay": 1e-3,
}
SAMPLED = {**LONG, "loss": "sampled_softmax", "learning_rate": 0.1}  # negatives drawn for the batch


@pytest.fixture(scope="module")
def finished() -> dict[str, TrainingResult]:
    return {}


@pytest.fixture
def left_alone(
    make: Make, hooks: Hooks, finished: dict[str, TrainingResult]
) -> Callable[[dict[str, Any]], TrainingResult]:
    """The result of a training of these settings that was never stopped, trained once for all tests."""

    def result(settings: dict[str, Any]) -> TrainingResult:
        if str(settings) not in finished:
            finished[str(settings)] = make(**settings).run(hooks)
        return finished[str(settings)]

    return result


@pytest.mark.parametrize("settings", [LONG, NOISY, SAMPLED], ids=["plain", "noisy", "sampled"])
@pytest.mark.parametrize("epoch", range(1, 10))
def test_a_stopped_training_ends_as_if_left_alone(
    make: Make, hooks: Hooks, tmp_path: Path, left_alone: Any, settings: dict[str, Any], epoch: int
):
    """Stopped after any epoch and continued in a new process' place, a training is bit-identical to one left alone."""
    epochs: list[int] = []
    stopping = replace(
        hooks,
        checkpoint=tmp_path / "checkpoint.pt",
        on_epoch=lambda record: epochs.append(record.epoch),
        should_stop=lambda: len(epochs) == epoch - 1,
    )
    with pytest.raises(InterruptedStudyError, match=rf"^stopped after epoch {epoch}\.$"):
        make(**settings).run(stopping)
    assert epochs == list(range(1, epoch + 1))
    torch.manual_seed(99)  # whatever happened in between
    replayed: list[EpochRecord] = []
    going_on = replace(hooks, checkpoint=stopping.checkpoint, on_epoch=replayed.append)
    result = make(**settings).run(going_on)
    assert_same(result, left_alone(settings))
    assert replayed == result.history


def test_the_noisy_training_is_noisy(left_alone: Any):
    """The law above is tested where the learning rate falls."""
    assert len({record.learning_rate for record in left_alone(NOISY).history}) > 1


@pytest.mark.parametrize("lost", ["plateau", "optimizer"])
def test_a_checkpoint_without_it_would_show(
    make: Make,
    hooks: Hooks,
    tmp_path: Path,
    left_alone: Any,
    lost: str,
    monkeypatch: pytest.MonkeyPatch,
):
    """The law above depends on the lowest loss so far and on Adam's moments: without either, losses are others."""
    expected = left_alone(NOISY).history
    falls = [
        record.epoch
        for record, then in pairwise(expected)
        if then.learning_rate < record.learning_rate
    ]
    stopped = make(**NOISY)
    before_a_fall = replace(
        hooks,
        checkpoint=tmp_path / "checkpoint.pt",
        should_stop=lambda: len(stopped.history) == falls[0] - 1,
    )
    with pytest.raises(InterruptedStudyError):
        stopped.run(before_a_fall)
    training = make(**NOISY)
    monkeypatch.setattr(type(getattr(training, lost)), "load_state_dict", lambda *_: None)
    going_on = training.run(replace(hooks, checkpoint=before_a_fall.checkpoint))
    assert [record.losses for record in going_on.history] != [record.losses for record in expected]


@pytest.mark.parametrize("epoch", [1, 2, 5, 9])
def test_a_killed_training_ends_as_if_left_alone(
    make: Make, hooks: Hooks, tmp_path: Path, left_alone: Any, epoch: int
):
    """Killed without a word after any epoch, training goes on from its last evaluation to the same end."""
    checkpoint = tmp_path / "checkpoint.pt"

    def kill(record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(**LONG).run(replace(hooks, checkpoint=checkpoint, on_epoch=kill))
    assert checkpoint.exists() == (epoch >= 2)
    torch.manual_seed(99)
    assert_same(make(**LONG).run(replace(hooks, checkpoint=checkpoint)), left_alone(LONG))


def test_a_training_may_be_stopped_after_every_epoch(make: Make, hooks: Hooks, tmp_path: Path):
    """Any number of stops gives the same end."""
    stopping = replace(hooks, checkpoint=tmp_path / "checkpoint.pt", should_stop=lambda: True)
    for _ in range(4):
        with pytest.raises(InterruptedStudyError):
            make().run(stopping)
    assert_same(make().run(stopping), make().run(hooks))


# --- what is trained on ---


def test_with_valid_rows_every_valid_row_is_a_target(tiny: SearchData):
    """The final training may see validation rows: as last targets, and no longer as negatives."""
    search, final = (
        build(tiny, LENGTH, EvaluationConfig(), CPU)
        for build in (DeviceData.for_search, DeviceData.with_valid_rows)
    )
    users = tiny.valid.users_N.astype(int) - 1
    assert final.windows.targets(torch.as_tensor(users)).tolist() == tiny.valid.items_N.tolist()
    assert not torch.equal(search.windows.ends_U, final.windows.ends_U)
    torch.manual_seed(0)
    drawn_BL = final.negatives.draw(torch.as_tensor(users + 1), 2000)
    assert not (drawn_BL == torch.as_tensor(tiny.valid.items_N.copy())[:, None]).any()
