"""Repeats: what one run of a configuration is, what is worth another, and the noise that repeats show."""

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from blade_tune.search.replicates import (
    LEADER_RUNS,
    History,
    configuration,
    pooled_noise,
    replicate_index,
)
from blade_tune.space import Space

SPACE = Space.from_mapping(
    {
        "model": {
            "alpha": {"float": [0.0, 1.0], "step": 0.1},
            "kind": {"choice": ["a", "b"]},
            "depth": 3,
        }
    },
    "space",
)
DISTRIBUTIONS = {
    "model.alpha": FloatDistribution(0.0, 1.0, step=0.1),
    "model.kind": CategoricalDistribution(["a", "b"]),
}


def params(alpha: float, kind: str = "a") -> dict[str, Any]:
    return {"model.alpha": alpha, "model.kind": kind}


def row(
    alpha: float, value: float | None = None, state: TrialState = TrialState.COMPLETE, **attrs: Any
) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value,
        params=params(alpha),
        distributions=DISTRIBUTIONS,
        user_attrs=attrs,
    )


def stored(*rows: FrozenTrial) -> list[FrozenTrial]:
    """The rows with their numbers."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(rows)
    return study.get_trials()


def num_runs(*rows: FrozenTrial) -> int:
    """How often alpha = 0.3 was run."""
    return History(SPACE, stored(*rows)).num_runs[configuration(SPACE, params(0.3))]


def test_a_configuration_is_what_was_chosen():
    """Neither the dust of adding steps, nor the order of names, nor what the space fixes makes another one."""
    assert 0.1 + 0.2 != 0.3
    same = [
        params(0.3),
        params(0.1 + 0.2),
        dict(reversed(params(0.3).items())),
        {**params(0.3), "model.depth": 3},
    ]
    assert len({configuration(SPACE, given) for given in same}) == 1
    assert configuration(SPACE, params(0.3, "b")) != configuration(SPACE, params(0.3))


@pytest.mark.parametrize("state", TrialState)
def test_a_run_counts_in_every_state(state: TrialState):
    """What failed, was pruned, runs or waits was tried as much as what completed."""
    value = 0.5 if state == TrialState.COMPLETE else None
    assert num_runs(row(0.3, value, state), row(0.4, 0.5)) == 1


def test_an_enqueued_row_is_a_run():
    """A row that waits with the parameters it was enqueued with is counted before it takes them."""
    study = optuna.create_study()
    study.enqueue_trial(params(0.3))
    assert History(SPACE, study.get_trials()).num_runs[configuration(SPACE, params(0.3))] == 1


def test_a_continued_trial_is_one_run():
    """Its interrupted attempts are not runs of their own, and other rows between them are."""
    first = row(0.3, state=TrialState.FAIL, reason="interrupted")
    second = row(0.3, state=TrialState.FAIL, reason="lost", root=0)
    last = row(0.3, 0.5, root=0)
    assert num_runs(first, second, last) == 1
    assert num_runs(first, row(0.3, 0.5), second, last) == 2


def test_new_ones_are_wanted_and_leaders_a_few_times_more():
    """Of twenty configurations the best by its mean may be repeated, a few times; no other while something is new."""
    others = [row(alpha / 10, alpha / 100) for alpha in range(10)]
    others += [
        create_trial(params=params(a / 10, "b"), distributions=DISTRIBUTIONS, value=a / 100)
        for a in range(10)
    ]

    def wanted(alpha: float, *more: FrozenTrial) -> bool:
        return History(SPACE, stored(*others, *more)).is_wanted(configuration(SPACE, params(alpha)))

    assert wanted(1.0)
    assert not wanted(0.5)
    assert not wanted(0.5, row(0.5, 0.99, TrialState.PRUNED))  # cut short, it does not lead
    assert [wanted(0.9, *[row(0.9, 0.5)] * again) for again in range(5)] == [
        again < LEADER_RUNS for again in range(5)
    ]
    assert wanted(0.0, row(0.0, 0.25))
    assert not wanted(0.0, row(0.0, 0.15))  # its better run is the best, its mean is not


def test_a_few_configurations_have_no_leader():
    """The best of less than twenty is not yet worth repeating."""
    history = History(SPACE, stored(*[row(alpha / 10, alpha) for alpha in range(10)]))
    assert not any(map(history.is_wanted, history.num_runs))


def test_when_all_are_tried_those_with_the_fewest_runs_are_wanted():
    """In an exhausted space another round begins, and ends when every configuration had its run."""
    nothing = create_trial(state=TrialState.FAIL)  # it ended before it took parameters
    few = Space.from_mapping(
        {"model": {"alpha": {"float": [0.0, 0.2], "step": 0.1}, "kind": "a"}}, "space"
    )

    def wanted(*alphas: float) -> list[float]:
        history = History(few, stored(nothing, *[row(alpha, 0.5) for alpha in alphas]))
        return [a for a in (0.0, 0.1, 0.2) if history.is_wanted(configuration(few, params(a)))]

    assert wanted() == [0.0, 0.1, 0.2]
    assert wanted(0.0, 0.2) == [0.1]
    assert wanted(0.0, 0.2, 0.1) == [0.0, 0.1, 0.2]
    assert wanted(0.0, 0.2, 0.1, 0.0, 0.0) == [0.1, 0.2]


def test_replicates_are_numbered_by_the_first_row():
    """The index of a trial counts earlier ones of its configuration, whenever it is asked for and whatever follows."""
    trials = stored(
        row(0.3, 0.5),
        row(0.4, 0.5),
        row(0.3, state=TrialState.RUNNING),
        row(0.3, 0.5),
        row(0.4, 0.5),
    )
    indices = [replicate_index(SPACE, trials, trial) for trial in trials]
    assert indices == [0, 0, 1, 2, 1]
    assert [
        replicate_index(SPACE, trials[: trial.number + 1], trial) for trial in trials
    ] == indices


def test_an_enqueued_row_has_its_place_among_replicates():
    """What waits with a configuration comes before a later row of the same, though it takes its parameters later."""
    study = optuna.create_study()
    study.enqueue_trial(params(0.3))
    study.add_trial(row(0.3, 0.5))
    assert replicate_index(SPACE, study.get_trials(), study.get_trials()[1]) == 1


def test_a_continued_trial_keeps_its_replicate_index():
    """Rows that go on from an earlier one have its index, and trials that started meanwhile do not move it."""
    lost = row(0.3, state=TrialState.FAIL, reason="lost")
    trials = stored(row(0.3, 0.5), lost, row(0.3, 0.5), row(0.3, 0.5, root=1), row(0.3, 0.5))
    assert [replicate_index(SPACE, trials, trial) for trial in trials] == [0, 1, 2, 1, 3]
    (decided,) = stored(row(0.3, 0.5, replicate=4))
    assert replicate_index(SPACE, trials, decided) == 4


def test_noise_is_the_spread_within_configurations():
    """Two groups by hand: variances 2 and 1 of 1 and 2 degrees of freedom; single runs and other ends do not count."""
    runs = [
        row(0.1, 1.0),
        row(0.1, 3.0),
        row(0.2, 11.0),
        row(0.2, 12.0),
        row(0.2, 13.0),
        row(0.3, 99.0),
    ]
    ends = [row(0.3, 5.0, TrialState.PRUNED), row(0.3, None, TrialState.FAIL)]
    noise = pooled_noise(SPACE, stored(*runs, *ends))
    assert noise is not None
    assert noise.degrees_of_freedom == 3
    assert noise.deviation == pytest.approx(math.sqrt((2.0 + 2.0) / 3))


def test_without_repeats_no_noise_is_known():
    """No run, one run, or runs of different configurations give None, not zero."""
    for runs in ([], [row(0.1, 1.0)], [row(0.1, 1.0), row(0.2, 2.0)]):
        assert pooled_noise(SPACE, stored(*runs)) is None


def test_runs_of_one_seed_are_one():
    """Two workers that met at a configuration and a seed tell nothing of the noise between seeds."""
    twins = [row(0.1, 1.0, seed=5), row(0.1, 1.0, seed=5)]
    assert pooled_noise(SPACE, stored(*twins)) is None
    noise = pooled_noise(SPACE, stored(*twins, row(0.1, 2.0, seed=6)))
    assert noise is not None
    assert (noise.degrees_of_freedom, noise.deviation) == (1, pytest.approx(math.sqrt(0.5)))


def test_noise_is_estimated_without_bias():
    """With pairs at different levels the pooled deviation is that of the noise, not that of the levels."""
    generator = np.random.default_rng(0)
    pairs = [row(a / 10, a + generator.normal(0, 0.05)) for a in range(11) for _ in range(60)]
    noise = pooled_noise(SPACE, stored(*pairs))
    assert noise is not None
    assert noise.degrees_of_freedom == 11 * 59
    assert noise.deviation == pytest.approx(0.05, rel=0.1)
