"""What a winner reaches for users and on seeds that had no part in its choice.

A winner was chosen for its figures on the validation users, so these flatter it: the more so, the more seeds have
averaged away every other chance. Here the whole choice is made again on resampled users, and what it picks is scored on
the users and the seed that were left out (bootstrap bias-corrected cross-validation: Tsamardinos, Greasidou and
Borboudakis, Machine Learning 2018). Nothing is trained for it.

Shapes stand in names: C candidates, S seeds, T configurations of the search, U users, R resamples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from blade_tune.selection.assumptions import is_unequal
from blade_tune.selection.statistics import (
    CELLS,
    Floats,
    SeedError,
    chance_of_seeds,
    chance_of_users,
)


@dataclass(frozen=True)
class Expected:
    """The figure to expect of a configuration for other users and on other seeds than those at hand."""

    mean: float
    low: float  # ends of its 95% interval, over users and seeds
    high: float
    # How much of the mean at hand is owed to its having been chosen by it: that mean minus this one, at least 0.
    owed: float = 0.0
    # Of how many configurations of the search the candidates were chosen again. 0 where their ranks were not at hand:
    # the candidates are then taken as given, and what is owed to their choice is left out.
    num_searched: int = 0

    def __str__(self) -> str:
        return f"{self.mean:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True)
class Searched:
    """The figures that the candidates were chosen by: those of the best trial of each configuration of a search."""

    gains_TU: Floats
    candidates_C: NDArray[np.intp]  # the rows that are candidates, in the order of their runs


def out_of_bag(
    runs_CSU: Floats,
    searched: Searched | None = None,
    *,
    level: float = 0.95,
    resamples: int = 1_000,
    draws: int = 10_000,
    seed: int = 0,
) -> Expected:
    """Return what the winner reaches for users and on seeds that had no part in its choice.

    In each resample, users are drawn with replacement and a seed is left out. The C configurations with the highest
    figures in the search are candidates again, as far as they have runs; of these, the one with the highest mean over
    the drawn users and the other seeds is the winner, and its gain on the left-out seed is averaged over the users that
    were not drawn. The mean over all resamples is the estimate. Where candidates differ much it errs on the low side,
    if at all, since fewer users choose less well; where they are equal on the high side, since all users had a part in
    which of them have runs.

    The interval is the error of the winner's mean around it: a bootstrap over users, and Student's t over seeds, with
    the noise of runs pooled over candidates (`seed_error`).

    Args:
        runs_CSU: gain of each candidate at each seed and user; the winner is the one with the highest mean, the first
            of several.
        searched: the figures that candidates were chosen by; None to take the candidates as given.
        level: confidence level of the interval.
        resamples: number of times that the choice is made again.
        draws: number of draws of the error, for the interval.
        seed: seed of everything that is drawn.

    Raises:
        ValueError: there are fewer than two users, so none can be left out.
    """
    _, num_seeds, num_users = runs_CSU.shape
    if num_users < 2:
        raise ValueError(f"Users can be left out where there are two, got {num_users}.")
    rng = np.random.default_rng(seed)
    scores = [
        _score_left_out(runs_CSU, searched, counts_RU, rng)
        for counts_RU in _resampled(num_users, resamples, rng)
    ]
    mean = float(np.concatenate(scores).mean())
    # The error of the winner's mean
    winner = int(runs_CSU.mean(axis=(1, 2)).argmax())
    chance_R = chance_of_users(runs_CSU[winner], draws, rng)
    if num_seeds > 1:
        chance_R += chance_of_seeds(seed_error(runs_CSU.mean(axis=2), winner), draws, rng)
    low, high = mean + np.quantile(chance_R, [(1 - level) / 2, (1 + level) / 2])
    return Expected(
        mean=mean,
        low=float(low),
        high=float(high),
        owed=max(0.0, float(runs_CSU[winner].mean()) - mean),
        num_searched=len(searched.gains_TU) if searched else 0,
    )


def _resampled(
    num_users: int, resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Yield counts_RU, how often each user was drawn, for a part of the resamples at a time."""
    at_once = max(1, CELLS // num_users)
    for first in range(0, resamples, at_once):
        rows = [
            np.bincount(rng.integers(num_users, size=num_users), minlength=num_users)
            for _ in range(min(at_once, resamples - first))
        ]
        counts_RU = np.array(rows, dtype=np.float64)
        # All users may be drawn where they are few; then none is left out to score with.
        yield counts_RU[(counts_RU == 0).any(axis=1)]


def _score_left_out(
    runs_CSU: Floats,
    searched: Searched | None,
    counts_RU: NDArray[np.float64],
    rng: np.random.Generator,
) -> Floats:
    """Return, for each resample with a winner, the winner's mean over the left-out users on the left-out seed."""
    num_candidates, num_seeds, num_users = runs_CSU.shape
    resamples_R = np.arange(len(counts_RU))
    out_RU = (counts_RU == 0).astype(np.float64)
    out_RU /= out_RU.sum(axis=1, keepdims=True)
    # Means over drawn and over left-out users
    flat_XU = runs_CSU.reshape(num_candidates * num_seeds, num_users)
    shape = (len(counts_RU), num_candidates, num_seeds)
    drawn_RCS = (counts_RU @ flat_XU.T / num_users).reshape(shape)
    left_RCS = (out_RU @ flat_XU.T).reshape(shape)
    # The choice on all seeds but one, its score on that one; a model that has one run has no other
    left_out_R = rng.integers(num_seeds, size=len(counts_RU))
    scores_RC = left_RCS[resamples_R, :, left_out_R]
    choice_RC = drawn_RCS[:, :, 0]
    if num_seeds > 1:
        others_RC = drawn_RCS.sum(axis=2) - drawn_RCS[resamples_R, :, left_out_R]
        choice_RC = others_RC / (num_seeds - 1)
    if searched:
        choice_RC = np.where(_is_candidate(searched, counts_RU), choice_RC, -np.inf)
    winners_R = choice_RC.argmax(axis=1)
    has_winner_R = np.isfinite(choice_RC.max(axis=1))
    return scores_RC[resamples_R, winners_R][has_winner_R]


def _is_candidate(searched: Searched, counts_RU: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each candidate is among the best of the search again, as many as there are candidates."""
    means_RT = counts_RU @ searched.gains_TU.T
    num_candidates = len(searched.candidates_C)
    last_R1 = np.sort(means_RT, axis=1)[:, -num_candidates][:, None]
    is_among_RC: NDArray[np.bool_] = (means_RT >= last_R1)[:, searched.candidates_C]
    return is_among_RC


def seed_error(scores_CS: Floats, chosen: int) -> SeedError:
    """Return the error of one candidate's mean over seeds, with the noise of a run pooled over all candidates.

    Where noise differs between candidates (`is_unequal`), it is that of the chosen candidate's own runs.

    Args:
        scores_CS: the scores, of two seeds or more.
        chosen: the candidate's row.
    """
    num_seeds = scores_CS.shape[1]
    rows = scores_CS[[chosen]] if is_unequal(scores_CS) else scores_CS
    df = len(rows) * (num_seeds - 1)
    square = ((rows - rows.mean(axis=1, keepdims=True)) ** 2).sum() / df
    return SeedError(sqrt(square / num_seeds), df)
