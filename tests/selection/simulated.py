"""Searches made up for tests of statistics, of which it is known what the winner reaches for users that nobody saw."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log2, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """How trials, users and seeds differ; spread, error and deviation are of means over all users."""

    num_trials: int = 60
    num_candidates: int = 5
    num_users: int = 100
    spread: float = 0.001  # sd of the true means
    user_error: float = 0.001
    shared: float = (
        0.5  # part of the users' variance that is the same for all trials: some users are easy
    )
    seed_sd: float = 0.0011
    per_user: float = 0.3  # part of the seeds' variance that is drawn for each user and run
    gain: Callable[[Floats], Floats] = np.asarray  # of what a user draws
    mean_gain: Callable[[float], float] = float  # over all users and seeds, of a trial's true mean


HIT_SHARES_R = np.arange(11) / 200  # one user in 200 has rank 1, one in 20 a rank up to 10
THRESHOLDS_R = norm.isf(HIT_SHARES_R)
NDCG_R = np.array([1 / log2(rank + 1) for rank in range(1, 11)])


def ndcg(drawn: Floats) -> Floats:
    """NDCG@10 of users, most of whom have none, and many the same."""
    gains_R = np.array([0.0, *NDCG_R[::-1]])
    return gains_R[np.searchsorted(THRESHOLDS_R[:0:-1], drawn)]


def mean_ndcg(level: float) -> float:
    """Its mean, where what users draw is normal with this mean and variance 1."""
    shares_R = np.diff(norm.sf(THRESHOLDS_R - level))
    return float(shares_R @ NDCG_R)


# That of an audit, which found that the mean at hand's corrected interval covers .925, .774, .497 at 3, 5, 10 seeds.
NORMAL = Setting()
# Of each user's variance of 1 a half is the user's and a half the run's, so that a figure has an error of about .005.
SPARSE = Setting(
    num_users=600,
    spread=0.06,
    user_error=sqrt(0.5 / 600),
    seed_sd=sqrt(0.5 / 600),
    per_user=0.98,
    gain=ndcg,
    mean_gain=mean_ndcg,
)


@dataclass(frozen=True)
class Simulated:
    """A search and the runs of its best trials, the winner's first."""

    setting: Setting
    gains_TU: Floats
    candidates_C: NDArray[np.intp]
    runs_CSU: Floats
    winner: float  # its level, by which another trial may be made its equal
    easy_U: Floats  # what trials share of the users
    own_U: Floats  # what is the winner's own of the users

    @property
    def truth(self) -> float:
        """What the winner reaches for all users and on all seeds there are."""
        return self.setting.mean_gain(self.winner)


def draw_run(setting: Setting, latent_TU: Floats, rng: np.random.Generator) -> Floats:
    """Train each trial once more."""
    num_trials, num_users = latent_TU.shape
    luck_T1 = sqrt(1 - setting.per_user) * rng.standard_normal((num_trials, 1))
    luck_TU = sqrt(setting.per_user * num_users) * rng.standard_normal(latent_TU.shape)
    return setting.gain(latent_TU + setting.seed_sd * (luck_T1 + luck_TU))


def draw_users(setting: Setting, part: float, shape: tuple[int, ...], rng) -> Floats:
    """Draw what a part of the users' variance makes of each."""
    return setting.user_error * sqrt(part * setting.num_users) * rng.standard_normal(shape)


def simulate(setting: Setting, num_seeds: int, rng: np.random.Generator) -> Simulated:
    """Draw a search, choose its best trials, and run them on fresh seeds."""
    levels_T = setting.spread * rng.standard_normal(setting.num_trials)
    easy_U = draw_users(setting, setting.shared, (setting.num_users,), rng)
    own_TU = draw_users(setting, 1 - setting.shared, (setting.num_trials, setting.num_users), rng)
    latent_TU = levels_T[:, None] + easy_U + own_TU
    gains_TU = draw_run(setting, latent_TU, rng)
    best_C = np.argsort(-gains_TU.mean(axis=1))[: setting.num_candidates]
    runs = [draw_run(setting, latent_TU[best_C], rng) for _ in range(num_seeds)]
    runs_CSU = np.stack(runs, axis=1)
    in_order_C = np.argsort(-runs_CSU.mean(axis=(1, 2)), kind="stable")
    winner = best_C[in_order_C[0]]
    return Simulated(
        setting,
        gains_TU,
        best_C[in_order_C],
        runs_CSU[in_order_C],
        float(levels_T[winner]),
        easy_U,
        own_TU[winner],
    )
