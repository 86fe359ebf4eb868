"""Samplers and pruners: seeds, repeats, the grid, the direction of pruning, and the warm-up."""

from collections import Counter
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState, create_trial

from blade_tune.search.replicates import LEADER_RUNS, replicate_index
from blade_tune.search.samplers import TPE, build_pruner, build_sampler, warmup_epochs
from blade_tune.space import Space
from blade_tune.spec.fingerprint import sampler_seed
from blade_tune.spec.study_file import PrunerConfig, PrunerName, SamplerName, SearchConfig
from blade_tune.training.config import TrainConfig

SAMPLERS = get_args(SamplerName)
PRUNERS = get_args(PrunerName)


def space(**model: Any) -> Space:
    return Space.from_mapping({"model": model}, "space")


SMALL = space(  # 18 points
    kind={"choice": ["a", "b"]},
    number={"int": [1, 3]},
    extra={"float": [0.0, 1.0], "step": 0.25, "when": {"kind": ["b"]}},
)
PAPER = space(  # 72 points
    num_blocks={"choice": [2, 3]},
    num_heads={"choice": [2, 4, 8]},
    dropout={"choice": [0.2, 0.3, 0.4, 0.5]},
    num_experts={"choice": [4, 6, 8]},
)
CONTINUOUS = space(
    alpha={"float": [0.0, 1.0]},
    lambda_={"float": [0.01, 1.0], "log": True},
    kind={"choice": ["a", "b"]},
)


def make(sampler: SamplerName, searched: Space, seed: int = 1) -> BaseSampler:
    return build_sampler(SearchConfig(sampler=sampler, seed=seed), searched)


def point(searched: Space, trial: optuna.Trial) -> tuple[Any, ...]:
    """A trial's configuration, as `Space.suggest` makes it."""
    return tuple(sorted(searched.suggest(trial).items()))


def total(*values: Any) -> float:
    """A value that a sampler can learn: better where numbers are higher."""
    return sum(value for _, value in values if isinstance(value, float | int))


def add(
    study: optuna.Study, searched: Space, trials: int, value: Callable[..., float] = total
) -> list[tuple[Any, ...]]:
    """The configurations of so many new trials."""
    found = []

    def objective(trial: optuna.Trial) -> float:
        found.append(point(searched, trial))
        return value(*found[-1])

    study.optimize(objective, n_trials=trials)
    return found


