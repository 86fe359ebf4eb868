"""The storage under many processes, on SQLite and PostgreSQL, and what it counts on inside Optuna."""

import inspect
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from alembic.script import Script
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.storage.optuna_storage import (
    REPORTS,
    STUDIES,
    TRIAL_ATTRIBUTES,
    TRIALS,
    StudyStorage,
    _migrations_of,
    _read_migrations,
)


def open_url(url: str, outage_s: float = 0.0) -> StudyStorage:
    return open_storage(resolve_url(url, Path()), create=True, outage_s=outage_s)


def new_study(storage: StudyStorage, num_waiting: int = 0, num_running: int = 0) -> optuna.Study:
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    for index in range(num_waiting):
        study.enqueue_trial({"x": index / 100})
    for _ in range(num_running):
        study.ask()
    return study


def continuation(trial: FrozenTrial) -> FrozenTrial:
    return optuna.create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={"root": trial.number},
    )


# Many processes


def pop_all(_: int, url: str) -> list[int]:
    storage = open_url(url)
    study = optuna.load_study(study_name="s", storage=storage)
    popped: list[int] = []
    while (trial_id := study._pop_waiting_trial_id()) is not None:
        popped.append(trial_id)
    return popped


def test_a_queued_trial_is_popped_once(database_url, crowd):
    """Of eight processes that empty a queue of 40, each trial goes to one."""
    new_study(open_url(database_url), num_waiting=40)
    popped = list(itertools.chain(*crowd.run(pop_all, database_url)))
    assert len(popped) == len(set(popped)) == 40


def give_all_away(index: int, url: str) -> list[int]:
    storage = open_url(url)
    study_id = storage.get_study_id_from_name("s")
    trials = storage.get_all_trials(study_id)[:40]
    # So that different trials are given away at once
    trials = trials[5 * index :] + trials[: 5 * index]
    attrs = {"reason": "lost", "by": index}
    return [
        t.number for t in trials if storage.give_away(study_id, t.number, attrs, continuation(t))
    ]


def test_a_trial_is_given_away_once(database_url, crowd):
    """Of eight processes that give away the same 40 trials, one succeeds for each, and one continuation is queued."""
    study = new_study(open_url(database_url), num_running=40)
    given = crowd.run(give_all_away, database_url)
    assert sorted(itertools.chain(*given)) == list(range(40))
    trials = study.get_trials()
    assert [trial.number for trial in trials] == list(range(80))
    assert {trial.state for trial in trials[:40]} == {TrialState.FAIL}
    assert all(trial.number in given[trial.user_attrs["by"]] for trial in trials[:40])
    assert {trial.state for trial in trials[40:]} == {TrialState.WAITING}
    assert sorted(trial.user_attrs["root"] for trial in trials[40:]) == list(range(40))


def tell_or_give_away(index: int, url: str) -> list[int]:
    if index % 2:
        return give_all_away(index, url)
    storage = open_url(url)
    told = []
    for trial in storage.get_all_trials(storage.get_study_id_from_name("s"))[:40]:
        try:
            storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [float(index)])
        except UpdateFinishedTrialError:
            continue
        told.append(trial.number)
    return told


def test_a_trial_ends_once(database_url, crowd):
    """Where some tell a trial's value and others give it away, one succeeds, and the row is as that one left it."""
    study = new_study(open_url(database_url), num_running=40)
    ended = crowd.run(tell_or_give_away, database_url)
    assert sorted(itertools.chain(*ended)) == list(range(40))
    trials = study.get_trials()
    for index, number in (
        (index, number) for index, numbers in enumerate(ended) for number in numbers
    ):
        if index % 2:
            assert (trials[number].state, trials[number].user_attrs["by"]) == (
                TrialState.FAIL,
                index,
            )
            assert trials[number].values is None
        else:
            assert (trials[number].state, trials[number].values) == (
                TrialState.COMPLETE,
                [float(index)],
            )
            assert "by" not in trials[number].user_attrs
    continued = Counter(trial.user_attrs["root"] for trial in trials[40:])
    assert continued == Counter(itertools.chain(*ended[1::2]))


# One transaction


def test_a_running_trial_cannot_be_popped(database_url):
    """What runs is not handed out again, and what ended neither."""
    storage = open_url(database_url)
    trial = new_study(storage, num_waiting=1).ask()
    assert storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING) is False
    storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.5])
    with pytest.raises(UpdateFinishedTrialError):  # after which Optuna's `ask` takes the next one
        storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)


