"""Groups of users by how much of the long tail they show, and whether a difference between models depends on the group.

Shapes stand in names: S seeds, U users, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import copysign, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blade_tune.selection.statistics import (
    Comparison,
    SeedError,
    chance_of_seeds,
    chance_of_users,
    differences,
    holm,
    judged,
)

FEWEST_USERS = 30  # the smallest group of users whose mean is shown

Masks = Mapping[str, NDArray[np.bool_]]  # name of a group -> mask_U of its users

# Names of the groups by the paper's rule, and by quantiles of the share of long-tail behaviors, the lowest first.
HEAD_AND_TAIL = ("head", "tail")
QUANTILES = (("low tail", "middle tail", "high tail"), ("low tail", "high tail"))


@dataclass(frozen=True)
class GroupContrast:
    """How much more one model gains on another among the users of a group than among those of another group."""

    label: str  # of the first model, or of the change
    # The difference between the models in the last group minus that in the first one.
    comparison: Comparison
    p_adjusted: float  # p-value with Holm's correction over the interactions of a table


def groups_of(
    is_tail_U: NDArray[np.bool_], shares_U: NDArray[np.float64]
) -> dict[str, NDArray[np.bool_]]:
    """Return groups of users, the one of the lowest shares of long-tail behaviors first.

    They are the paper's head and tail users. Where that leaves a group of fewer than `FEWEST_USERS` users, they are
    thirds by the share, or else halves. Users of equal shares are in one group, so groups by quantiles may differ in
    size. Where these too leave a group that is too small, they are head and tail all the same.

    Args:
        is_tail_U: whether each user is a tail user by the paper's rule.
        shares_U: the share of long-tail behaviors of each user.
    """
    by_rule = dict(zip(HEAD_AND_TAIL, (~is_tail_U, is_tail_U), strict=True))
    by_quantile = [_cut(shares_U, names) for names in QUANTILES]
    for groups in (by_rule, *by_quantile):
        if _are_large_enough(groups):
            return groups
    return by_rule


def are_quantiles(groups: Masks) -> bool:
    """Return whether groups are quantiles of the share, because the paper's rule leaves one too small."""
    return bool(groups) and tuple(groups) != HEAD_AND_TAIL


def interactions(
    pairs: Sequence[tuple[str, ArrayLike, ArrayLike]], groups: Masks
) -> tuple[GroupContrast, ...]:
    """Return the interaction of each pair of models with the groups, of which the last is compared with the first.

    Args:
        pairs: a label, the gains_SU of the first model and those of the second one.
        groups: the groups, as `groups_of` returns them.

    Returns:
        Empty if there are no groups, or if one of them is too small.
    """
    if not groups or not _are_large_enough(groups):
        return ()
    first_U, *_, last_U = groups.values()
    comparisons = [interaction(one, other, last_U, first_U) for _, one, other in pairs]
    adjusted = holm([comparison.p_value for comparison in comparisons])
    labels = [label for label, _, _ in pairs]
    return tuple(map(GroupContrast, labels, comparisons, adjusted))


def interaction(
    first_SU: ArrayLike,
    second_SU: ArrayLike,
    group_U: NDArray[np.bool_],
    other_U: NDArray[np.bool_],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Test whether the difference between two models differs between two groups of users.

    The error has the parts of `statistics.paired_bootstrap`. The groups share no user, so users are resampled within
    each and the two errors are independent. The groups share the seeds: their error is that of the difference between
    the groups' means, seed by seed, in which what a seed does to both alike cancels.

    Args:
        first_SU: one model's gain at each seed and user.
        second_SU: the other model's gains, for the same seeds and users.
        group_U: mask of the users of one group.
        other_U: mask of the users of the other group.
        resamples: number of draws; no p-value is below 1 / (resamples + 1).
        seed: seed of the draws.

    Returns:
        The difference between the models in the one group minus that in the other.
    """
    gains_SU = differences(first_SU, second_SU)
    group_SX, other_SX = gains_SU[:, group_U], gains_SU[:, other_U]
    contrast_S = group_SX.mean(axis=1) - other_SX.mean(axis=1)
    difference = float(contrast_S.mean())
    rng = np.random.default_rng(seed)
    chance_R = chance_of_users(group_SX, resamples, rng) - chance_of_users(other_SX, resamples, rng)
    num_seeds = len(gains_SU)
    if num_seeds > 1:
        error = copysign(contrast_S.std(ddof=1) / sqrt(num_seeds), difference)
        chance_R += chance_of_seeds(SeedError(error, num_seeds - 1), resamples, rng)
    return judged(difference, chance_R)


def _cut(shares_U: NDArray[np.float64], names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Cut users into as many groups as names by quantiles of their shares; a user at a quantile is below it."""
    inner = np.arange(1, len(names)) / len(names)
    bounds = np.quantile(shares_U, inner) if len(shares_U) else inner
    groups_U = np.searchsorted(bounds, shares_U)
    return {name: groups_U == group for group, name in enumerate(names)}


def _are_large_enough(groups: Masks) -> bool:
    return all(mask_U.sum() >= FEWEST_USERS for mask_U in groups.values())
