"""Samplers and pruners: seeds, the grid, the direction of pruning, and the warm-up."""

from collections.abc import Callable
from typing import Any, get_args

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.trial import TrialState, create_trial

from blade_tune.study.definition import PrunerConfig, PrunerName, SamplerName
from blade_tune.study.sampling import build_pruner, build_sampler, warmup_epochs
from blade_tune.training.config import TrainConfig

SAMPLERS = get_args(SamplerName)
PRUNERS = get_args(PrunerName)


def suggest(trial: optuna.Trial) -> tuple[Any, ...]:
    kind = trial.suggest_categorical("kind", ["a", "b"])
    number = trial.suggest_int("number", 1, 3)
    extra = trial.suggest_float("extra", 0.0, 1.0, step=0.25) if kind == "b" else 0.0
    return kind, number, extra


def points(
    sampler: str, seed: int, trials: int, storage: Any = None, value: Callable[..., float] | None = None
) -> list:
    """The configurations of new trials, which are added to the study in the storage if one is given."""
    study = optuna.create_study(
        storage=storage, study_name="s", load_if_exists=True, sampler=build_sampler(sampler, seed), direction="maximize"
    )
    found = []

    def objective(trial: optuna.Trial) -> float:
        found.append(suggest(trial))
        return (value or (lambda _, number, extra: number + extra))(*found[-1])

    study.optimize(objective, n_trials=trials)
    return found


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


def ended(values: dict[int, float]) -> optuna.trial.FrozenTrial:
    """A completed trial with these values by epoch."""
    return create_trial(state=TrialState.COMPLETE, value=max(values.values()), intermediate_values=values)


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
    study = optuna.create_study(direction="maximize", pruner=build_pruner(config, TRAIN), study_name="s")
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
@pytest.mark.parametrize("train", [{"max_epochs": 1, "eval_every": 5}, {"max_epochs": 2, "eval_every": 3}])
def test_pruners_take_studies_of_few_epochs(kind: PrunerName, train: dict[str, int]):
    """A study shorter than its distance of evaluations runs with every pruner."""
    config = TrainConfig(**train)
    study = optuna.create_study(direction="maximize", pruner=build_pruner(PrunerConfig(kind=kind, warmup=0.5), config))
    for value in (0.3, 0.2, 0.1):
        trial = study.ask()
        trial.report(value, config.max_epochs)
        assert trial.should_prune() in (True, False)
        study.tell(trial, value)
