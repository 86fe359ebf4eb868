"""The classical models again, as their docstrings read: plain Python, one user, one row, one pair of rows at a time.

A user is a list of steps, the newest last; what one says of items is {item: weight}, from 1. Scores are one float an
item, that of item 1 first.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Interactions
from blade_tune.models.settings.classical import (
    EaseConfig,
    EvidenceConfig,
    IalsConfig,
    ItemKnnConfig,
    ItemToItemConfig,
    SequentialRulesConfig,
)


@dataclass(frozen=True)
class Step:
    """One interaction."""

    item: int
    behaviors: list[int]  # 0 or 1 each, in the order of the catalog


Users = list[list[Step]]
Weighted = dict[int, float]
Pairs = dict[int, Weighted]  # of items i in histories, of items j to come
Vector = list[float]


def items_of(catalog: Catalog) -> range:
    return range(1, catalog.num_items + 1)


def draw_users(catalog: Catalog, seed: int = 0) -> Users:
    """Rows of each user, items again and again; the last user and the last item have none."""
    random = np.random.default_rng(seed)
    frequency_K = np.roll([0.7, 0.4, 0.2, 0.1], catalog.auxiliary[0])
    users: Users = []
    for _ in range(catalog.num_users - 1):
        items_N = 1 + random.integers(0, catalog.num_items - 1, size=random.integers(2, 9))
        sets_NK = (random.random((len(items_N), 4)) < frequency_K).astype(int)
        sets_NK[~sets_NK.any(axis=1), catalog.auxiliary[0]] = 1
        users.append([Step(*step) for step in zip(items_N.tolist(), sets_NK.tolist(), strict=True)])
    return [*users, []]


def interactions(users: Users) -> Interactions:
    steps = [step for user in users for step in user]
    users_N = np.repeat(np.arange(1, len(users) + 1), [len(user) for user in users])
    return Interactions(
        users_N, np.array([s.item for s in steps]), np.array([s.behaviors for s in steps], np.uint8)
    )


def windows_of(batch: Batch) -> Users:
    """The real steps of every row."""
    return [
        [Step(item, bits) for item, bits in zip(items, sets, strict=True) if item]
        for items, sets in zip(batch.items_BL.tolist(), batch.sets_BLK.tolist(), strict=True)
    ]


# Evidence


def has_target(behaviors: list[int], catalog: Catalog) -> bool:
    return any(bit for k, bit in enumerate(behaviors) if k not in catalog.auxiliary)


def row_weight(
    behaviors: list[int], catalog: Catalog, auxiliary_weight: float, rarity_weight: float
) -> float:
    """1, or less without a target behavior, times the largest (n_max / n_k)^r of the row's behaviors."""
    counts = [max(int(count), 1) for count in catalog.behavior_counts_K]
    powers = [
        (max(counts) / count) ** rarity_weight
        for count, bit in zip(counts, behaviors, strict=True)
        if bit
    ]
    return (1.0 if has_target(behaviors, catalog) else auxiliary_weight) * max([1.0, *powers])


def strongest(weights: list[tuple[int, float]]) -> Weighted:
    """The largest weight of each item; 0 is nothing."""
    kept: Weighted = {}
    for item, weight in weights:
        if weight > 0:
            kept[item] = max(weight, kept.get(item, 0.0))
    return kept


def evidence(
    user: list[Step], catalog: Catalog, config: EvidenceConfig, auxiliary_weight: float
) -> Weighted:
    """What all rows of a user say, of whatever age."""
    return strongest(
        [
            (step.item, row_weight(step.behaviors, catalog, auxiliary_weight, config.rarity_weight))
            for step in user
        ]
    )


def history(window: list[Step], catalog: Catalog, config: EvidenceConfig) -> Weighted:
    """What the newest steps of a window say: half as much for every half-life between a step and the newest."""
    weights = []
    for age, step in enumerate(window[: -config.max_length - 1 : -1]):
        weight = row_weight(step.behaviors, catalog, config.auxiliary_weight, config.rarity_weight)
        weights.append((step.item, weight * 0.5 ** (age / config.half_life)))
    return strongest(weights)


