"""Notes on trials: what they say, and that they stay true."""

from dataclasses import replace

import optuna_dashboard
import pytest
from optuna.trial import create_trial

from blade_tune.report import dashboard, notes, trial_notes
from blade_tune.storage.trials import ranked
from blade_tune.study.stored import StoredStudy
from tests.report import made_up


@pytest.fixture
def stored(tmp_path) -> StoredStudy:
    """A study of 15 trials."""
    return made_up.study(tmp_path, 15)


def test_the_best_and_those_that_it_passed_have_notes(stored):
    """Each of the earlier ones names the next, so that no note claims what is no longer so."""
    said = trial_notes.trial_notes(stored)
    best = ranked(stored.trials)[0]
    assert said[best.number].startswith(
        f"**The best of the search**, valid NDCG@10 {best.value:.4f}."
    )
    assert sum("**The best of the search**" in text for text in said.values()) == 1
    passed = [text for text in said.values() if "passed it with" in text]
    assert any(f"trial {best.number} passed it with {best.value:.4f}" in text for text in passed)


def test_a_failure_says_why(stored):
    """With the message, in which nothing is markup."""
    (failed,) = [trial for trial in stored.trials if trial.user_attrs.get("reason") == "nan"]
    said = trial_notes.trial_notes(stored)[failed.number]
    assert said == (
        "Ended without a score: a loss or a weight was not finite. epoch 4: the loss is not finite\n"
    )


def test_confirmed_trials_say_what_fresh_seeds_said(stored, monkeypatch):
    """The winner is named; a candidate of an earlier confirmation is one."""
    confirmation = replace(made_up.confirmation(stored), made=({**made_up.MADE[0], "trials": [2]},))
    monkeypatch.setattr(trial_notes, "load_confirmation", lambda _: confirmation)
    said = trial_notes.trial_notes(stored)
    assert "**The winner.** On 5 fresh seeds: 0.2310 (" in said[8]
    assert "For other users expect 0.2215 (0.2102 to 0.2331)." in said[8]
    assert "On 5 fresh seeds: 0.2240 (" in said[4]
    assert "**The winner.**" not in said[4]
    assert "A candidate of the confirmation of 2026-11-30, not of the last." in said[2]


def test_a_trial_that_has_a_note_keeps_one(stored):
    """Later trials add notes and change some, and take none away: what a note says is of the past."""
    before = trial_notes.trial_notes(stored)
    best = ranked(stored.trials)[0]
    distributions = {name: made_up.DISTRIBUTIONS[name] for name in best.params}
    stored.study.add_trial(create_trial(value=0.9, params=best.params, distributions=distributions))
    after = trial_notes.trial_notes(stored)
    assert before.keys() < after.keys()
    assert f"trial {stored.trials[-1].number} passed it with 0.9000" in after[best.number]


def test_own_words_on_a_trial_are_kept(stored):
    """What a person wrote on a trial's page survives every run; so does a note on a trial that has none of ours."""
    best = ranked(stored.trials)[0]
    silent = next(t for t in stored.trials if t.number not in trial_notes.trial_notes(stored))
    for trial in (best, silent):
        optuna_dashboard.save_note(notes.Noted.of(stored.study, trial), "mine")
    dashboard.publish(stored)
    dashboard.publish(stored)
    said = optuna_dashboard.get_note(notes.Noted.of(stored.study, best))
    assert said.startswith("**The best of the search**")
    assert said.endswith(f"{notes.END_OF_NOTE}\n\nmine")
    assert optuna_dashboard.get_note(notes.Noted.of(stored.study, silent)) == "mine"
