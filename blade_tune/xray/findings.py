"""The six comparisons of the x-ray, each of the best recommender that uses a property with the best that does not.

A comparison changes one thing only, so that a difference shows what that thing is worth, and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from itertools import product
from math import inf, isinf
from typing import Any

from blade_tune.xray.arms import Arms, grid
from blade_tune.xray.hits import chance_gains
from blade_tune.xray.rules import Counting, RuleRecipe
from blade_tune.xray.verdict import Finding, compare, mean

# Directions of rules (see Counting)
UNDIRECTED = 0.0
HARDLY_DIRECTED = 0.25
DIRECTED = 1.0
SPLIT = Counting(inf, UNDIRECTED, is_split=True, shrinkage=5.0, targets_only=False)
STRENGTHS = (20.0, 5.0, 100.0)
AUXILIARY_WEIGHTS = (0.25,)
REPEAT_WEIGHTS = (1.0, 4.0, 16.0)


def order(arms: Arms) -> Finding:
    """Compare rules with the direction of pairs of items to rules without: does A then B differ from B then A?

    All else is equal in both: how late in histories each item comes, and how much the newest steps weigh, which is
    recency. The half-life and share of direction are those under which direction helped most clearly on last train
    targets. Behaviors are ignored: a later row that must be a target would itself give pairs a direction.
    """
    plain = replace(arms.counting, targets_only=False, follows_drift=True)
    pairs = []
    for recipe in grid(plain, (*arms.half_lives, inf), (HARDLY_DIRECTED, DIRECTED)):
        counting = replace(recipe.counting, direction=UNDIRECTED)
        pairs.append((recipe, RuleRecipe(counting)))
    directed, undirected = arms.clearest(pairs)

    in_any_order = mean(arms.gains(directed, "any order"))
    details = {**_settings(directed), "histories_in_any_order": in_any_order}
    return compare(arms.gains(directed), arms.gains(undirected), details)


def recency(arms: Arms) -> Finding:
    """Compare histories whose older steps weigh less to histories whose steps all weigh the same.

    Rules lead from earlier to later items in both. Under rules that also lead back, new steps would win whatever the
    data, for fewer steps came after them.
    """
    newest = arms.best(grid(arms.counting, arms.half_lives, (DIRECTED,)))
    alike = arms.best(grid(arms.counting, (inf,), (DIRECTED,)))
    return compare(arms.gains(newest), arms.gains(alike), _settings(newest))


def sets(arms: Arms) -> Finding:
    """Compare rules that see the sets of a history to rules of items alone, and to the same rules on shuffled sets.

    The finding is the weaker of the two differences: shuffled sets make as many rules as true ones, but carry no
    information.
    """
    # First the counting and half-life at one strength, then the strength: far fewer recipes than all combinations.
    alone = arms.base.counting
    half_lives = dict.fromkeys((arms.half_lives[0], alone.half_life, inf))
    recipes = []
    for counting, half_life in product((alone, SPLIT), half_lives):
        counting = replace(counting, half_life=half_life, direction=alone.direction)
        recipes.append(RuleRecipe(counting, set_strength=STRENGTHS[0]))
    seeing = arms.best(recipes)
    stronger = [replace(seeing, set_strength=strength) for strength in STRENGTHS[1:]]
    weighed = [replace(arms.base, auxiliary_weight=weight) for weight in AUXILIARY_WEIGHTS]
    seeing = arms.best([seeing, *stronger, *weighed])

    # Compare it with both controls, and keep the weaker difference.
    gains_U = arms.gains(seeing)
    findings = {
        "items_alone": compare(gains_U, arms.gains(arms.base), {}),
        "shuffled_sets": compare(gains_U, arms.gains(seeing, "shuffled sets"), {}),
    }
    weaker = min(findings, key=lambda name: findings[name].low)
    levels = {name: finding.without for name, finding in findings.items()}
    details = {**_settings(seeing), **levels, "against": weaker}
    return replace(findings[weaker], details=details)


def told_set(arms: Arms) -> Finding:
    """Compare rules that weigh items by how often they come with the set of the item to find to rules not told it."""
    recipes = [replace(arms.base, told_strength=strength) for strength in STRENGTHS]
    lifting = arms.best(recipes)
    return compare(arms.gains(lifting), arms.gains(arms.base), _settings(lifting))


def repeats(arms: Arms) -> Finding:
    """Compare a ranking of all items, with rules from items to themselves, to one without the items already met.

    The protocol (`Task.exclude`) says which met items are left out.
    """
    recipes = [replace(arms.base, repeat_weight=weight) for weight in REPEAT_WEIGHTS]
    repeating = arms.best(recipes)
    details = {**_settings(repeating), "met_targets": mean(arms.task.is_met_U)}
    return compare(arms.gains(repeating), arms.gains(arms.base), details)


def popularity(arms: Arms) -> Finding:
    """Compare a ranking of items by popularity to the known expectation of a random ranking."""
    gains_U, targets_only = arms.popularity()
    details = {
        "counts": "target rows" if targets_only else "all rows",
        "rules": mean(arms.gains(arms.base)),
    }
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
    """Return a recipe as plain facts for JSON, in which an infinite half-life is None."""
    settings = asdict(recipe)
    counting = settings.pop("counting")
    if isinf(counting["half_life"]):
        counting["half_life"] = None
    used = {name: value for name, value in settings.items() if value is not None}
    return {**counting, **used}
