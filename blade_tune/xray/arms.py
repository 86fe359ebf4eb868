"""Choice of the recommenders that the x-ray compares, made on train rows only.

The best recipe of a kind is chosen on each user's last train target, and then compared on the valid rows: what
recommenders are compared by plays no part in their choice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import product
from math import inf
from typing import Literal

import numpy as np

from blade_tune.catalog import Catalog
from blade_tune.xray.hits import gains_of
from blade_tune.xray.rules import Counting, ItemScores, RuleRecipe, Rules
from blade_tune.xray.task import MOST_SCORES, Task, train_task
from blade_tune.xray.verdict import Gains, clarity

ArmKind = Literal["true", "shuffled sets", "any order"]

MOST_CHOOSING = 2_000  # most users by whose last train target recommenders are chosen
# Half-lives, in mean lengths of windows
SHORT = (1 / 16, 1 / 4)
LONG = (1.0, inf)
LEAST_HALF_LIFE = 0.5  # steps
DIRECTIONS = (0.0, 0.5, 1.0)
WEIGHINGS = ((True, 5.0), (False, 500.0))  # is_split, and the shrinkage that goes with it


class Arms:
    """Recommenders and their gains, computed once per recipe and kept.

    Args:
        task: the valid rows, by which recommenders are compared.
        catalog: catalog of the data set.
    """

    def __init__(self, task: Task, catalog: Catalog) -> None:
        self.task = task
        self._catalog = catalog
        num_choosing = min(MOST_CHOOSING, MOST_SCORES // 2 // (task.num_items + 1))
        self._earlier = train_task(task, catalog.auxiliary).asking(num_choosing)
        self._kept_gains: dict[tuple[RuleRecipe, ArmKind, bool], Gains] = {}
        self._rules: dict[tuple[bool, ArmKind], Rules] = {}

    def best(self, recipes: Iterable[RuleRecipe]) -> RuleRecipe:
        """Return the recipe with the highest NDCG@10 on last train targets; of equal ones the first."""
        return max(recipes, key=lambda recipe: self._earlier_gains(recipe).sum())

    def clearest(
        self, pairs: Iterable[tuple[RuleRecipe, RuleRecipe]]
    ) -> tuple[RuleRecipe, RuleRecipe]:
        """Return the pair whose first recipe is most clearly above its second one on last train targets."""

        def clarity_of(pair: tuple[RuleRecipe, RuleRecipe]) -> float:
            first, second = pair
            return clarity(self._earlier_gains(first), self._earlier_gains(second))

        return max(pairs, key=clarity_of)

    def gains(self, recipe: RuleRecipe, kind: ArmKind = "true") -> Gains:
        """Return gains_U of a recipe on the valid rows.

        Args:
            recipe: the recommender.
            kind: the data it is counted on: as it is, or a control with shuffled sets or with histories in any order.
        """
        return self._gains(recipe, kind, is_earlier=False)

    def popularity(self) -> tuple[Gains, bool]:
        """Return gains_U of the ranking of items by their number of rows, and whether only target rows are counted.

        Which rows are counted is chosen on last train targets.
        """

        def earlier_sum(targets_only: bool) -> float:
            return self._by_popularity(targets_only, is_earlier=True).sum()

        targets_only = max((True, False), key=earlier_sum)
        return self._by_popularity(targets_only, is_earlier=False), targets_only

    @cached_property
    def half_lives(self) -> tuple[float, ...]:
        """Half-lives in steps under which the newest steps clearly weigh most: up to a quarter of a mean window."""
        return self._in_windows(SHORT)

    @cached_property
    def all_half_lives(self) -> tuple[float, ...]:
        """All half-lives in steps that are tried, also those under which age hardly matters or not at all."""
        return self._in_windows((*SHORT, *LONG))

    def _in_windows(self, shares: Iterable[float]) -> tuple[float, ...]:
        length = max(1.0, self.task.mean_length)
        return tuple(max(LEAST_HALF_LIFE, share * length) for share in shares)

    @cached_property
    def counting(self) -> Counting:
        """The best way to count pairs, with an arbitrary half-life and direction, which callers replace."""
        half_life = self.half_lives[-1]
        direction = DIRECTIONS[0]
        recipes = []
        for (is_split, shrinkage), targets_only in product(WEIGHINGS, (False, True)):
            counting = Counting(half_life, direction, is_split, shrinkage, targets_only)
            recipes.append(RuleRecipe(counting))
        return self.best(recipes).counting

    @cached_property
    def base(self) -> RuleRecipe:
        """The best recipe that sees items alone, of all directions and half-lives."""
        return self.best(grid(self.counting, self.all_half_lives, DIRECTIONS))

    def _earlier_gains(self, recipe: RuleRecipe) -> Gains:
        return self._gains(recipe, "true", is_earlier=True)

    def _gains(self, recipe: RuleRecipe, kind: ArmKind, *, is_earlier: bool) -> Gains:
        key = (recipe, kind, is_earlier)
        if key not in self._kept_gains:
            rules = self._rules_of(kind, is_earlier=is_earlier)
            may_repeat = recipe.repeat_weight is not None
            gains_U = gains_of(rules.task, rules.scores(recipe), may_repeat=may_repeat)
            self._kept_gains[key] = gains_U
        return self._kept_gains[key]

    def _rules_of(self, kind: ArmKind, *, is_earlier: bool) -> Rules:
        key = (is_earlier, kind)
        if key not in self._rules:
            self._rules[key] = self._make_rules(kind, is_earlier=is_earlier)
        return self._rules[key]

    def _make_rules(self, kind: ArmKind, *, is_earlier: bool) -> Rules:
        if kind == "shuffled sets":
            return self._rules_of("true", is_earlier=is_earlier).with_shuffled_sets()
        task = self._earlier if is_earlier else self.task
        if kind == "any order":
            task = task.in_any_order()
        return Rules(task, self._catalog)

    def _by_popularity(self, targets_only: bool, *, is_earlier: bool) -> Gains:
        rules = self._rules_of("true", is_earlier=is_earlier)
        share_1V = rules.popularity(targets_only=targets_only)[None].astype(np.float32)
        scores: Iterator[ItemScores] = (share_1V.copy() for _ in range(len(rules.task)))
        return gains_of(rules.task, scores)


def grid(
    counting: Counting, half_lives: Iterable[float], directions: Iterable[float]
) -> list[RuleRecipe]:
    """Return a recipe that sees items alone for each pair of a half-life and a direction."""
    recipes = []
    for half_life, direction in product(half_lives, directions):
        recipes.append(RuleRecipe(replace(counting, half_life=half_life, direction=direction)))
    return recipes
