"""A study whose pruner promotes: trials pause, go on as if they never had, and stand once wherever they are counted."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import FrozenTrial, TrialState
from safetensors.torch import load_file

from blade_tune.data.store import prepare
from blade_tune.doctor.crash_remains import Leftovers
from blade_tune.errors import InterruptedStudyError
from blade_tune.files import remove
from blade_tune.fleet.worker import Worker
from blade_tune.report import numbers, tables
from blade_tune.search.replicates import History
from blade_tune.search.samplers import ProposedTrials
from blade_tune.storage.attempts import Claimant
from blade_tune.storage.process import Owner
from blade_tune.storage.recovery import Recovery
from blade_tune.storage.spending import Limit
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import (
    is_paused,
    is_promoted,
    latest_failures,
    logical_trials,
    num_scored,
    root_number,
)
from blade_tune.study.create import TrialBudget, open_study
from blade_tune.study.progress import describe, why_done
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.training.device_data import DeviceData
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.loop import Hooks
from blade_tune.trial.callback import Callback
from blade_tune.trial.objective import build_training
from tests.tiny import define, work

TRIALS, EPOCHS, RUNGS = 8, 4, (1, 2)
PROMOTE = {"kind": "promote", "rungs": [0.25, 0.5], "reduction_factor": 2}
CHANGES: dict[str, Any] = {
    "train__max_epochs": EPOCHS,
    "search__trials": TRIALS,
    "search__sampler": "random",
    "search__pruner": PROMOTE,
}
SPACE = {
    "model": {"embedding_size": 8, "max_length": 6, "num_blocks": 1, "num_heads": 1},
    "train": {"batch_size": 16, "learning_rate": {"float": [1e-3, 1e-1], "log": True}},
}
MODELS: dict[str, dict[str, Any]] = {
    "blade": {},
    "sasrec": {"model": "sasrec", "space": SPACE},
    "mb_str": {"model": "mb_str", "space": SPACE},
}


def promoting(results: Path, limit: Limit | None = None, **changes: Any) -> StoredStudy:
    """The promoting study, opened but not run."""
    definition = define(**{**CHANGES, **changes})
    data = prepare(definition.data, None, results)
    trials = None if limit is None else 1_000_000
    total = TrialBudget(trials, limit=limit)
    return open_study(definition, data, Workspace.at(None, results), total)


@pytest.fixture(scope="module", params=MODELS)
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    """A search that has ended, of each model."""
    study = promoting(tmp_path_factory.mktemp("ended"), **MODELS[request.param])
    work(study)
    return study


def checkpoints(study: StoredStudy) -> set[int]:
    """Roots of the trials that have a checkpoint."""
    return {int(path.parent.name) for path in study.folder.path.glob("trials/*/checkpoint.pt")}


def complete(study: StoredStudy) -> list[FrozenTrial]:
    return [trial for trial in study.trials if trial.state == TrialState.COMPLETE]


def alone(study: StoredStudy, row: FrozenTrial) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The history and the weights of a trial's configuration and seed, trained without a break."""
    values = study.values(row)
    data = study.data(None)
    device_data = DeviceData.for_search(data, 6, study.definition.objective, torch.device("cpu"))
    seed, threads = TrialRecord(row).seed, TrialRecord(row).threads
    training = build_training(study.definition, values, data, device_data, seed, threads)
    result = training.run(Hooks(device_data.evaluator))
    return [comparable(vars(record)) for record in result.history], result.weights


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """An epoch's figures, without what it took."""
    return {name: value for name, value in record.items() if "seconds" not in name}


def history(study: StoredStudy, row: FrozenTrial) -> list[dict[str, Any]]:
    lines = study.files(row).metrics.read_text().splitlines()
    return [comparable(json.loads(line)) for line in lines]