def points(
    sampler: SamplerName,
    seed: int,
    trials: int,
    storage: Any = None,
    value: Callable[..., float] = total,
) -> list[tuple[Any, ...]]:
    """Those of the small space, of trials that are added to the study in the storage if one is given."""
    study = optuna.create_study(
        storage=storage,
        study_name="s",
        load_if_exists=True,
        sampler=make(sampler, SMALL, seed),
        direction="maximize",
    )
    return add(study, SMALL, trials, value)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_study_seed_decides_what_is_proposed(sampler: str):
    """Two fresh studies of one seed propose the same points in the same order; another seed proposes others."""
    first, again, other = (points(sampler, seed, 6) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_study_does_not_repeat_its_first_points(sampler: str):
    """Proposals after a restart are not those of the start, even if nothing of the start was scored."""
    storage = optuna.storages.InMemoryStorage()
    start, after = points(sampler, 1, 4, storage), points(sampler, 1, 4, storage)
    assert start != after

    def fail(*_: Any) -> float:
        return float("nan")  # Optuna makes it a failed trial

    storage = optuna.storages.InMemoryStorage()
    start, after = points(sampler, 1, 3, storage, fail), points(sampler, 1, 3, storage, fail)
    assert start != after


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_resumed_study_goes_on_as_if_never_stopped(sampler: str):
    """A trial's proposal depends on the study seed, its number and the trials before it, not on restarts."""
    storage = optuna.storages.InMemoryStorage()
    in_parts = [point for _ in range(4) for point in points(sampler, 3, 4, storage)]
    assert in_parts == points(sampler, 3, 16)


@pytest.mark.parametrize("restart_every", [1, 3, 100])
def test_the_grid_tries_every_point_once(restart_every: int):
    """All 18 points come once each, in whatever parts the study is run."""
    storage, found = optuna.storages.InMemoryStorage(), []
    while len(found) < 18:
        found += points("grid", 5, min(restart_every, 18 - len(found)), storage)
    assert len(set(found)) == 3 * (1 + 5)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp"])
def test_nothing_is_repeated_while_something_is_new(sampler: SamplerName):
    """A configuration that was tried is drawn again before it becomes a trial."""
    found = points(sampler, 5, 15)
    assert len(set(found)) == 15


def test_a_grid_begins_anywhere():
    """Parameters are not tied to each other: over seeds, each of eight points comes first about equally often."""
    searched = space(one={"choice": [0, 1]}, two={"choice": [0, 1]}, three={"choice": [0, 1]})
    first = Counter(
        add(optuna.create_study(sampler=make("grid", searched, seed)), searched, 1)[0]
        for seed in range(160)
    )
    assert len(first) == 8
    assert max(first.values()) < 40  # 20 are expected


def test_the_papers_grid_is_tried_almost_whole():
    """72 trials of TPE try nine in ten of its 72 points, and repeat none but leaders; alone it tries two in three."""
    runs = Counter(
        add(optuna.create_study(direction="maximize", sampler=make("tpe", PAPER)), PAPER, 72)
    )
    assert len(runs) >= 64
    assert max(runs.values()) <= 1 + LEADER_RUNS


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_when_nothing_is_new_runs_are_spread(sampler: SamplerName):
    """Later trials are replicates, numbered from 0 in every configuration; only leaders get a few more than others."""
    study = optuna.create_study(direction="maximize", sampler=make(sampler, SMALL))
    runs = Counter(add(study, SMALL, 70))
    assert len(runs) == 18
    assert max(runs.values()) - min(runs.values()) <= 1 + LEADER_RUNS
    trials = study.get_trials()
    replicates = Counter(replicate_index(SMALL, trials, trial) for trial in trials)
    assert replicates == Counter(
        replicate for number in runs.values() for replicate in range(number)
    )


def test_a_running_trial_is_a_tried_one():
    """Trials asked for before any has ended differ, whoever asks for them."""
    storage = optuna.storages.InMemoryStorage()
    workers = [
        optuna.create_study(
            storage=storage, study_name="s", load_if_exists=True, sampler=make("tpe", SMALL)
        )
        for _ in range(3)
    ]
    asked = [point(SMALL, workers[number % 3].ask()) for number in range(15)]
    assert len(set(asked)) == 15


def test_brackets_do_not_repeat_each_other():
    """Hyperband shows a sampler a part of the study; what was tried is looked up in all of it."""
    pruner = build_pruner(PrunerConfig(kind="hyperband"), TRAIN)
    study = optuna.create_study(study_name="s", sampler=make("tpe", SMALL), pruner=pruner)
    found = set()
    for number in range(15):
        trial = study.ask()
        found.add(point(SMALL, trial))
        trial.report(0.5, 20)
        trial.should_prune()  # Hyperband makes its brackets at the first question
        study.tell(trial, number / 15)
    assert len(found) == 15


@pytest.mark.parametrize(("sampler", "alone"), [("tpe", TPESampler), ("random", RandomSampler)])
@pytest.mark.parametrize("searched", [CONTINUOUS, SMALL], ids=["continuous", "small"])
def test_a_first_draw_is_the_samplers_own(
    sampler: SamplerName, alone: Callable[..., BaseSampler], searched: Space
):
    """What was not tried before is proposed as the sampler alone proposes it: in a continuous space, always."""
    study = optuna.create_study(direction="maximize", sampler=make(sampler, searched))
    tried: set[tuple[Any, ...]] = set()
    for number in range(15):
        twin = optuna.create_study(
            direction="maximize", sampler=alone(seed=sampler_seed(1, number))
        )
        twin.add_trials(study.get_trials())
        first, trial = point(searched, twin.ask()), study.ask()
        proposed = point(searched, trial)
        assert proposed == first or first in tried
        tried.add(proposed)
        study.tell(trial, total(*proposed))


def test_the_joint_space_that_is_kept_is_the_one_that_optuna_finds():
    """In whatever order trials end, and whatever they have, it is that of a sampler which looks through all of them."""
    searched = space(**SMALL.to_mapping()["model"], only={"choice": [7]})
    study, running = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=0)), []
    dice = np.random.default_rng(0)
    joint, found = IntersectionSearchSpace(include_pruned=True), set()
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    for number in range(40):
        trial = study.ask()
        now = study.get_trials(deepcopy=False)[number]
        kept = TPE(number, joint).infer_relative_search_space(study, now)
        assert kept == TPESampler(seed=number).infer_relative_search_space(study, now)
        found.add(frozenset(kept))
        point(searched, trial)
        running.append(trial)
        while running and dice.random() < 0.5:
            state = states[dice.integers(3)]
            value = dice.random() if state == TrialState.COMPLETE else None
            study.tell(running.pop(dice.integers(len(running))), value, state=state)
    always = {"model.kind", "model.number"}
    assert found == {frozenset(), frozenset({*always, "model.extra"}), frozenset(always)}


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_one_history_has_one_proposal(sampler: SamplerName):
    """Study seed, trial number and the trials so far decide a proposal, redrawn or repeated though it may be."""
    history = optuna.create_study(direction="maximize", sampler=make("random", SMALL))
    for trials in (9, 8, 20):  # few repeats, most points tried, all of them
        add(history, SMALL, trials)
        proposals = set()
        for _ in range(2):
            study = optuna.create_study(direction="maximize", sampler=make(sampler, SMALL))
            study.add_trials(history.get_trials())
            proposals.add(point(SMALL, study.ask()))
        assert len(proposals) == 1


