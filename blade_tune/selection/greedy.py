"""Greedy selection of an ensemble, and what it reaches for users that had no part in it.

Models are drawn one after the other, each time the one with which the ensemble's metric is highest, the same ones again
and again where that is best (Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004). How often a model was drawn is its
weight. A choice among so many sums fits the users it was made on, so it is made again on resampled users, and what it
picks is measured on the users that were left out, beside the single model that the same resampled users pick (the
leave-one-out bootstrap: Efron and Tibshirani, Journal of the American Statistical Association 1997).

Shapes stand in names: C models, X users whose item may be found, U evaluated users, R resamples, K ranks before the
metric's cutoff.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blade_tune.metrics import gains_by_rank
from blade_tune.selection.contested import Contested
from blade_tune.selection.statistics import Comparison, Floats, chance_of_users, judged

DRAWS_OF_ERROR = 10_000  # for the interval, of all resamples together

Counts = tuple[int, ...]  # how often each model was drawn


@dataclass(frozen=True)
class OutOfBagEnsemble:
    """What a greedy ensemble and the best single model reach for users that had no part in choosing them."""

    ensemble: float
    single: float
    comparison: Comparison  # ensemble minus single, paired by user


class Sums:
    """The ranks under sums of models, each sum computed once.

    Args:
        contested: what the models say.
        metric: name of the metric to choose by, whose cutoff is that of `contested`.
    """

    def __init__(self, contested: Contested, metric: str) -> None:
        self.contested = contested
        self.gains_K = np.array(gains_by_rank(metric))
        self._ranks: dict[Counts, NDArray[np.uint8]] = {}

    def ranks(self, counts: Counts) -> NDArray[np.uint8]:
        """Return ranks_X under the sum of models that were drawn so often."""
        if counts not in self._ranks:
            self._ranks[counts] = self.contested.ranks(counts)
        return self._ranks[counts]

    def gains(self, counts: Counts) -> Floats:
        """Return gains_X of the metric under the same sum."""
        gains_X: Floats = np.append(self.gains_K, 0.0)[self.ranks(counts)]
        return gains_X

    def totals(self, counts: Counts, weights_RX: Floats) -> Floats:
        """Return totals_R: the sums of gains over users who count as often as the weights say, for each row of them.

        Users are counted by rank first. So rows of equal counts have equal totals to the last bit, whichever sum of
        models they come from, and ties are ties.
        """
        ranks_X = self.ranks(counts)
        numbers_RK = np.stack(
            [weights_RX[:, ranks_X == rank].sum(axis=1) for rank in range(len(self.gains_K))],
            axis=1,
        )
        totals_R: Floats = (numbers_RK * self.gains_K).sum(axis=1)
        return totals_R


@dataclass(frozen=True)
class _Path:
    """The draws for one set of users so far."""

    now: Counts
    best: Counts  # the shortest beginning of the draws with the highest total
    total: float = -1.0  # of `best`


def greedy(sums: Sums, weights_RX: Floats, draws: int, most_models: int) -> list[Counts]:
    """Draw models greedily with replacement, once for each row of weights of the users.

    Of the draws the shortest beginning counts that nothing later exceeds. Its first draw is the best single model. Of
    equal models the first is drawn.

    Args:
        sums: the ranks under sums of the models.
        weights_RX: how often each user counts.
        draws: number of draws at most.
        most_models: number of different models at most.

    Returns:
        How often each model was drawn, one entry for each row of the weights.
    """
    num_models = sums.contested.num_models
    nothing = (0,) * num_models
    paths = [_Path(nothing, nothing)] * len(weights_RX)
    for _ in range(draws):
        # Rows that have drawn the same so far try the same sums
        rows: dict[Counts, list[int]] = {}
        for row, path in enumerate(paths):
            rows.setdefault(path.now, []).append(row)
        for now, same in rows.items():
            nexts = _nexts(now, most_models)
            totals_NR = np.stack([sums.totals(each, weights_RX[same]) for each in nexts])
            for place, row in enumerate(same):
                chosen = int(totals_NR[:, place].argmax())
                paths[row] = _drawn(paths[row], nexts[chosen], float(totals_NR[chosen, place]))
    return [path.best for path in paths]


def _nexts(now: Counts, most_models: int) -> list[Counts]:
    """Return what may have been drawn after one draw more, in the order of models."""
    is_full = sum(map(bool, now)) >= most_models
    return [
        (*now[:model], count + 1, *now[model + 1 :])
        for model, count in enumerate(now)
        if count or not is_full
    ]


def _drawn(path: _Path, now: Counts, total: float) -> _Path:
    if total > path.total:
        return _Path(now, now, total)
    return replace(path, now=now)


def out_of_bag_ensemble(
    sums: Sums, draws: int, most_models: int, *, resamples: int = 200, seed: int = 0
) -> OutOfBagEnsemble:
    """Return what a greedy ensemble and the best single model reach for users that had no part in choosing them.

    In each resample users are drawn with replacement; both choices are made by the drawn users and measured on those
    that were not drawn. A user's figures are means over the resamples that left the user out. The interval is the error
    of one choice's difference, a bootstrap over users for each resample: a mean over many choices is smoother than
    the one that is used in the end, and its own error would be too small (docs/selection.md has the simulation).

    Args:
        sums: the ranks under sums of the models.
        draws: number of draws at most.
        most_models: number of different models at most.
        resamples: number of times that the choices are made again.
        seed: seed of everything that is drawn.

    Raises:
        ValueError: there are fewer than two users, so none can be left out.
    """
    num_users = sums.contested.num_users
    if num_users < 2:
        raise ValueError(f"Users can be left out where there are two, got {num_users}.")
    rng = np.random.default_rng(seed)
    counts_RU = np.array(
        [
            np.bincount(rng.integers(num_users, size=num_users), minlength=num_users)
            for _ in range(resamples)
        ],
        dtype=np.float64,
    )
    drawn_RX = counts_RU[:, sums.contested.users_X]
    ensembles = greedy(sums, drawn_RX, draws, most_models)
    singles = greedy(sums, drawn_RX, 1, most_models)
    ensemble_U = _left_out(sums, ensembles, counts_RU)
    single_U = _left_out(sums, singles, counts_RU)
    chance_R = _chance(sums, list(zip(ensembles, singles, strict=True)), rng)
    return OutOfBagEnsemble(
        ensemble=float(ensemble_U.mean()),
        single=float(single_U.mean()),
        comparison=judged(float((ensemble_U - single_U).mean()), chance_R),
    )


def _left_out(sums: Sums, chosen: Sequence[Counts], counts_RU: Floats) -> Floats:
    """Return gains_U: each user's mean gain over the resamples that left the user out; 0 where none did."""
    users_X = sums.contested.users_X
    is_out_RX = counts_RU[:, users_X] == 0
    totals_X = np.zeros(len(users_X))
    for is_out_X, counts in zip(is_out_RX, chosen, strict=True):
        totals_X += is_out_X * sums.gains(counts)
    gains_U = np.zeros(sums.contested.num_users)
    gains_U[users_X] = totals_X / np.maximum(is_out_RX.sum(axis=0), 1)
    return gains_U


def _chance(
    sums: Sums, chosen: Sequence[tuple[Counts, Counts]], rng: np.random.Generator
) -> Floats:
    """Return draws, centered on 0, of the error of a mean difference because other users could have been measured.

    Args:
        sums: the ranks under sums of the models.
        chosen: the ensemble and the single model of each resample.
        rng: draws them.
    """
    draws = -(-DRAWS_OF_ERROR // len(chosen))
    parts = []
    for ensemble, single in chosen:
        gains_U = np.zeros(sums.contested.num_users)
        gains_U[sums.contested.users_X] = sums.gains(ensemble) - sums.gains(single)
        parts.append(chance_of_users(gains_U[None], draws, rng))
    return np.concatenate(parts)
