"""The six comparisons: the best recommender that uses a thing, against the best that does not."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from itertools import product
from math import inf, isinf
from typing import Any

from blade_tune.xray.arms import Arms, grid
from blade_tune.xray.hits import chance_gains
from blade_tune.xray.rules import Counting, RuleRecipe
from blade_tune.xray.verdict import Finding, compare, mean

UNDIRECTED, HARDLY_DIRECTED, DIRECTED = 0.0, 0.25, 1.0
SPLIT = Counting(inf, UNDIRECTED, is_split=True, shrinkage=5.0, targets_only=False)
STRENGTHS = (20.0, 5.0, 100.0)
AUXILIARY_WEIGHTS = (0.25,)
REPEAT_WEIGHTS = (1.0, 4.0, 16.0)


def order(arms: Arms) -> Finding:
    """Pairs of items with their direction, against without: is A then B another thing than B then A?

    All else is alike in both: how late in histories each item comes, and how much the newest steps weigh, for that is
    recency. Of half-lives and shares of direction those are taken under which direction told most before. Behaviors are
    not looked at: a later row that must be a target would give pairs a direction of its own.
    """
    plain = replace(arms.counting, targets_only=False, follows_drift=True)
    directed, undirected = arms.clearest(
        (recipe, RuleRecipe(replace(recipe.counting, direction=UNDIRECTED)))
        for recipe in grid(plain, (*arms.half_lives, inf), (HARDLY_DIRECTED, DIRECTED))
    )
    details = {**_settings(directed), "histories_in_any_order": mean(arms.gains(directed, "any order"))}
    return compare(arms.gains(directed), arms.gains(undirected), details)


def recency(arms: Arms) -> Finding:
    """Steps that weigh the less the older they are, against all alike.

    Rules run onwards in both: under rules that run back, new steps win whatever the law, for less came after them.
    """
    newest = arms.best(grid(arms.counting, arms.half_lives, (DIRECTED,)))
    alike = arms.best(grid(arms.counting, (inf,), (DIRECTED,)))
    return compare(arms.gains(newest), arms.gains(alike), _settings(newest))


def sets(arms: Arms) -> Finding:
    """Rules under the sets of the history, against rules of items alone, and against the same under shuffled sets.

    It is the weaker of both differences: shuffled sets make as many rules, and tell nothing.
    """
    alone = arms.base.counting
    half_lives = dict.fromkeys((arms.half_lives[0], alone.half_life, inf))
    seeing = arms.best(
        RuleRecipe(replace(counting, half_life=half_life, direction=alone.direction), set_strength=STRENGTHS[0])
        for counting, half_life in product((alone, SPLIT), half_lives)
    )
    stronger = [replace(seeing, set_strength=strength) for strength in STRENGTHS[1:]]
    weighed = [replace(arms.base, auxiliary_weight=weight) for weight in AUXILIARY_WEIGHTS]
    seeing = arms.best([seeing, *stronger, *weighed])
    gains_U = arms.gains(seeing)
    controls = {"items_alone": arms.gains(arms.base), "shuffled_sets": arms.gains(seeing, "shuffled sets")}
    found = {name: compare(gains_U, control_U, {}) for name, control_U in controls.items()}
    weaker = min(found, key=lambda name: found[name].low)
    levels = {name: finding.without for name, finding in found.items()}
    return replace(found[weaker], details={**_settings(seeing), **levels, "against": weaker})


def told_set(arms: Arms) -> Finding:
    """Items weighed by how often they come with the told set of the item to find, against not."""
    told = arms.best(replace(arms.base, told_strength=strength) for strength in STRENGTHS)
    return compare(arms.gains(told), arms.gains(arms.base), _settings(told))


def repeats(arms: Arms) -> Finding:
    """Met items ranked like any other, with rules from items to themselves, against left out as the protocol has it."""
    again = arms.best(replace(arms.base, repeat_weight=weight) for weight in REPEAT_WEIGHTS)
    details = {**_settings(again), "met_targets": mean(arms.task.is_met_U)}
    return compare(arms.gains(again), arms.gains(arms.base), details)


def popularity(arms: Arms) -> Finding:
    """Items in order of how often they were met, against an order drawn by lot, of which the expectation is known."""
    gains_U, targets_only = arms.popularity()
    details = {"counts": "target rows" if targets_only else "all rows", "rules": mean(arms.gains(arms.base))}
    return compare(gains_U, chance_gains(arms.task), details)


COMPARISONS: Mapping[str, Callable[[Arms], Finding]] = {
    "order": order,
    "recency": recency,
    "sets": sets,
    "told_set": told_set,
    "repeats": repeats,
    "popularity": popularity,
}


def _settings(recipe: RuleRecipe) -> dict[str, Any]:
    """What was chosen, as plain facts; a half-life without an end, of which JSON knows nothing, is None."""
    counting = asdict(recipe.counting)
    if isinf(counting["half_life"]):
        counting["half_life"] = None
    others = {name: value for name, value in asdict(recipe).items() if name != "counting" and value is not None}
    return {**counting, **others}