def both_evidences(
    users: Users, catalog: Catalog, config: ItemToItemConfig | EaseConfig
) -> tuple[list[Weighted], list[Weighted]]:
    """A and T."""
    first, second = config.auxiliary_weight, config.target_auxiliary_weight
    return (
        [evidence(user, catalog, config, first) for user in users],
        [evidence(user, catalog, config, second) for user in users],
    )


# Popularity


def popularity(users: Users, catalog: Catalog, counts: str, told: list[int]) -> Vector:
    """The number of different, smaller counts below that of each item; padding has the count 0."""
    every, target, with_told = (dict.fromkeys((0, *items_of(catalog)), 0) for _ in range(3))
    for step in (step for user in users for step in user):
        every[step.item] += 1
        target[step.item] += has_target(step.behaviors, catalog)
        with_told[step.item] += step.behaviors == told
    counted = {
        "all": {item: (every[item],) for item in every},
        "target": {item: (target[item],) for item in every},
        "target_set": {item: (with_told[item], target[item]) for item in every},
    }[counts]
    return [
        float(len({other for other in counted.values() if other < counted[i]}))
        for i in items_of(catalog)
    ]


# Item to item


def item_to_item(
    pairs: Pairs, norms: Weighted, target_norms: Weighted, config: ItemToItemConfig
) -> Pairs:
    """c_ij / (n_i^(2 - 2a) n_j^(2a) + shrinkage), of each i the largest, of equal ones those of lower number."""
    a, kept = config.asymmetry, {}
    for i, met in pairs.items():
        alike = {
            j: c / (norms[i] ** (2 - 2 * a) * target_norms[j] ** (2 * a) + config.shrinkage)
            for j, c in met.items()
            if j != i and c > 0
        }
        nearest = sorted(alike, key=lambda j: (-alike[j], j))[: config.neighbors]
        kept[i] = {j: alike[j] for j in nearest}
    return kept


def item_knn_similarity(users: Users, catalog: Catalog, config: ItemKnnConfig) -> Pairs:
    """c = A^T T, with the Euclidean norms of both."""
    items = items_of(catalog)
    met, to_come = both_evidences(users, catalog, config)
    pairs: Pairs = {
        i: {
            j: sum(x.get(i, 0.0) * t.get(j, 0.0) for x, t in zip(met, to_come, strict=True))
            for j in items
        }
        for i in items
    }
    norms = {i: sqrt(sum(x.get(i, 0.0) ** 2 for x in met)) for i in items}
    target_norms = {j: sqrt(sum(t.get(j, 0.0) ** 2 for t in to_come)) for j in items}
    return item_to_item(pairs, norms, target_norms, config)


def sequential_rules_similarity(
    users: Users, catalog: Catalog, config: SequentialRulesConfig
) -> Pairs:
    """c_ij sums decay^(distance - 1) over pairs of rows, the roots of summed evidence are the norms."""
    items = items_of(catalog)
    pairs: Pairs = {i: dict.fromkeys(items, 0.0) for i in items}
    sums, target_sums = dict.fromkeys(items, 0.0), dict.fromkeys(items, 0.0)

    def weights(step: Step) -> tuple[float, float]:
        kinds = (config.auxiliary_weight, config.target_auxiliary_weight)
        first, second = (
            row_weight(step.behaviors, catalog, kind, config.rarity_weight) for kind in kinds
        )
        return first, second

    for user in users:
        for place, step in enumerate(user):
            as_evidence, as_target = weights(step)
            sums[step.item] += as_evidence
            target_sums[step.item] += as_target
            for distance in range(1, min(config.window, place) + 1):
                earlier = user[place - distance]
                earlier_as_evidence, earlier_as_target = weights(earlier)
                share = config.decay ** (distance - 1)
                pairs[earlier.item][step.item] += share * earlier_as_evidence * as_target
                pairs[step.item][earlier.item] += (
                    config.backward * share * as_evidence * earlier_as_target
                )
    norms, target_norms = (
        {i: sqrt(total) for i, total in each.items()} for each in (sums, target_sums)
    )
    return item_to_item(pairs, norms, target_norms, config)


