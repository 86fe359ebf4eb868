"""A confirmation as plain rows and as sentences."""

from blade_tune.report import Row
from blade_tune.report.score_cells import SHOWN, estimate_row
from blade_tune.report.section import plural
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.scores import load_scores


def confirmation_rows(confirmation: Confirmation) -> list[Row]:
    """Return a row for each candidate, the winner first, with what to expect of it and its interval corrected."""
    rows = []
    for candidate in confirmation.candidates:
        is_winner = candidate is confirmation.winner
        expected = confirmation.expected if is_winner else None
        corrected_low, corrected_high = confirmation.winner_interval if is_winner else (None, None)
        rows.append(
            {
                "trial": candidate.trial,
                "expected": expected and expected.mean,
                "expected_low": expected and expected.low,
                "expected_high": expected and expected.high,
                "search": candidate.search_value,
                **estimate_row(candidate.estimate),
                "corrected_low": corrected_low,
                "corrected_high": corrected_high,
                "prob_best": candidate.prob_best,
                "inflation": candidate.inflation,
                "num_parameters": candidate.num_parameters,
                "seconds_per_epoch": round(candidate.seconds_per_epoch, 3),
            }
        )
    return rows


def confirmation_words(confirmation: Confirmation) -> list[str]:
    """Return sentences on what a confirmation found, which claim no more than it supports."""
    winner, (low, high) = confirmation.winner, confirmation.winner_interval
    estimate, metric = winner.estimate, confirmation.metric
    words = expectation_words(confirmation)
    words += [
        f"Trial {winner.trial} has the highest mean: valid {metric} {estimate.mean:.4f} over "
        f"{plural(estimate.num, confirmation.over)}, where the search saw {winner.search_value:.4f}.",
        "Its own interval carries the bias of having been chosen; corrected for that, 95%, for these users only: "
        f"{low:.4f} to {high:.4f}.",
    ]
    if confirmation.over == "user":
        words.append(
            "Another seed changes nothing in this model: candidates are fitted once, intervals are over users."
        )
    if confirmation.verdict:
        finding = str(confirmation.verdict)
        words.append(
            f"{finding[0].upper()}{finding[1:]}, 95% of the expected figure minus that of the untuned baseline."
        )
    words += [f"{doubt[0].upper()}{doubt[1:]}" for doubt in confirmation.doubts]
    if confirmation.warning:
        words.append(f"WARNING {confirmation.warning}")
    if confirmation.smallest is not winner:
        words.append(
            f"Trial {confirmation.smallest.trial} is smaller or faster, within one standard error (--rule 1se)."
        )
    return words + made_words(confirmation)


def expectation_words(confirmation: Confirmation) -> list[str]:
    """Return a sentence on what to expect of a winner for other users; none where it is not known."""
    expected = confirmation.expected
    if expected is None:
        return []
    chosen = f"from {plural(expected.num_searched, 'configuration')}"
    if not expected.num_searched:
        chosen = (
            f"from {plural(len(confirmation.candidates), 'candidate')}, which are taken as given"
        )
    return [
        f"For other users and seeds expect valid {confirmation.metric} {expected} of trial "
        f"{confirmation.winner.trial}: out of bag, the choice {chosen} made again on resampled users."
    ]


def made_words(confirmation: Confirmation) -> list[str]:
    """Return a sentence on all confirmations of a search, if there was more than one to choose from."""
    made = confirmation.made
    if len(made) < 2:
        return []
    listed = "; ".join(
        f"{entry['time'][:10]} {plural(len(entry['trials']), 'candidate')} on {plural(entry['seeds'], 'seed')}: "
        f"trial {entry['winner']} {entry['mean']:.4f}"
        for entry in made
    )
    return [f"Confirmed {len(made)} times: {listed}."]


def winner_test(confirmation: Confirmation) -> Row:
    """Return the winner's test figures: the estimate of each shown metric over its runs, all of which were opened."""
    label = f"trial {confirmation.winner.trial}"
    scores = load_scores(confirmation.runs, label, confirmation.winning_runs, "test")
    return {metric: estimate_row(scores.estimate(metric)) for metric in SHOWN}
