"""The figure to expect of a confirmed winner, from the files of ranks of its search and its runs."""

import logging
from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial

from blade_tune.errors import RunsMissingError
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.out_of_bag import Expected, Searched, out_of_bag
from blade_tune.selection.scores import Scores, load_scores
from blade_tune.selection.statistics import paired_bootstrap
from blade_tune.study.stored import StoredStudy

log = logging.getLogger(__name__)


def expected_of_winner(
    stored: StoredStudy, confirmation: Confirmation, leaders: Sequence[FrozenTrial]
) -> Expected | None:
    """Return what the winner reaches for users and on seeds that had no part in its choice.

    Args:
        stored: the search.
        confirmation: its confirmation.
        leaders: the best trial of each configuration of the search, from which the candidates were chosen.

    Returns:
        None, with a warning, if ranks of the candidates' runs are not in this results folder or damaged, or if there is
        one user only.
    """
    runs, metric = confirmation.runs.trials, confirmation.metric
    try:
        gains = [
            load_scores(
                confirmation.runs, "", [runs[number] for number in candidate.runs], "valid"
            ).gains(metric)
            for candidate in confirmation.candidates
        ]
    except RunsMissingError as error:
        log.warning("what the winner reaches for other users cannot be told: %s", error)
        return None
    runs_CSU = np.stack(gains)
    if runs_CSU.shape[-1] < 2:
        log.warning("what the winner reaches for other users cannot be told from one user")
        return None
    return out_of_bag(runs_CSU, _searched(stored, confirmation, leaders))


def expected_of_scores(scores: Scores, metric: str) -> Expected:
    """Return the mean of runs on rows that nothing was chosen by, with its interval over users and seeds."""
    gains_SU = scores.gains(metric)
    found = paired_bootstrap(gains_SU, np.zeros_like(gains_SU))
    return Expected(found.difference, found.low, found.high)


def _searched(
    stored: StoredStudy, confirmation: Confirmation, leaders: Sequence[FrozenTrial]
) -> Searched | None:
    """Return the figures of a search; None, with a warning, if the ranks of one of its trials are not to be had."""
    metric = confirmation.metric
    try:
        gains = [load_scores(stored, "", [trial], "valid").gains(metric)[0] for trial in leaders]
    except RunsMissingError as error:
        log.warning("the choice of the candidates is taken as given: %s", error)
        return None
    rows = {trial.number: row for row, trial in enumerate(leaders)}
    candidates = [rows[candidate.trial] for candidate in confirmation.candidates]
    return Searched(np.stack(gains), np.array(candidates))
