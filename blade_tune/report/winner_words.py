"""One sentence on a winner: what to expect of it, how it stands to the untuned baseline, and how sure that is."""

from collections.abc import Mapping
from typing import Any

from blade_tune.report.section import plural
from blade_tune.selection.comparison import Comparisons
from blade_tune.selection.confirm import load_confirmation
from blade_tune.selection.confirmation import Confirmation
from blade_tune.study.stored import StoredStudy

CERTAIN = 0.05  # p-value below which a difference is beyond chance


def study_words(stored: StoredStudy) -> str:
    """Return the sentence on the winner of a study: the confirmed one, else the best trial; empty without a trial."""
    confirmation = load_confirmation(stored)
    if confirmation:
        return confirmed_words(confirmation)
    summary = stored.summary()
    if summary.best_value is None:
        return ""
    verdict = f", {summary.verdict}" if summary.verdict else ""
    return (
        f"Trial {summary.best_number} is the best of {plural(summary.scored, 'scored trial')}, valid {summary.metric} "
        f"{summary.best_value:.4f}{verdict}; that is the luckiest of them until fresh seeds confirm it."
    )


def confirmed_words(confirmation: Confirmation) -> str:
    """Return the sentence on a confirmed winner."""
    winner = confirmation.winner
    known = f"valid {confirmation.metric} {winner.estimate.mean:.4f}"
    if confirmation.expected:
        known = f"expect valid {confirmation.metric} {confirmation.expected} for other users"
    words = f"Trial {winner.trial} is the confirmed winner: {known}"
    if confirmation.verdict:
        words += f"; {confirmation.verdict}, untuned"
    others = len(confirmation.candidates) - 1
    if others:
        words += f"; {winner.prob_best:.0%} likely the best of {others + 1} that were confirmed"
    return f"{words}."


def comparison_words(comparisons: Comparisons) -> str:
    """Return the sentence on the best model of a comparison."""
    best, second = comparisons.entries[:2]
    reached = best.scores.estimate(comparisons.metric).mean
    known = f"{comparisons.part} {comparisons.metric} {reached:.4f}"
    words = f"{best.label} is the best of {plural(len(comparisons.entries), 'model')}: {known}"
    if best.expected:
        words += f", expected {best.expected}"
    if best.verdict:
        words += f"; {best.verdict}, untuned"
    try:
        found = comparisons.difference(best.label, second.label)
    except KeyError:  # all models were compared with another one only
        return f"{words}; {second.label} is next."
    sure = "beyond chance" if found.p_value < CERTAIN else "which may be chance"
    return f"{words}; {found.difference:.4f} above {second.label}, the next, {sure} (p = {found.p_value:.2g})."


def tested_words(metrics: Mapping[str, Any]) -> str:
    """Return the sentence on an exported model's test figures.

    Args:
        metrics: the metrics of its bundle.
    """
    metric, verdict = metrics["metric"], metrics["verdict"]
    low, high = metrics["test_intervals"][metric]
    words = (
        f"On {metrics['test_users']:,} test users it reaches {metric} {metrics['test'][metric]:.4f}"
    )
    if low is not None:
        words += f" ({low:.4f} to {high:.4f})"
    return f"{words}; {verdict['words']}, untuned." if verdict else f"{words}."