def linear_scores(x: Weighted, weights: Pairs, catalog: Catalog) -> Vector:
    """X S, or x B."""
    return [
        sum(weight * weights.get(i, {}).get(j, 0.0) for i, weight in x.items())
        for j in items_of(catalog)
    ]


# Linear algebra, item by item and user by user


def solve(matrix: list[Vector], right: Vector) -> Vector:
    """x with matrix x = right, by elimination."""
    rows = [[*row, last] for row, last in zip(matrix, right, strict=True)]
    for column in range(len(rows)):
        pivot = max(range(column, len(rows)), key=lambda place: abs(rows[place][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [number / rows[column][column] for number in rows[column]]
        for place, row in enumerate(rows):
            if place != column:
                rows[place] = [
                    number - row[column] * own
                    for number, own in zip(row, rows[column], strict=True)
                ]
    return [row[-1] for row in rows]


def ease_weights(users: Users, catalog: Catalog, config: EaseConfig) -> Pairs:
    """B, column by column: the ridge regression of what was to come of j on the evidence of all items but j."""
    met, to_come = both_evidences(users, catalog, config)
    weights: Pairs = {i: {} for i in items_of(catalog)}
    for j in items_of(catalog):
        others = [i for i in items_of(catalog) if i != j]
        normal = [
            [
                sum(x.get(i, 0.0) * x.get(k, 0.0) for x in met) + config.regularization * (i == k)
                for k in others
            ]
            for i in others
        ]
        right = [
            sum(x.get(i, 0.0) * t.get(j, 0.0) for x, t in zip(met, to_come, strict=True))
            for i in others
        ]
        for i, b in zip(others, solve(normal, right), strict=True):
            weights[i][j] = b
    return weights


def pure_svd_projection(
    users: Users, catalog: Catalog, config: EvidenceConfig, factors: int
) -> Pairs:
    """V V^T of the right singular vectors of the largest singular values."""
    items = items_of(catalog)
    met = [evidence(user, catalog, config, config.auxiliary_weight) for user in users]
    _, _, vectors = np.linalg.svd(np.array([[x.get(i, 0.0) for i in items] for x in met]))
    kept = vectors[:factors].tolist()
    return {i: {j: sum(v[i - 1] * v[j - 1] for v in kept) for j in items} for i in items}


def ials_vector(x: Weighted, vectors: list[Vector], config: IalsConfig) -> Vector:
    """Of a user (or an item, by the vectors of users): (Y^T Y + sum (c - 1) y y^T + lambda I) x = sum c y.

    Args:
        x: evidence, by place in `vectors`.
        vectors: of all items.
        config: alpha and lambda.
    """
    size = range(len(vectors[0]))
    confidence = {i: 1 + config.alpha * weight for i, weight in x.items()}
    normal = [
        [
            sum(confidence.get(i, 1.0) * y[d] * y[e] for i, y in enumerate(vectors))
            + config.regularization * (d == e)
            for e in size
        ]
        for d in size
    ]
    return solve(normal, [sum(c * vectors[i][d] for i, c in confidence.items()) for d in size])


# Combination


def standardized(scores: Vector) -> Vector:
    mean = sum(scores) / len(scores)
    spread = sqrt(sum((score - mean) ** 2 for score in scores) / len(scores))
    return [(score - mean) / spread if spread > 0 else 0.0 for score in scores]


def reciprocal_ranks(scores: Vector, rank_offset: float) -> Vector:
    """1 / (offset + rank), the rank one more than the number of items of a higher score, or as high and earlier."""
    before = [
        sum(
            other > score or (other == score and other_place < place)
            for other_place, other in enumerate(scores)
        )
        for place, score in enumerate(scores)
    ]
    return [1 / (rank_offset + 1 + number) for number in before]


def combination(
    members: list[Vector], weights: Vector, normalization: str, rank_offset: float
) -> Vector:
    """The weighted sum of one user's scores by each member, made comparable."""
    comparable = [
        standardized(scores) if normalization == "scores" else reciprocal_ranks(scores, rank_offset)
        for scores in members
    ]
    return [
        sum(w * s for w, s in zip(weights, scores, strict=True))
        for scores in zip(*comparable, strict=True)
    ]