def test_a_given_away_trial_is_failed_and_continued(database_url):
    """The row ends with its attributes and the time; the next one has the parameters; the late worker is refused."""
    storage = open_url(database_url)
    study = new_study(storage)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.report(0.25, 1)
    # asha's, of an attempt that goes on
    trial.storage.set_trial_system_attr(trial._trial_id, "completed_rung_0", 0.25)
    before = study.get_trials()[0]
    assert storage.give_away(
        study._study_id, 0, {"reason": "lost", "message": "gone"}, continuation(before)
    )
    old, new = study.get_trials()
    assert (old.state, old.user_attrs) == (TrialState.FAIL, {"reason": "lost", "message": "gone"})
    assert old.intermediate_values == {1: 0.25}
    # Else a trial would compete with itself
    assert (old.system_attrs, new.system_attrs) == ({}, {})
    assert old.datetime_start is not None
    assert old.datetime_complete is not None
    assert old.datetime_complete >= old.datetime_start
    assert (new.state, new.params, new.user_attrs) == (TrialState.WAITING, old.params, {"root": 0})
    with pytest.raises(UpdateFinishedTrialError):
        trial.report(0.5, 2)
    with pytest.raises(ValueError, match="Cannot tell"):
        study.tell(trial, 0.5)
    assert study.get_trials()[0] == old


@pytest.mark.parametrize("state", [TrialState.WAITING, TrialState.COMPLETE, TrialState.FAIL])
def test_what_does_not_run_is_not_given_away(tmp_path, state):
    """A trial that waits or has ended stays as it is, and nothing is queued."""
    storage = open_url(f"sqlite:///{tmp_path}/studies.db")
    study = new_study(storage, num_waiting=1)
    if state.is_finished():
        study.tell(study.ask(), 1.0 if state == TrialState.COMPLETE else None, state=state)
    before = study.get_trials()
    assert (
        storage.give_away(study._study_id, 0, {"reason": "lost"}, continuation(before[0])) is False
    )
    assert study.get_trials() == before


def test_giving_away_is_all_or_nothing(database_url, monkeypatch):
    """An error while the continuation is added leaves the trial running and without the attributes."""
    storage = open_url(database_url)
    study = new_study(storage, num_running=1)
    before = study.get_trials()

    def add_and_fail(*arguments):
        RDBStorage._get_prepared_new_trial(storage, *arguments)
        raise ZeroDivisionError

    monkeypatch.setattr(storage, "_get_prepared_new_trial", add_and_fail)
    with pytest.raises(ZeroDivisionError):
        storage.give_away(study._study_id, 0, {"reason": "lost"}, continuation(before[0]))
    monkeypatch.undo()
    assert study.get_trials() == before
    assert storage.give_away(study._study_id, 0, {"reason": "lost"}, continuation(before[0]))


# Optuna's private parts


def test_the_private_parts_are_as_they_were():
    """What optuna_storage.py takes from inside Optuna has the names and the parameters that it counts on."""
    from optuna.storages._cached_storage import _CachedStorage
    from optuna.storages._rdb.storage import _create_scoped_session, _VersionManager

    def parameters(function: Any) -> str:
        return " ".join(inspect.signature(function).parameters)

    assert parameters(_create_scoped_session) == "scoped_session ignore_integrity_error"
    assert parameters(RDBStorage._get_prepared_new_trial) == "self study_id template_trial session"
    assert (
        parameters(RDBStorage._set_trial_attr_without_commit)
        == "self session model_cls trial_id key value"
    )
    assert parameters(_read_migrations) == "self"
    assert _VersionManager._create_alembic_script is _migrations_of
    assert parameters(RDBStorage.set_trial_state_values) == "self trial_id state values"
    called = set(inspect.getsource(_CachedStorage).split("self._backend.")[1:])
    private = {call.split("(")[0] for call in called if call.startswith("_")} - {
        "_get_stale_trial_ids"
    }
    assert private == {"_create_new_trial", "_get_best_trial_id", "_get_trials", "_set_trial_param"}
    assert issubclass(RDBStorage, BaseHeartbeat)


def test_migrations_are_read_once(tmp_path, monkeypatch):
    """A process that has opened a database reads Optuna's migrations neither to create nor to open another one."""
    first = open_url(f"sqlite:///{tmp_path}/first.db")
    monkeypatch.setattr(Script, "_from_path", None)
    for name in ("second", "second"):
        storage = open_url(f"sqlite:///{tmp_path}/{name}.db")
        assert storage.get_head_version() == first.get_head_version()
        assert storage.get_current_version() == first.get_current_version()
        assert storage.get_all_versions() == first.get_all_versions()


def test_the_tables_are_as_they_were():
    """The tables that our own SQL reads have the names and the columns that it counts on."""
    assert (STUDIES.name, set(STUDIES.columns.keys())) == ("studies", {"study_id", "study_name"})
    assert TRIALS.name == "trials"
    columns = {"trial_id", "number", "study_id", "state", "datetime_start"}
    assert columns <= set(TRIALS.columns.keys())
    assert TRIAL_ATTRIBUTES.name == "trial_user_attributes"
    assert {"trial_id", "key", "value_json"} <= set(TRIAL_ATTRIBUTES.columns.keys())
    assert REPORTS.name == "trial_intermediate_values"
    assert {"trial_id", "step"} <= set(REPORTS.columns.keys())
    assert TRIALS.c.state.type.python_type is TrialState
    assert isinstance(models.TrialModel.datetime_complete, property)
