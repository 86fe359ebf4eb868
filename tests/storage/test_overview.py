"""The overview of a database says of every study what its own trials say, on SQLite and PostgreSQL."""

import random
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event

from blade_tune.storage.attempts import ATTEMPTS, Attempts, Claimant
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.storage.names import stored_names, stored_trials
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.overview import StudyFigures, all_figures
from blade_tune.storage.process import Owner
from blade_tune.storage.trials import best_trial, num_scored, ranked

ELSEWHERE = Owner("elsewhere/1234/5", 7, 0.0, "me")


def made_up(rng: random.Random) -> FrozenTrial:
    """A row of any kind."""
    state = rng.choice([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
    reports = {1: rng.random()} if rng.random() < 0.5 else {}
    attributes = {}
    if state == TrialState.COMPLETE and rng.random() < 0.5:
        attributes["paired"] = {"difference": rng.random()}
    return create_trial(
        state=state,
        value=rng.choice([0.1, 0.2, 0.3]) if state == TrialState.COMPLETE else None,
        intermediate_values=reports,
        user_attrs=attributes,
    )


def add_promoted(study: optuna.Study) -> None:
    """A trial that paused, and the row that goes on with it and completes: charged once."""
    paused = create_trial(
        state=TrialState.PRUNED, intermediate_values={1: 0.2}, user_attrs={"reason": "paused"}
    )
    study.add_trial(paused)
    number = len(study.trials) - 1
    promoted = {"root": number, "promoted": number}
    study.add_trial(create_trial(value=0.25, user_attrs=promoted, intermediate_values={2: 0.25}))


@pytest.fixture
def storage(database_url: str) -> StudyStorage:
    """A database with four studies: two of many kinds of rows, one with attempts, one without a trial."""
    storage = open_storage(resolve_url(database_url, Path()), create=True)
    Attempts.create_table(storage)
    rng = random.Random(0)  # noqa: S311 - made up
    for name in ("first", "second", "third", "empty"):
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
        study.set_user_attr("budget", len(name))
        study.set_user_attr("unasked", "x" * 100)
        if name != "empty":
            for _ in range(30):
                study.add_trial(made_up(rng))
            add_promoted(study)
    return storage


def figures_of(storage: StudyStorage, name: str) -> StudyFigures:
    return {study.name: study for study in all_figures(storage, ("budget",))[0]}[name]


def test_figures_are_those_of_the_trials(storage):
    """Scored and completed trials, and the best with its comparison, by the rules that the trials themselves follow."""
    studies, _ = all_figures(storage, ("budget",))
    assert [study.name for study in studies] == ["first", "second", "third", "empty"]
    for study in studies:
        trials = optuna.load_study(study_name=study.name, storage=storage).trials
        best = best_trial(trials)
        assert study.num_scored == num_scored(trials)
        assert study.num_completed == len(ranked(trials))
        assert study.attributes == {"budget": len(study.name)}
        if best is None:
            assert (study.best, study.last_change) == (None, None)
            continue
        assert study.best
        assert (study.best.number, study.best.value) == (best.number, best.value)
        assert study.best.paired == best.user_attrs.get("paired")
        ended = [trial.datetime_complete for trial in trials if trial.datetime_complete]
        assert study.last_change == pytest.approx(max(map(datetime.timestamp, ended)))


def test_who_works_and_who_was_the_last(storage):
    """Attempts that were not released are active, with user and host; of all the one that was renewed last is told."""
    study_id = storage.get_study_id_from_name("third")
    attempts = Attempts(storage, study_id)
    here = Owner.here()
    first = attempts.claim(99, Claimant(here, "cpu", 1.0))
    second = attempts.claim(99, Claimant(ELSEWHERE, "cpu", 1.0))
    assert first
    assert second
    attempts.release(first)
    with storage.engine.begin() as connection:
        later = ATTEMPTS.c.attempt_id == first
        connection.execute(ATTEMPTS.update().where(later).values(renewed=ATTEMPTS.c.renewed + 9))
    figures = figures_of(storage, "third")
    assert [activity.owner.who for activity in figures.active] == ["me@elsewhere"]
    assert figures.latest
    assert (str(figures.latest.owner), figures.latest.owner.who) == (str(here), here.who)
    assert figures.last_change == figures.latest.renewed
    assert figures_of(storage, "first").active == []


def test_a_database_without_attempts_has_figures(storage):
    """One that only an earlier version worked on."""
    ATTEMPTS.drop(storage.engine)
    assert figures_of(storage, "first").latest is None
    assert figures_of(storage, "first").num_scored > 0


def test_the_number_of_queries_does_not_grow(storage):
    """However many studies and trials there are."""
    counts = []
    for _ in range(2):
        asked: list[str] = []

        def note(*args, asked=asked):
            asked.append(args[2])

        event.listen(storage.engine, "before_cursor_execute", note)
        all_figures(storage, ("budget",))
        event.remove(storage.engine, "before_cursor_execute", note)
        counts.append(len(asked))
        for number in range(3):
            more = optuna.create_study(study_name=f"more{number}-{len(counts)}", storage=storage)
            more.add_trial(create_trial(value=0.5))
    assert counts[0] == counts[1]
    assert counts[0] < 15


def test_names_for_completion_are_those_of_optuna(storage, database_url, tmp_path):
    """Tables that are read without Optuna say what Optuna says of them."""
    assert stored_names(database_url, tmp_path) == ["first", "second", "third", "empty"]
    trials = optuna.load_study(study_name="first", storage=storage).trials
    expected = []
    for trial in trials:
        state = trial.state.name.lower()
        words = state if trial.value is None else f"{state}, {trial.value:.4g}"
        expected.append((trial.number, words))
    assert stored_trials(database_url, tmp_path, "first") == expected
    assert stored_trials(database_url, tmp_path, "none") == []


def test_asking_for_names_makes_no_file(tmp_path):
    """Where there is no database there are no names."""
    assert stored_names(None, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["me@host/ab/1|7|12.50", "me@corp.org@host|7|12.50", "host|7|12.50"]
)
def test_an_owner_is_read_as_it_was_written(text):
    """With its user, whose name may have an @, or without, as earlier versions wrote it; users tell no two apart."""
    owner = Owner.parse(text)
    assert str(owner) == text
    assert owner == Owner(owner.host, 7, 12.5, "somebody else")