def test_a_promoted_trial_ends_as_one_that_never_paused(ended: StoredStudy):
    """Every figure of every epoch and every weight, bit for bit, and a paused one as far as it got."""
    promoted = [row for row in complete(ended) if is_promoted(row)]
    assert promoted
    for row in logical_trials(ended.trials):
        epochs, weights = alone(ended, row)
        assert history(ended, row) == epochs[: len(row.intermediate_values)]
        if row.state == TrialState.COMPLETE:
            assert len(epochs) == EPOCHS
            kept = load_file(ended.files(row).weights)
            assert kept.keys() == weights.keys()
            assert all(kept[name].equal(weights[name]) for name in kept)


def test_the_count_is_exact_and_a_trial_stands_once(ended: StoredStudy):
    """So many trials are charged, each with one row that counts; once more, nothing happens."""
    trials = ended.trials
    assert num_scored(trials) == TRIALS == len(logical_trials(trials))
    assert all(trial.state.is_finished() for trial in trials)
    assert ended.attempts.open_attempts() == []
    assert {max(t.intermediate_values) for t in trials if is_paused(t)} <= set(RUNGS)
    work(ended)
    assert len(ended.trials) == len(trials)
    assert why_done(ended) == f"{TRIALS} of {TRIALS} trials are scored"


def test_an_ended_search_leaves_no_checkpoint(ended: StoredStudy):
    """Nobody is left who could be promoted."""
    assert checkpoints(ended) == set()


def test_what_is_shown_says_paused(ended: StoredStudy):
    """A row whose trial was promoted is `continued`, any other paused one `paused`, in tables and in counts."""
    trials = ended.trials
    rows = tables.trial_rows(ended)
    resumed = {TrialRecord(trial).promoted for trial in trials if is_promoted(trial)}
    for row, trial in zip(rows, trials, strict=True):
        paused = "continued" if trial.number in resumed else "paused"
        assert row["state"] == (paused if is_paused(trial) else "complete")
        assert tables.trial_facts(ended, trial)["state"] == row["state"]
    counts = tables.status(ended)["trials"]
    assert counts["continued"] == len(resumed)
    assert counts["complete"] + counts["paused"] == TRIALS
    assert counts["pruned"] == counts["failed"] == 0
    some = next(trial for trial in trials if is_paused(trial))
    assert describe(some).startswith("paused after epoch 1, ranked ")
    costs = {row["kind"]: row for row in numbers.costs(ended)}
    assert costs["complete"]["trials"] + costs["paused"]["trials"] == TRIALS
    assert costs["complete"]["epochs"] == EPOCHS * costs["complete"]["trials"]
    assert len(numbers.scored_values(ended)) == TRIALS
    assert tables.count_failures(trials) == {}


def test_a_promoted_trial_is_no_repeat(ended: StoredStudy):
    """Its configuration was run once, and its seed is that of its first run."""
    history = History(ended.definition.space, ended.trials)
    assert set(history.num_runs.values()) == {1}
    assert {TrialRecord(trial).replicate for trial in ended.trials} == {0}


def test_the_sampler_sees_every_trial_once(ended: StoredStudy):
    """One row a trial, the latest that has a score, in whatever states it asks for."""
    view = ProposedTrials(ended.study)
    shown = view._get_trials(deepcopy=False)
    assert [root_number(row) for row in sorted(shown, key=root_number)] == list(
        dict.fromkeys(sorted(root_number(row) for row in ended.trials))
    )
    assert [row.number for row in shown] == sorted(row.number for row in shown)
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    assert view._get_trials(deepcopy=False, states=states) == shown


class Stop(Callback):
    """Interrupts the worker once, in the first epoch of a row of which something holds."""

    def __init__(self, study: StoredStudy, when: Callable[[FrozenTrial], bool]) -> None:
        self.study = study
        self.when = when
        self.number: int | None = None

    def epoch_ended(self, number: int, _: EpochRecord) -> None:
        if self.number is None and self.when(self.study.trials[number]):
            self.number = number
            os.kill(os.getpid(), signal.SIGINT)


