"""Whose next item is to be found."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from blade_tune.data.sequences import rows_with
from blade_tune.data.store import SearchData
from blade_tune.metrics import gains
from blade_tune.models.build import build_model
from blade_tune.models.fitted import FittedRecommender
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.fitting import Fitting
from blade_tune.xray import task as task_module
from blade_tune.xray.hits import METRIC, chance_gains, gains_of
from blade_tune.xray.pairs import Pairs
from blade_tune.xray.task import Exclude, Task, train_task, valid_task
from tests.xray.conftest import random_task


@pytest.mark.parametrize("exclude", ["window", "full", "none"])
@pytest.mark.parametrize("window", [3, 50])
def test_gains_are_those_of_the_evaluation(
    planted: Callable[..., SearchData], exclude: Exclude, window: int
) -> None:
    """The scores of a model of the house, ranked here, give each user what the evaluator gives."""
    data = planted(num_users=80)
    model = build_model("item_knn", {"max_length": window}, data.catalog, "test")
    assert isinstance(model, FittedRecommender)
    Fitting(model, data.train, 0).fit()
    windows, users_U = data.windows("valid", window), rows_with(data.valid)
    expected = Evaluator(windows, users_U, data.catalog, EvaluationConfig(exclude=exclude))(
        model
    ).ranks_U
    task = valid_task(data, window, exclude)
    assert (task.users_U - 1).tolist() == users_U.tolist()
    scores_UV = model.scores(windows.rows(users_U)).numpy()
    assert gains_of(task, [scores_UV]).tolist() == gains(expected, METRIC).tolist()


def test_chance_is_the_mean_of_many_rankings() -> None:
    """What a ranking by lot is expected to give is what thousands of them give."""
    task = random_task(1, num_items=30)
    random = np.random.default_rng(0)
    drawn = [gains_of(task, [random.random((len(task), 31), np.float32)]) for _ in range(4000)]
    error = np.std(drawn, axis=0) / 4000**0.5
    assert (np.abs(np.mean(drawn, axis=0) - chance_gains(task)) <= 5 * error + 1e-12).all()


def test_with_fewer_items_than_places_chance_always_hits() -> None:
    """In a catalog smaller than the cutoff, which is 10, every item has a place that counts."""
    task = random_task(1, num_items=6)
    assert (chance_gains(task)[~task.is_met_U] > 1 / np.log2(10 + 1)).all()


def test_recommenders_are_chosen_by_earlier_rows(planted: Callable[..., SearchData]) -> None:
    """A user's last target row of train is asked for after the rows before it; valid rows are nowhere in it."""
    data = planted(num_users=50)
    task = valid_task(data, 50, "window")
    earlier = train_task(task, (0,))
    for user, item, behaviors in zip(
        earlier.users_U, earlier.items_U, earlier.sets_UK, strict=True
    ):
        own = task.rows.rows(task.rows.users_N == user)
        targets = [place for place in range(len(own)) if own.sets_NK[place, 1:].any()]
        assert (item, behaviors.tolist()) == (
            own.items_N[targets[-1]],
            own.sets_NK[targets[-1]].tolist(),
        )
        known = earlier.rows.rows(earlier.rows.users_N == user)
        assert known.items_N.tolist() == own.items_N[: targets[-1]].tolist()


def test_any_order_is_of_the_same_rows() -> None:
    """Shuffled histories hold the same interactions of each user."""
    task = random_task(2)
    shuffled = task.in_any_order()
    assert shuffled.rows.users_N.tolist() == task.rows.users_N.tolist()
    assert shuffled.rows.items_N.tolist() != task.rows.items_N.tolist()

    def held(of: Task) -> list[tuple[int, ...]]:
        columns = (of.rows.users_N, of.rows.items_N, *of.rows.sets_NK.T)
        return sorted(zip(*(column.tolist() for column in columns), strict=True))

    assert held(shuffled) == held(task)


def test_of_large_data_nearer_pairs_are_counted(
    planted: Callable[..., SearchData], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pairs are kept as far apart as there is room for, and all users with them."""
    data = planted(num_users=200)
    everything = valid_task(data, 50, "window")
    assert everything.reach == 50
    most = len(Pairs.of(replace(everything, reach=4)).laters_P)
    monkeypatch.setattr(task_module, "MOST_PAIRS", most)
    monkeypatch.setattr(task_module, "LEAST_REACH", 2)
    assert valid_task(data, 50, "window").reach == 4
    monkeypatch.setattr(task_module, "MOST_PAIRS", most - 1)
    fewer = valid_task(data, 50, "window")
    assert (fewer.reach, fewer.users_U.tolist()) == (3, everything.users_U.tolist())


def test_of_larger_data_users_are_drawn(
    planted: Callable[..., SearchData], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole users are left out until pairs and scores are few enough; the same each time."""
    data = planted(num_users=200)
    everybody = valid_task(data, 50, "window")
    monkeypatch.setattr(task_module, "MOST_PAIRS", 2_000)
    fewer, again = (valid_task(data, 50, "window") for _ in range(2))
    assert fewer.users_U.tolist() == again.users_U.tolist()
    assert 10 < len(fewer) < len(everybody)
    assert set(fewer.users_U) <= set(np.unique(fewer.rows.users_N))
    assert len(Pairs.of(fewer).laters_P) <= 2_000
    monkeypatch.setattr(task_module, "MOST_SCORES", 20 * (data.num_items + 1))
    assert len(valid_task(data, 50, "window")) == 20
    assert everybody.items_U.min() > 0
