"""Warnings where the noise of runs is not what intervals over seeds assume: found where it fails, rare where not."""

import numpy as np
import pytest

from blade_tune.selection.assumptions import broken, is_unequal
from blade_tune.selection.out_of_bag import seed_error
from blade_tune.selection.statistics import SeedError

NAMES = [f"trial {number}" for number in range(5)]
NUM_REPEATS = 400


def normal(seed: int, num_seeds: int = 5) -> np.ndarray:
    """Runs of five candidates as intervals assume them."""
    levels_C1 = np.linspace(0.020, 0.024, 5)[:, None]
    return levels_C1 + 0.001 * np.random.default_rng(seed).standard_normal((5, num_seeds))


def warned(scores_CS) -> str:
    return " ".join(broken(scores_CS, NAMES[: len(scores_CS)]))


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 10])
def test_nothing_is_said_of_normal_noise(num_seeds):
    """Of 400 sets of runs as they are assumed, at most 4% are warned of."""
    false = sum(bool(warned(normal(seed, num_seeds))) for seed in range(NUM_REPEATS))
    assert false <= 0.04 * NUM_REPEATS


def test_runs_that_collapse_are_found():
    """One run in ten ends at a quarter of its figure: 99 in 100 sets with such runs are warned of."""
    found = []
    for seed in range(NUM_REPEATS):
        scores_CS = normal(seed)
        is_collapsed_CS = np.random.default_rng(seed).random(scores_CS.shape) < 0.1
        if is_collapsed_CS.any():
            scores_CS[is_collapsed_CS] /= 4
            found.append(bool(warned(scores_CS)))
    assert np.mean(found) >= 0.99


def test_the_run_that_fell_is_named():
    """With its figure and the median of its candidate's runs."""
    scores_CS = normal(0)
    scores_CS[2, 3] = 0.004
    assert (
        f"run 4 of trial 2 has 0.0040, the median of its runs is {np.median(scores_CS[2]):.4f}"
        in warned(scores_CS)
    )


def test_unequal_noise_is_found_and_not_pooled():
    """A candidate whose runs vary ten times as much is named, and its interval takes its own runs alone."""
    scores_CS = normal(1, num_seeds=10)
    scores_CS[3] += 10 * (scores_CS[3] - scores_CS[3].mean())
    assert is_unequal(scores_CS)
    assert "noise is not equal (runs of trial 3 have sd" in warned(scores_CS)
    own = scores_CS[3].std(ddof=1) / np.sqrt(10)
    assert seed_error(scores_CS, 3) == SeedError(pytest.approx(own), 9)


def test_equal_noise_is_pooled():
    """Five candidates of five runs give 20 degrees of freedom for the error of one mean."""
    scores_CS = normal(2)
    pooled = np.sqrt(scores_CS.var(axis=1, ddof=1).mean() / 5)
    assert seed_error(scores_CS, 0) == SeedError(pytest.approx(pooled), 20)


def test_equal_values_are_no_proof():
    """Runs of one value have an interval of no width, which is said, whichever candidate they are of."""
    scores_CS = normal(3)
    scores_CS[[1, 4]] = 0.02
    assert (
        "the 5 runs of trial 1 and of trial 4 have one value each: an interval without width"
        in warned(scores_CS)
    )


def test_one_run_each_shows_no_noise():
    """So nothing can be said of it."""
    assert broken(np.array([[0.1], [0.2]]), NAMES[:2]) == []
    assert not is_unequal(np.array([[0.1], [0.2]]))


def test_no_noise_at_all_is_equal():
    """Where no runs vary, none vary more than others, and no warning of scipy's is let out."""
    assert not is_unequal(np.full((3, 4), 0.5))
    assert "the 4 runs of" in warned(np.full((3, 4), 0.5))