def interrupted(results: Path) -> StoredStudy:
    """A search in which the first promoted trial was interrupted."""
    study = promoting(results, search__pruner={**PROMOTE, "rungs": [0.25]})
    with pytest.raises(InterruptedStudyError):
        work(study, Stop(study, is_promoted))
    return study


def test_of_a_trial_that_goes_on_the_sampler_sees_the_paused_row(tmp_path: Path):
    """Neither the row that waits nor the one that runs is shown beside it."""
    study = interrupted(tmp_path)
    view = ProposedTrials(study.study)
    (waiting,) = [row for row in study.trials if row.state == TrialState.WAITING]
    assert is_promoted(waiting)

    def seen() -> list[FrozenTrial]:
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        rows = view._get_trials(deepcopy=False, states=states)
        return [row for row in rows if root_number(row) == root_number(waiting)]

    assert [is_paused(row) for row in seen()] == [True]
    assert study.study.ask().number == waiting.number
    assert [is_paused(row) for row in seen()] == [True]
    study.study.tell(waiting.number, 0.5)
    assert [row.number for row in seen()] == [waiting.number]


def test_an_interrupted_promotion_goes_on_though_the_budget_is_charged(tmp_path: Path):
    """A trial that waits to go on needs no slot: a run of no more trials than there are ends it."""
    study = interrupted(tmp_path)
    scored = num_scored(study.trials)
    study.study.set_user_attr("budget", scored)
    assert why_done(study) is None
    work(study)
    assert num_scored(study.trials) == scored
    assert all(trial.state.is_finished() for trial in study.trials)
    assert len(logical_trials(study.trials)) == scored


def test_a_lost_promotion_goes_on_though_the_budget_is_charged(tmp_path: Path):
    """A worker takes a promoted trial and is gone: it is queued again, charged no second time, and ends."""
    study = interrupted(tmp_path)
    study.study.set_user_attr("budget", num_scored(study.trials))
    (waiting,) = [row for row in study.trials if row.state == TrialState.WAITING]
    gone = Claimant(replace(Owner.here(), pid=4_000_000), "cpu", 1.0)
    assert study.attempts.take(waiting.number, gone)
    recovery = Recovery(study.storage, study.study, study.attempts, 120.0, study.folder)
    assert recovery.sweep() == [waiting.number]
    assert why_done(study) is None
    work(study)
    assert num_scored(study.trials) == study.budget
    assert all(trial.state.is_finished() for trial in study.trials)
    assert checkpoints(study) == set()


def test_without_its_checkpoint_a_promoted_trial_begins_anew_and_ends_equal(tmp_path: Path):
    """It passes the rung that it was promoted from, and comes to the same figures and weights."""
    study = interrupted(tmp_path)
    (waiting,) = [row for row in study.trials if row.state == TrialState.WAITING]
    remove(study.files(waiting).checkpoint)
    work(study)
    row = next(r for r in logical_trials(study.trials) if root_number(r) == root_number(waiting))
    epochs, _ = alone(study, row)
    assert history(study, row) == epochs[: max(row.intermediate_values)]
    assert max(row.intermediate_values) > 1
    assert num_scored(study.trials) == TRIALS


def test_a_trial_that_is_lost_while_it_pauses_pauses_again(tmp_path: Path):
    """Its checkpoint is that of the rung: it does not slip past it because its worker died at that moment."""
    study = promoting(tmp_path, search__trials=2)
    with monkeypatched(Worker, "_store", die), pytest.raises(Died):
        work(study)
    (row,) = study.trials
    assert (row.state, sorted(row.intermediate_values)) == (TrialState.RUNNING, [1])
    Recovery(study.storage, study.study, study.attempts, 120.0, study.folder).sweep()
    work(study)
    assert is_paused(study.trials[1])
    assert sorted(study.trials[1].intermediate_values) == [1]


class Died(BaseException):
    """What ends a process without a trace."""


