"""Sentences on winners: how one stands to untuned baselines, and how sure that is, in the figures of what is stored."""

from dataclasses import replace

import pytest

from blade_tune.report import winner_words
from blade_tune.report.winner_words import (
    baseline_words,
    comparison_words,
    confirmed_words,
    study_words,
)
from blade_tune.study.verdict import Verdict
from tests.report import made_comparison, made_up

ABOVE = Verdict("item_knn", 0.0042, 0.0011, 0.0073)
BASELINES = {"popularity": 0.0312, "item_knn": 0.05}


@pytest.mark.parametrize(
    ("verdict", "baselines", "words"),
    [
        (
            ABOVE,
            BASELINES,
            "; above untuned item_knn by 0.0042 (0.0011 to 0.0073); untuned popularity 0.0312",
        ),
        (
            replace(ABOVE, low=-0.001),
            {},
            "; not above untuned item_knn: +0.0042 (-0.0010 to +0.0073)",
        ),
        (None, BASELINES, "; untuned popularity 0.0312"),
        (None, {}, ""),
    ],
)
def test_a_winner_is_above_a_baseline_or_it_is_not(verdict, baselines, words):
    """Above it where the interval is; what a winner is compared with is called untuned; nothing is said of nothing."""
    assert baseline_words(verdict, baselines) == words


def test_a_confirmed_winner_is_likely_the_best_so_far(searched):
    """What to expect, the verdict, and the probability that no other candidate is better."""
    confirmation = made_up.confirmation(searched)
    winner = confirmation.winner
    words = confirmed_words(replace(confirmation, verdict=ABOVE, baselines=BASELINES))
    assert words.startswith(f"Trial {winner.trial} is the confirmed winner: ")
    assert "; above untuned item_knn by 0.0042 (0.0011 to 0.0073); untuned popularity" in words
    num_candidates = len(confirmation.candidates)
    assert words.endswith(
        f"; {winner.prob_best:.0%} likely the best of {num_candidates} that were confirmed."
    )


def test_an_unconfirmed_best_is_lucky(searched):
    """The best trial of a search is named with its figure, and as the luckiest."""
    best = searched.study.best_trial
    words = study_words(searched)
    assert words.startswith(f"Trial {best.number} is the best of ")
    assert f"valid ndcg@10 {best.value:.4f}; " in words
    assert words.endswith("; it is the luckiest of them until fresh seeds confirm it.")


def test_the_best_of_a_comparison_is_above_another_beyond_chance_or_not(searched):
    """As the table marks it: by the p-value that is corrected over all pairs, from the model of the contrasts."""
    found = made_comparison.comparison(searched, ("blade", "sasrec", "popularity")).on("valid")
    best = found.entries[0]
    words = comparison_words(found)
    assert words.startswith(f"{best.label} has the highest mean of 3: valid ndcg@10 ")
    sure = replace(found, pairs=tuple(replace(pair, p_adjusted=0.001) for pair in found.pairs))
    unsure = replace(found, pairs=tuple(replace(pair, p_adjusted=0.5) for pair in found.pairs))
    assert comparison_words(sure).endswith("beyond chance (p = 0.001).")
    assert comparison_words(unsure).endswith("which may be chance (p = 0.5).")


def test_a_comparison_of_one_has_no_next(searched):
    """One model alone is compared with nothing but the baselines."""
    found = made_comparison.comparison(searched, ("blade", "sasrec")).on("valid")
    alone = replace(found, entries=found.entries[:1], pairs=(), contrasts=None)
    assert "chance" not in comparison_words(alone)


def test_an_exported_model_is_told_by_test_users():
    """Its figure on test rows with the interval, and the verdict there."""
    metrics = {
        "metric": "ndcg@10",
        "test": {"ndcg@10": 0.0712},
        "test_intervals": {"ndcg@10": (0.065, 0.0774)},
        "test_users": 4850,
        "verdict": ABOVE.facts,
        "baselines": {name: {"ndcg@10": figure} for name, figure in BASELINES.items()},
    }
    assert winner_words.tested_words(metrics) == (
        "On 4,850 test users it reaches ndcg@10 0.0712 (0.0650 to 0.0774); above untuned item_knn by 0.0042 "
        "(0.0011 to 0.0073); untuned popularity 0.0312."
    )
