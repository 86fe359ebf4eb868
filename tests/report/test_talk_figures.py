"""The figure for a talk: 16 by 9, in large type, under a sentence that says no more than is known."""

import pytest

from blade_tune.report import section, talk_figures
from blade_tune.report.section import Study
from blade_tune.storage.attempts import Attempts
from blade_tune.study.stored import StoredStudy
from tests.report import made_up
from tests.report.made_comparison import comparison
from tests.report.made_up import COMPLETE, PRUNED
from tests.report.test_page import copy_of_attributes


@pytest.fixture(autouse=True)
def _database_knows_every_study(searched, monkeypatch):
    """Studies in memory share the stored one's attempts: none."""
    monkeypatch.setattr(StoredStudy, "attempts", Attempts(searched.storage, 0))


def title(figure) -> str:
    return figure.layout.title.text.replace("<br>", " ")


def test_a_study_has_its_history_with_baselines_and_its_winner(searched, monkeypatch):
    """The title has the winner's figure, interval and verdict; the winner has a mark of its own."""
    confirmation = made_up.confirmation(searched)
    monkeypatch.setattr(section, "load_confirmation", lambda _: confirmation)
    figure = talk_figures.of_study(Study(searched))
    low, high = confirmation.winner_interval
    assert f"the winner reaches valid NDCG@10 0.2310 ({low:.4f} to {high:.4f})" in title(figure)
    assert "over 5 fresh seeds, above item_knn" in title(figure)
    names = [trace.name for trace in figure.data]
    assert "item_knn, untuned (0.1000)" in names
    assert names[-1] == "winner, trial 8, confirmed"


def test_an_unconfirmed_best_is_said_to_be_one(searched):
    """No winner is claimed, and none drawn."""
    figure = talk_figures.of_study(Study(searched))
    assert "the best of 30 completed trials, not confirmed" in title(figure)
    assert not any((trace.name or "").startswith("winner") for trace in figure.data)


@pytest.mark.parametrize("state", [COMPLETE, PRUNED])
def test_one_trial_is_enough(searched, state):
    """Completed or pruned."""
    only = made_up.in_memory([next(t for t in searched.trials if t.state == state)], searched)
    copy_of_attributes(searched, only)
    figure = talk_figures.of_study(Study(only))
    assert ("no trial has completed yet" in title(figure)) == (state == PRUNED)


def test_an_empty_study_has_none(empty):
    """Nothing is drawn of nothing."""
    assert talk_figures.of_study(Study(empty)) is None


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_comparison_has_its_overview(searched, part):
    """The title names the best with its interval and on what rows; of fifteen models all have a row."""
    figure = talk_figures.of_comparison(comparison(searched).on(part))
    assert " is the best of 15 models: 0.1" in title(figure)
    assert title(figure).endswith("test rows never opened</span>")
    assert ("on test rows" in title(figure)) == (part == "test")
    assert len(figure.layout.yaxis.categoryarray) == 15


def test_all_are_16_by_9_and_their_type_is_large(searched):
    """On a screen of 1080 lines the smallest type but the note's has 20 pixels or more."""
    for figure in (
        talk_figures.of_study(Study(searched)),
        talk_figures.of_comparison(comparison(searched).on("test")),
    ):
        layout = figure.layout
        assert layout.width / layout.height == pytest.approx(16 / 9, rel=0.01)
        assert 13 * 1080 / layout.height >= 20