def die(*_: Any) -> None:
    raise Died


@contextmanager
def monkeypatched(owner: type, name: str, function: Callable[..., Any]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, function)
        yield


def test_the_only_trial_of_a_search_is_trained_to_its_end(tmp_path: Path):
    """One alone is the best of its rung."""
    study = promoting(tmp_path, search__trials=1)
    work(study)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE]


def test_more_trials_may_lift_those_that_are_paused(tmp_path: Path):
    """A larger budget goes on from what is there; a trial without a checkpoint begins anew."""
    work(promoting(tmp_path, search__trials=3))
    more = promoting(tmp_path, search__trials=TRIALS)
    work(more)
    assert num_scored(more.trials) == TRIALS == len(logical_trials(more.trials))


def test_a_promotion_that_fails_is_a_failure_of_a_scored_trial(tmp_path: Path):
    """It stays charged, by its paused row; its end is counted as a failure."""
    study = interrupted(tmp_path)
    scored = num_scored(study.trials)
    (waiting,) = [row for row in study.trials if row.state == TrialState.WAITING]
    study.study.ask()
    study.study.tell(waiting.number, state=TrialState.FAIL)
    assert num_scored(study.trials) == scored
    assert latest_failures(study.trials)[0].number == waiting.number
    assert tables.count_failures(study.trials) == {"unknown": 1}
    assert len(numbers.scored_values(study)) == scored


def test_a_limit_of_steps_ends_promotions(tmp_path: Path):
    """Once it is spent, nobody is promoted; what had begun is cut, and the paused keep their checkpoints."""
    study = promoting(tmp_path, Limit("steps", 30))
    why = work(study)
    assert "30 of 30 steps are spent" in why
    assert study.promotable(study.trials) is None
    assert all(trial.state.is_finished() for trial in study.trials)
    assert TrialState.COMPLETE in {trial.state for trial in study.trials}
    paused = {root_number(row) for row in logical_trials(study.trials) if is_paused(row)}
    assert checkpoints(study) == paused
    before = len(study.trials)
    work(study)
    assert len(study.trials) == before
    work(promoting(tmp_path, Limit("steps", 40)))
    assert len(study.trials) > before


def test_a_grid_ends_with_its_points(tmp_path: Path):
    """A budget beyond the points of the space keeps nobody waiting for trials that do not come."""
    space = {**SPACE, "train": {"batch_size": {"choice": [8, 16, 32]}}}
    study = promoting(tmp_path, model="sasrec", space=space, search__sampler="grid")
    assert work(study) == "every point of the grid is tried: 3 trials are scored"
    assert len(complete(study)) == 1
    assert len(logical_trials(study.trials)) == 3


def test_a_trial_whose_patience_ends_at_a_rung_is_complete(tmp_path: Path):
    """It has nothing left to go on with."""
    study = promoting(tmp_path, train__patience=1, search__trials=4)
    work(study)
    for row in study.trials:
        if is_paused(row):
            last = max(row.intermediate_values)
            best = max(row.intermediate_values, key=row.intermediate_values.__getitem__)
            assert last == best


def test_doctor_leaves_the_checkpoints_of_those_that_may_go_on(tmp_path: Path):
    """They are no remains of a crash; those of trials that cannot be promoted any more are."""
    study = interrupted(tmp_path)
    paused = {root_number(row) for row in logical_trials(study.trials) if is_paused(row)}
    assert paused & checkpoints(study)
    leftovers = Leftovers(study, 120.0, 5)
    assert [found for found in leftovers.findings() if "checkpoint" in found.what] == []
    # Without a trial to come, those of the worse half are hopeless.
    study.study.set_user_attr("budget", num_scored(study.trials))
    hopeful = study.standing(study.trials).hopeful
    old = leftovers._checkpoints(study.trials)
    assert {int(path.parent.name) for path in old} == (paused & checkpoints(study)) - hopeful
