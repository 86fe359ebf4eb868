"""One sentence on a winner: what to expect of it, how it stands to the untuned baselines, and how sure that is."""

from collections.abc import Mapping
from typing import Any

from blade_tune.report.score_cells import LEVEL
from blade_tune.report.section import plural
from blade_tune.selection.comparison import Comparisons, Pair
from blade_tune.selection.confirm import load_confirmation
from blade_tune.selection.confirmation import Confirmation
from blade_tune.study.progress import summary_of
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict, is_popularity


def study_words(stored: StoredStudy) -> str:
    """Return the sentence on the winner of a study: the confirmed one, else the best trial; empty without a trial."""
    confirmation = load_confirmation(stored)
    if confirmation:
        return confirmed_words(confirmation)
    summary = summary_of(stored)
    if summary.best_value is None:
        return ""
    known = (
        f"Trial {summary.best_number} is the best of {plural(summary.scored, 'scored trial')}: valid {summary.metric} "
        f"{summary.best_value:.4f}"
    )
    standing = baseline_words(stored.verdict(stored.trials), stored.baseline_figures)
    return f"{known}{standing}; it is the luckiest of them until fresh seeds confirm it."


def confirmed_words(confirmation: Confirmation) -> str:
    """Return the sentence on a confirmed winner."""
    winner = confirmation.winner
    known = f"valid {confirmation.metric} {winner.estimate.mean:.4f}"
    if confirmation.expected:
        known = f"expect valid {confirmation.metric} {confirmation.expected} for other users"
    standing = baseline_words(confirmation.verdict, confirmation.baselines)
    words = f"Trial {winner.trial} is the confirmed winner: {known}{standing}"
    num_candidates = len(confirmation.candidates)
    if num_candidates > 1:
        words += f"; {winner.prob_best:.0%} likely the best of {num_candidates} that were confirmed"
    return f"{words}."


def comparison_words(comparisons: Comparisons) -> str:
    """Return the sentence on the highest mean of a comparison, or of the contrasts with one model."""
    best, *others = comparisons.entries
    reached = best.scores.estimate(comparisons.metric).mean
    words = (
        f"{best.label} has the highest mean of {len(comparisons.entries)}: {comparisons.part} {comparisons.metric} "
        f"{reached:.4f}"
    )
    if best.expected:
        words += f", {best.expected} expected for other users"
    figures = {
        name: known[comparisons.metric]
        for name, known in best.baselines.items()
        if comparisons.metric in known
    }
    words += baseline_words(best.verdict, figures)
    rival = comparisons.reference
    if rival == best.label:
        rival = others[0].label if others else ""
    pair = comparisons.pair(best.label, rival)
    return f"{words}{_next_words(pair)}." if pair else f"{words}."


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
    stated = ("baseline", "difference", "low", "high")
    found = Verdict(**{name: verdict[name] for name in stated}) if verdict else None
    figures = {name: known[metric] for name, known in metrics["baselines"].items()}
    return f"{words}{baseline_words(found, figures)}."


def baseline_words(verdict: Verdict | None, baselines: Mapping[str, float]) -> str:
    """Return how a winner stands to the untuned baselines, to go on with a sentence; empty where that is not known.

    Args:
        verdict: its difference from the reference baseline.
        baselines: what untuned baselines reach on the same rows, by name.
    """
    words = []
    if verdict:
        ends = f"({verdict.low:+.4f} to {verdict.high:+.4f})"
        if verdict.is_above:
            ends = f"({verdict.low:.4f} to {verdict.high:.4f})"
            words.append(f"above untuned {verdict.baseline} by {verdict.difference:.4f} {ends}")
        else:
            words.append(f"not above untuned {verdict.baseline}: {verdict.difference:+.4f} {ends}")
    popular = [
        f"{name} {reached:.4f}" for name, reached in baselines.items() if is_popularity(name)
    ]
    if popular:
        words.append(f"untuned {', '.join(popular)}")
    return "".join(f"; {each}" for each in words)


def _next_words(pair: Pair) -> str:
    """Return how far the best is above another, and whether that is beyond chance, as tables mark it."""
    found = pair.comparison
    sure = "beyond chance" if pair.p_adjusted < LEVEL else "which may be chance"
    return (
        f"; {found.difference:.4f} above {pair.second} ({found.low:+.4f} to {found.high:+.4f}), {sure} "
        f"(p = {pair.p_adjusted:.2g})"
    )
