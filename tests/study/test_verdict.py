"""Verdicts: a paired comparison with the reference baseline, against scipy's t-test."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna.trial import TrialState, create_trial
from scipy import stats

from blade_tune.metrics import gains
from blade_tune.study.verdict import of_best, of_pair, pair
from blade_tune.training.baselines import valid_baselines
from tests import tiny

RANDOM = np.random.default_rng(0)
RANKS_U, BASELINE_U = (RANDOM.integers(0, 30, 400) for _ in range(2))


def better(by: int) -> NDArray[np.int64]:
    return np.maximum(BASELINE_U - by, 0)


def test_one_candidate_has_the_paired_t_interval():
    """Of users; the mean, its error and both ends are scipy's."""
    found = of_pair(pair(RANKS_U, BASELINE_U, "ndcg@10"))
    test = stats.ttest_rel(gains(RANKS_U, "ndcg@10"), gains(BASELINE_U, "ndcg@10"))
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.difference == pytest.approx(
        float((gains(RANKS_U, "ndcg@10") - gains(BASELINE_U, "ndcg@10")).mean())
    )


def test_the_lower_end_is_corrected_for_candidates():
    """With k candidates it is that of a level of 1 - 0.05 / k; the upper end stays."""
    paired = pair(RANKS_U, BASELINE_U, "ndcg@10")
    one, fifty = of_pair(paired), of_pair(paired, 50)
    df = paired["users"] - 1
    assert fifty.high == one.high
    assert fifty.low == pytest.approx(
        one.difference - stats.t.ppf(1 - 0.025 / 50, df) * paired["error"]
    )


def test_above_is_what_lies_above_for_all_candidates():
    """A clear lead is above; a small one may be for one candidate and not for a hundred; none is not."""
    clear, none = pair(better(9), BASELINE_U, "ndcg@10"), pair(BASELINE_U, BASELINE_U, "ndcg@10")
    assert str(of_pair(clear, 100)).startswith("above item_knn: +0.")
    assert str(of_pair(none)) == "not above item_knn: +0.0000 (+0.0000 to +0.0000)"
    small = {"baseline": "item_knn", "difference": 0.01, "error": 0.004, "users": 400}
    assert (of_pair(small).is_above, of_pair(small, 100).is_above) == (True, False)
    assert of_pair(small, 100).facts["words"].startswith("not above item_knn: +0.0100 (-0.")


def test_chance_is_called_above_as_seldom_as_promised():
    """Of 2,000 searches for the best of 20 models that are all as good as the baseline, at most 2.5% are."""
    random = np.random.default_rng(1)
    # The luckiest difference, in its error's unit
    errors = random.standard_normal((2_000, 20)).max(axis=1) * 0.01
    found = [
        of_pair({"baseline": "x", "difference": d, "error": 0.01, "users": 5_000}, 20)
        for d in errors
    ]
    assert (
        0.01
        < np.mean([verdict.is_above for verdict in found])
        <= 0.025 + 3 * math.sqrt(0.025 / 2_000)
    )


def test_one_user_says_nothing():
    """Of a single user no spread is known, so nothing is above."""
    found = of_pair(pair(np.array([0]), np.array([50]), "ndcg@10"))
    assert not found.is_above


def test_a_trial_that_was_never_compared_has_no_verdict():
    """As one of an earlier version, or of data with too many items."""
    assert of_best(None, 0) is None
    assert of_best(create_trial(state=TrialState.COMPLETE, value=0.1), 1) is None


def test_a_trial_stands_beside_a_baseline_of_its_own_window(tmp_path: Path):
    """What a window holds is not ranked, so on noise a longer window alone lifts a value; it is not called above."""
    noise = {
        "num_users": 60,
        "num_items": 60,
        "num_clusters": 5,
        "min_length": 30,
        "max_length": 40,
        "noise": 1.0,
    }
    windows = {"model": {"max_length": {"choice": [5, 30]}, "counts": "all"}}
    changes = {
        "model": "popularity",
        "space": windows,
        "train": {},
        "search__trials": 2,
        "search__sampler": "grid",
    }
    tiny.run(tmp_path, **changes, **{f"data__{name}": value for name, value in noise.items()})
    stored = tiny.stored(tmp_path)
    data = stored.data(None)
    short, long = sorted(stored.trials, key=lambda trial: trial.params["model.max_length"])
    assert (long.value or 0.0) > (short.value or 0.0)
    for trial in (short, long):
        ranks_U = np.load(stored.files(trial).ranks)
        beside = valid_baselines(
            data, stored.definition.objective, trial.params["model.max_length"], tmp_path
        )
        paired = pair(ranks_U, beside.ranks["item_knn"], "ndcg@10")
        assert trial.user_attrs["paired"].items() >= paired.items()
