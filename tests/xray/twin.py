"""The recommender of counts, slowly: plain Python, after the words of its equations."""

from math import inf

from blade_tune.catalog import Catalog
from blade_tune.xray.rules import FAINT, RuleRecipe
from blade_tune.xray.task import Task

Table = dict[tuple[int, int], float]


def fade(age: float, half_life: float) -> float:
    return 1.0 if half_life == inf else 0.5 ** (age / half_life)


def scores(task: Task, catalog: Catalog, recipe: RuleRecipe) -> list[list[float]]:
    """scores_UV."""
    counting = recipe.counting
    commonest_first = sorted(
        range(catalog.num_behaviors), key=lambda k: -int(catalog.behavior_counts_K[k])
    )

    def code(behaviors: list[int]) -> int:
        return max(
            (commonest_first.index(k) for k, there in enumerate(behaviors) if there), default=0
        )

    rows = list(
        zip(
            task.rows.users_N.tolist(),
            task.rows.items_N.tolist(),
            task.rows.sets_NK.tolist(),
            strict=True,
        )
    )
    items = range(task.num_items + 1)
    is_target = [
        any(there for k, there in enumerate(behaviors) if k not in catalog.auxiliary)
        for _, _, behaviors in rows
    ]
    onwards: Table = {}
    back: Table = {}
    under: dict[tuple[int, int, int], float] = {}
    for later, (user, item, _) in enumerate(rows):
        earlier = [
            place for place in range(max(0, later - task.reach), later) if rows[place][0] == user
        ]  # as far as pairs reach
        weights = [fade(later - place - 1, counting.half_life) for place in earlier]
        for place, weight in zip(earlier, weights, strict=True):
            share = weight / sum(weights) if counting.is_split else weight
            before = rows[place][1]
            if is_target[later] or not counting.targets_only:
                onwards[before, item] = onwards.get((before, item), 0.0) + share
                key = code(rows[place][2]), before, item
                under[key] = under.get(key, 0.0) + share
            if is_target[place] or not counting.targets_only:
                back[item, before] = back.get((item, before), 0.0) + share
    b = (1 - counting.direction) / (1 + counting.direction)
    C = {(i, j): onwards.get((i, j), 0.0) + b * back.get((i, j), 0.0) for i in items for j in items}
    if counting.follows_drift:
        s, whole = counting.shrinkage, sum(onwards.values()) / max(1.0, sum(C.values()))
        late = [sum(onwards.get((i, j), 0.0) for i in items) for j in items]
        both = [sum(C[i, j] for i in items) for j in items]
        C = {(i, j): value * (late[j] + s * whole) / (both[j] + s) for (i, j), value in C.items()}
    totals = [sum(C[i, j] for j in items) for i in items]
    counted = [
        item
        for (_, item, _), target in zip(rows, is_target, strict=True)
        if target or not counting.targets_only
    ]
    found = []
    for user, told in zip(task.users_U.tolist(), task.sets_UK.tolist(), strict=True):
        history = [row for row in rows if row[0] == user][-task.window :]
        line = []
        for j in items:
            score = 0.0
            for age, (_, i, behaviors) in enumerate(reversed(history)):
                weight = fade(age, counting.half_life)
                if not any(
                    there for k, there in enumerate(behaviors) if k not in catalog.auxiliary
                ):
                    weight *= recipe.auxiliary_weight
                value = C[i, j]
                if recipe.set_strength is not None:
                    own = sum(under.get((code(behaviors), i, other), 0.0) for other in items)
                    strength = recipe.set_strength * sum(onwards.values()) / len(rows)
                    of_set = totals[i] * under.get((code(behaviors), i, j), 0.0)
                    value = (of_set + strength * value) / (own + strength)
                if i == j:
                    value *= recipe.repeat_weight or 0.0
                score += weight * value / (totals[i] + counting.shrinkage)
            score += FAINT * counted.count(j) / max(1, len(counted))
            line.append(score * lift(rows, is_target, j, code(told), recipe.told_strength, code))
        found.append(line)
    return found


def lift(
    rows: list, is_target: list[bool], item: int, told: int, strength: float | None, code
) -> float:  # type: ignore[no-untyped-def, type-arg]
    """How much more often the item has the told set than all have."""
    if strength is None:
        return 1.0
    targets = [
        (i, code(behaviors))
        for (_, i, behaviors), target in zip(rows, is_target, strict=True)
        if target
    ]
    share = max(1, sum(k == told for _, k in targets)) / max(1, len(targets))
    both, alone = sum(pair == (item, told) for pair in targets), sum(i == item for i, _ in targets)
    return (both + strength * share) / (alone + strength) / share
