"""Databases as a whole: an old one made current, and a study copied from one to another."""

import logging
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert, inspect, text

from blade_tune.errors import ConfigError, NothingStoredError, StorageError
from blade_tune.storage.attempts import ATTEMPTS, Attempts
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.study.create import open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.transfer import copy_study, upgrade
from blade_tune.study.workspace import Workspace
from tests.tiny import define, tiny_data

OLD = "v3.0.0.d"  # it has no index of the trials by study


def make_old(url: str) -> None:
    """Turn a database into one that Optuna 3.1 made."""
    storage = open_storage(resolve_url(url, Path()), create=True)
    with storage.engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_trials_study_id"))
        connection.execute(text("UPDATE alembic_version SET version_num = :old"), {"old": OLD})
        connection.execute(text("UPDATE version_info SET library_version = '3.1.0'"))


def test_an_old_database_is_made_current(database_url: str):
    """Its tables become what this Optuna makes, what they hold stays, and logging is as it was."""
    url = resolve_url(database_url, Path())
    optuna.create_study(study_name="s", storage=open_storage(url, create=True)).add_trial(
        optuna.create_trial(value=0.5, intermediate_values={1: 0.5})
    )
    make_old(database_url)
    handlers, ours = (
        list(logging.getLogger().handlers),
        logging.getLogger("blade_tune.storage.connect"),
    )
    version, now = upgrade(url)
    assert version == OLD != now
    storage = open_storage(url, create=False)
    assert ["study_id"] in [
        index["column_names"] for index in inspect(storage.engine).get_indexes("trials")
    ]
    trials = optuna.load_study(study_name="s", storage=storage).get_trials()
    assert [(trial.value, trial.intermediate_values) for trial in trials] == [(0.5, {1: 0.5})]
    assert (logging.getLogger().handlers, ours.disabled) == (handlers, False)


def test_a_current_database_is_left_alone(tmp_path: Path):
    """Upgrading it says so and changes nothing."""
    url = resolve_url(None, tmp_path)
    storage = open_storage(url, create=True)
    assert upgrade(url) == (storage.get_head_version(), storage.get_head_version())


def test_a_database_that_cannot_be_upgraded_is_refused(tmp_path: Path):
    """One that is not there is not made, and one of a newer Optuna stays as it is."""
    url = resolve_url(None, tmp_path / "results")
    with pytest.raises(NothingStoredError):
        upgrade(url)
    assert list(tmp_path.iterdir()) == []
    with open_storage(url, create=True).engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9.0.0.a'"))
    with pytest.raises(StorageError, match="a newer Optuna"):
        upgrade(url)


# Copies


@pytest.fixture
def study(tmp_path: Path) -> StoredStudy:
    """The tiny study with a trial of each kind that can be at rest, and an attempt on a GPU of an hour."""
    place = Workspace.at(None, tmp_path / "here")
    opened = open_study(define(), tiny_data(tmp_path / "data"), place)
    space = {"model.alpha": optuna.distributions.FloatDistribution(0, 1)}
    rest = {"params": {"model.alpha": 0.5}, "distributions": space, "user_attrs": {"seed": 7}}
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.WAITING):
        value = {"value": 0.5} if state == TrialState.COMPLETE else {}
        opened.study.add_trial(
            optuna.create_trial(
                state=state, intermediate_values={1: 0.25, 2: float("nan")}, **value, **rest
            )
        )
    add_attempt(opened, released=True)
    return opened


def add_attempt(stored: StoredStudy, released: bool) -> None:
    row = {
        "attempt_id": str(released),
        "study_id": stored.study_id,
        "owner": "host|1|2.0",
        "device": "cuda:0",
    }
    with stored.storage.engine.begin() as connection:
        connection.execute(
            insert(ATTEMPTS).values(
                **row, share=1.0, claimed=0.0, renewed=3600.0, released=released
            )
        )


def content(trial: FrozenTrial) -> tuple[object, ...]:
    """What a trial holds, in a form in which NaN equals itself."""
    values = str((trial.values, trial.intermediate_values))
    times = (trial.datetime_start, trial.datetime_complete)
    return (
        trial.number,
        trial.state,
        values,
        trial.params,
        trial.distributions,
        trial.user_attrs,
        times,
    )


def test_a_copy_is_the_study(study: StoredStudy, database_url: str, tmp_path: Path):
    """It has all trials, attributes and costs under the same name, and is opened as the study is."""
    url = resolve_url(database_url, Path())
    counts = copy_study(study, url)
    assert {state: count for state, count in counts.items() if count} == dict.fromkeys(
        ("complete", "pruned", "failed", "waiting"), 1
    )
    copy = Workspace(url, tmp_path).study("tiny")
    assert list(map(content, copy.trials)) == list(map(content, study.trials))
    attrs, copied = study.study.user_attrs, copy.study.user_attrs
    own, theirs = attrs.pop("identity"), copied.pop("identity")
    assert copied == attrs
    assert theirs["id"] != own["id"]
    assert theirs["copied"] == [own["id"]]
    assert copy.study.direction == study.study.direction
    assert copy.attempts.gpu_seconds() == study.attempts.gpu_seconds() == 3600.0
    assert [study.study_name for study in copy.storage.get_all_studies()] == ["tiny"]


def test_a_taken_name_is_refused(study: StoredStudy, database_url: str):
    """A second copy, and one onto itself, change nothing."""
    url = resolve_url(database_url, Path())
    copy_study(study, url)
    for target in (url, study.storage.engine.url):
        with pytest.raises(ConfigError, match=r"a study 'tiny' is stored there already\.$"):
            copy_study(study, target)
    assert len(study.trials) == len(open_storage(url, create=False).get_all_trials(1)) == 4


@pytest.mark.parametrize("work", ["trial", "attempt"])
def test_a_study_at_work_is_not_copied(study: StoredStudy, tmp_path: Path, work: str):
    """While a trial runs or a worker has a slot, the study is refused, and nothing of it is there."""
    if work == "trial":
        study.study.ask()
    else:
        add_attempt(study, released=False)
    url = resolve_url(None, tmp_path / "there")
    with pytest.raises(
        ConfigError, match=r"only a study that nobody works on is copied.*blade-tune stop"
    ):
        copy_study(study, url)
    assert open_storage(url, create=False).get_all_studies() == []


@pytest.mark.parametrize("end", [KeyboardInterrupt, "change"])
def test_a_copy_that_did_not_end_is_no_study(
    study: StoredStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: object
):
    """After a kill in the middle, or where the study changed, its name is free there, and the next copy succeeds."""
    url = resolve_url(None, tmp_path / "there")

    def interfere(_: Attempts) -> None:
        if end is KeyboardInterrupt:
            raise KeyboardInterrupt
        study.study.add_trial(optuna.create_trial(state=TrialState.FAIL))

    monkeypatch.setattr(Attempts, "clear", interfere)
    with pytest.raises((KeyboardInterrupt, StorageError)) as error:
        copy_study(study, url)
    assert error.type is KeyboardInterrupt or "its trials changed" in str(error.value)
    with pytest.raises(ConfigError, match="no study 'tiny' is stored"):
        Workspace(url, tmp_path).study("tiny")
    monkeypatch.undo()
    copy_study(study, url)
    assert len(Workspace(url, tmp_path).study("tiny").trials) == len(study.trials)
    assert len(open_storage(url, create=False).get_all_studies()) == 1
