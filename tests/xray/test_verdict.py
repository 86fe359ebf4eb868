"""What a paired difference shows, and what it could have shown."""

import json

import numpy as np
import pytest

from blade_tune.xray.verdict import LEVEL, NAMES, POWER, TOO_COARSE, Finding, compare

USERS = 400


def drawn(random: np.random.Generator, times: int, difference: float) -> list[Finding]:
    """Comparisons of gains that are zero for most users, as NDCG's are, with the given true difference."""
    found = []
    for _ in range(times):
        without_U = np.where(random.random(USERS) < 0.3, random.random(USERS), 0.0)
        with_U = without_U + difference + random.choice([-0.5, 0.0, 0.0, 0.5], USERS)
        found.append(compare(with_U, without_U, {}))
    return found


def test_any_false_alarm_is_rarer_than_one_in_twenty() -> None:
    """Six things of which none matters are all found not to, in nineteen data sets of twenty or more."""
    random = np.random.default_rng(0)
    alarms = [
        any(f.verdict == "matters" for f in drawn(random, len(NAMES), 0.0)) for _ in range(1000)
    ]
    assert np.mean(alarms) < 1 - LEVEL + 0.02


def test_intervals_cover_the_difference() -> None:
    """Each interval alone holds the true difference more often than 95 times in a hundred."""
    found = drawn(np.random.default_rng(1), 2000, 0.03)
    assert np.mean([f.low <= 0.03 <= f.high for f in found]) > 0.97


def test_what_could_have_been_seen_is_seen() -> None:
    """A true difference of the detectable size is found in four of five cases."""
    random = np.random.default_rng(2)
    detectable = float(np.mean([f.detectable for f in drawn(random, 100, 0.0)]))
    seen = [f.verdict == "matters" for f in drawn(random, 2000, detectable)]
    assert np.mean(seen) == pytest.approx(POWER, abs=0.04)


def test_too_few_users_are_called_so() -> None:
    """Where only a difference above a quarter of the level could have been seen, nothing is said."""
    random = np.random.default_rng(3)
    without_U = np.where(random.random(5000) < 0.1, 0.6, 0.0)
    with_U = random.permutation(without_U)
    many, few = compare(with_U, without_U, {}), compare(with_U[:150], without_U[:150], {})
    assert many.detectable < TOO_COARSE * many.without
    assert many.verdict == "does not show"
    assert few.verdict == "too few users to tell"


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_no_difference_at_all_is_no_certainty(count: int) -> None:
    """Users who gain nothing either way leave an interval as wide as one more user could make it."""
    found = compare(np.zeros(count), np.zeros(count), {})
    assert (found.difference, found.users) == (0.0, count)
    assert found.low < 0 < found.high <= 1 or count == 2
    assert found.detectable >= 1 / max(count, 1)
    assert found.verdict == "too few users to tell"


def test_facts_give_the_finding_back() -> None:
    """A finding is the same after JSON."""
    found = compare(np.array([0.0, 1.0, 0.5]), np.array([0.5, 0.0, 0.5]), {"half_life": None})
    again = Finding.of_facts(json.loads(json.dumps(found.facts)))
    assert again == found
    assert again.verdict == found.facts["verdict"]