def test_given_values_stand_and_the_others_are_redrawn():
    """An enqueued configuration is run even if it was tried; values it leaves open are those with the fewest runs."""
    study = optuna.create_study(sampler=make("tpe", SMALL))
    for number in (1, 2, 1):
        study.enqueue_trial({"model.kind": "a", "model.number": number})
    for _ in range(6):
        study.enqueue_trial({"model.kind": "a"})
    tried = [dict(found)["model.number"] for found in add(study, SMALL, 9)]
    assert tried[:4] == [1, 2, 1, 3]
    assert Counter(tried) == {1: 3, 2: 3, 3: 3}


def test_a_proposal_has_no_idle_parameter():
    """Parameters whose condition does not hold are not stored, and those of one value have it."""
    searched = space(
        **SMALL.to_mapping()["model"], only={"choice": [7]}, point={"float": [0.5, 0.5]}
    )
    study = optuna.create_study(direction="maximize", sampler=make("tpe", searched))
    for found, trial in zip(add(study, searched, 20), study.get_trials(), strict=True):
        assert dict(found) == trial.params
        assert ("model.extra" in trial.params) == (trial.params["model.kind"] == "b")
        assert (trial.params["model.only"], trial.params["model.point"]) == (7, 0.5)


def ended(values: dict[int, float]) -> optuna.trial.FrozenTrial:
    """A completed trial with these values by epoch."""
    return create_trial(
        state=TrialState.COMPLETE, value=max(values.values()), intermediate_values=values
    )


def is_pruned(pruner: BasePruner, others: list[float], value: float, epoch: int = 10) -> bool:
    """Whether a trial with this value at an epoch ends, beside completed ones with theirs."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.add_trials([ended({epoch: other}) for other in others])
    trial = study.ask()
    trial.report(value, epoch)
    return trial.should_prune()


TRAIN = TrainConfig(max_epochs=50, eval_every=5)


def test_the_percentile_pruner_keeps_the_better_share():
    """Percentile 75 ends a trial if and only if it is among the weakest quarter; 25 keeps only the best quarter."""
    others = [i / 100 for i in range(1, 101)]
    for share in (75.0, 25.0):
        pruner = build_pruner(PrunerConfig(percentile=share, startup_trials=5), TRAIN)
        kept = [value for value in others if not is_pruned(pruner, others, value)]
        assert kept == others[-len(kept) :]
        assert len(kept) == pytest.approx(share, abs=1)


def test_no_trial_is_pruned_before_enough_have_completed():
    """The first `startup_trials` completed ones are the yardstick, and until then nothing ends."""
    pruner = build_pruner(PrunerConfig(startup_trials=5), TRAIN)
    assert not is_pruned(pruner, [0.9] * 4, 0.1)
    assert is_pruned(pruner, [0.9] * 5, 0.1)


@pytest.mark.parametrize(("warmup", "epochs"), [(0.0, 0), (0.2, 10), (0.5, 25)])
def test_the_warm_up_is_a_share_of_all_epochs(warmup: float, epochs: int):
    """Epochs without pruning are a share of the most that a trial has."""
    assert warmup_epochs(PrunerConfig(warmup=warmup), TRAIN) == epochs


@pytest.mark.parametrize("kind", ["percentile", "median", "asha", "hyperband"])
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.5])
def test_pruners_look_first_after_the_warm_up(kind: PrunerName, warmup: float):
    """A hopeless trial lives through the warm-up and ends at the first evaluation that the pruner looks at after it."""
    config = PrunerConfig(kind=kind, warmup=warmup, startup_trials=1, reduction_factor=2)
    epochs = warmup_epochs(config, TRAIN)
    study = optuna.create_study(
        direction="maximize", pruner=build_pruner(config, TRAIN), study_name="s"
    )
    grid = range(5, 51, 5)
    for _ in range(30):
        trial = study.ask()
        for epoch in grid:
            trial.report(0.9, epoch)
            trial.should_prune()
        study.tell(trial, 0.9)
    ends = []
    for _ in range(20):
        trial = study.ask()
        for epoch in grid:
            trial.report(0.1, epoch)
            if epoch > epochs and trial.should_prune():
                ends.append(epoch)
                break
        study.tell(trial, state=TrialState.PRUNED)
    assert min(ends) == epochs + 5


@pytest.mark.parametrize("kind", PRUNERS)
@pytest.mark.parametrize(
    "train", [{"max_epochs": 1, "eval_every": 5}, {"max_epochs": 2, "eval_every": 3}]
)
def test_pruners_take_studies_of_few_epochs(kind: PrunerName, train: dict[str, int]):
    """A study shorter than its distance of evaluations runs with every pruner."""
    config = TrainConfig(**train)
    study = optuna.create_study(
        direction="maximize", pruner=build_pruner(PrunerConfig(kind=kind, warmup=0.5), config)
    )
    for value in (0.3, 0.2, 0.1):
        trial = study.ask()
        trial.report(value, config.max_epochs)
        assert trial.should_prune() in (True, False)
        study.tell(trial, value)
