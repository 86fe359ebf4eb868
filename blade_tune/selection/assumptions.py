"""What intervals over seeds assume of the noise of runs, checked where a few seeds can show that it fails.

Shapes stand in names: C candidates, S seeds.
"""

from collections.abc import Sequence

import numpy as np

from blade_tune.selection.statistics import Floats

RARE = 0.01  # p-value below which spreads count as unequal: few warnings are false ones
FEWEST_UNEQUAL = 3  # seeds from which on spreads can be told apart
# A run is far off if it is so many times as far from the median of its candidate as is usual. Of normal runs one set in
# 50 has such a one; of sets in which a run in ten collapsed, nearly all have (tests/selection/test_assumptions.py).
FAR = 8


def broken(scores_CS: Floats, names: Sequence[str]) -> list[str]:
    """Return a sentence for each assumption that the scores break, which says what holds instead.

    Args:
        scores_CS: the scores of candidates on the same seeds.
        names: names of the candidates, such as "trial 3".
    """
    return [
        *_without_spread(scores_CS, names),
        *_with_unequal_noise(scores_CS, names),
        *_with_skewed_noise(scores_CS, names),
    ]


def is_unequal(scores_CS: Floats) -> bool:
    """Return whether runs of some candidates vary more than those of others (Brown and Forsythe 1974)."""
    num_candidates, num_seeds = scores_CS.shape
    if num_candidates < 2 or num_seeds < FEWEST_UNEQUAL:
        return False
    deviations_CS = np.abs(scores_CS - np.median(scores_CS, axis=1, keepdims=True))
    if np.ptp(deviations_CS, axis=1).max() == 0:  # scipy would divide by zero
        return np.ptp(deviations_CS) > 0
    from scipy.stats import levene  # takes half a second to import

    return bool(levene(*scores_CS, center="median").pvalue < RARE)


def _without_spread(scores_CS: Floats, names: Sequence[str]) -> list[str]:
    """Return a sentence on candidates whose runs all have one score."""
    num_seeds = scores_CS.shape[1]
    if num_seeds < 2:
        return []
    is_flat_C = np.ptp(scores_CS, axis=1) == 0
    flat = [name for name, is_flat in zip(names, is_flat_C, strict=True) if is_flat]
    if not flat:
        return []
    return [
        f"the {num_seeds} runs of {' and of '.join(flat)} have one value each: an interval without width says that no "
        "noise was seen, not that there is none."
    ]


def _with_unequal_noise(scores_CS: Floats, names: Sequence[str]) -> list[str]:
    """Return a sentence if noise differs between candidates."""
    if not is_unequal(scores_CS):
        return []
    sd_C = scores_CS.std(axis=1, ddof=1)
    most, least = int(sd_C.argmax()), int(sd_C.argmin())
    return [
        f"noise is not equal (runs of {names[most]} have sd {sd_C[most]:.4f}, of {names[least]} {sd_C[least]:.4f}): "
        "intervals use each one's own runs, and probabilities of being best are only a rough guide."
    ]


def _with_skewed_noise(scores_CS: Floats, names: Sequence[str]) -> list[str]:
    """Return a sentence if a run falls far off, as those do that collapse."""
    deviations_CS = np.abs(scores_CS - np.median(scores_CS, axis=1, keepdims=True))
    usual_X = deviations_CS[
        deviations_CS > 0
    ]  # a median that is a run deviates from itself by nothing
    if not usual_X.size or deviations_CS.max() <= FAR * np.median(usual_X):
        return []
    candidate, seed = np.unravel_index(deviations_CS.argmax(), deviations_CS.shape)
    return [
        f"noise is skewed (run {int(seed) + 1} of {names[int(candidate)]} has {scores_CS[candidate, seed]:.4f}, the "
        f"median of its runs is {np.median(scores_CS[candidate]):.4f}): with few seeds a 95% interval then covers as "
        "little as 65 to 91%, so train more seeds."
    ]
