"""Rules between items, and the scores by them."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.xray.rules import Counting, RuleRecipe, Rules
from tests.xray import twin
from tests.xray.conftest import catalog_of, random_task

PLAIN = Counting(half_life=2.0, direction=0.5, is_split=True, shrinkage=5.0, targets_only=False)


def scores_of(rules: Rules, recipe: RuleRecipe) -> np.ndarray:
    return np.concatenate([*rules.scores(recipe)])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    counting=st.builds(
        Counting,
        half_life=st.sampled_from([0.5, 3.0, inf]),
        direction=st.sampled_from([0.0, 0.25, 1.0]),
        is_split=st.booleans(),
        shrinkage=st.sampled_from([1.0, 50.0]),
        targets_only=st.booleans(),
        follows_drift=st.booleans(),
    ),
    set_strength=st.sampled_from([None, 0.5, 20.0]),
    auxiliary_weight=st.sampled_from([1.0, 0.25]),
    told_strength=st.sampled_from([None, 2.0]),
    repeat_weight=st.sampled_from([None, 4.0]),
    auxiliary=st.sampled_from([(), (0,), (0, 1)]),
)
def test_scores_are_those_of_the_equations(
    seed: int,
    counting: Counting,
    set_strength: float | None,
    auxiliary_weight: float,
    told_strength: float | None,
    repeat_weight: float | None,
    auxiliary: tuple[int, ...],
) -> None:
    """Pair by pair and step by step, in plain Python."""
    task = random_task(seed)
    recipe = RuleRecipe(counting, set_strength, auxiliary_weight, told_strength, repeat_weight)
    catalog = catalog_of(task, auxiliary)
    expected_UV = np.array(twin.scores(task, catalog, recipe))
    found_UV = scores_of(Rules(task, catalog), recipe)
    np.testing.assert_allclose(found_UV[:, 1:], expected_UV[:, 1:], rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("half_life", [1.0, inf])
def test_without_direction_the_order_of_pairs_is_of_no_account(half_life: float) -> None:
    """Histories turned round give the same undirected rules, and other directed ones."""
    task = random_task(3, num_users=30)
    turned = replace(
        task, rows=task.rows.rows(np.lexsort((-np.arange(len(task.rows)), task.rows.users_N)))
    )
    for direction, is_same in ((0.0, True), (1.0, False)):
        counting = replace(PLAIN, half_life=half_life, direction=direction, is_split=False)
        both = [Rules(t, catalog_of(task))._counted(counting)[1].toarray() for t in (task, turned)]
        assert np.allclose(*both) == is_same


def test_shuffled_sets_are_other_sets_of_the_same_kind() -> None:
    """The control sees as many rows under each behavior, and what it sees does not depend on the true ones."""
    task = random_task(5, num_users=40)
    rules = Rules(task, catalog_of(task))
    recipe = RuleRecipe(PLAIN, set_strength=5.0)
    true_UV = scores_of(rules, recipe)
    shuffled = rules.with_shuffled_sets()
    assert np.bincount(shuffled._codes_N).tolist() == np.bincount(rules._codes_N).tolist()
    assert not np.allclose(scores_of(shuffled, recipe), true_UV)
    assert np.allclose(scores_of(shuffled, RuleRecipe(PLAIN)), scores_of(rules, RuleRecipe(PLAIN)))
    assert np.array_equal(scores_of(rules, recipe), true_UV)
