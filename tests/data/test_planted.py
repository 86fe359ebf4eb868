"""The best that made-up data lets anyone reach."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.catalog import Interactions
from blade_tune.data.oracle import best_reachable, next_item_probabilities
from blade_tune.data.sources.synthetic import generate
from blade_tune.data.split import Split, split_by_time
from blade_tune.data.synthetic_law import SyntheticConfig, clustered_items, rarity
from blade_tune.metrics import CUTOFFS
from tests.data.examples import SYNTHETIC, config

MANY = config(SYNTHETIC, num_users=4000, num_items=60, num_clusters=6, noise=0.3, max_length=16)


def split(settings: SyntheticConfig) -> Split:
    return split_by_time(generate(settings), settings.auxiliary_columns)


def histories(rows: Interactions, users: list[int]) -> list[Interactions]:
    return [rows.rows(rows.users_N == user) for user in users]


@settings(max_examples=40)
@given(
    noise=st.sampled_from([0.0, 0.1, 1.0]),
    skew=st.sampled_from([0.0, 0.5, 2.0]),
    without=st.lists(st.sampled_from(["order", "sets", "recency"]), unique=True),
    user=st.integers(1, 30),
    steps=st.integers(1, 8),
)
def test_probabilities_are_those_of_the_law(
    noise: float, skew: float, without: list[str], user: int, steps: int
) -> None:
    """Slowly: a lawful cluster or any, then an unmet item of it by its weight; an exhausted cluster gives none."""
    law = config(
        SYNTHETIC,
        num_users=30,
        num_items=25,
        num_clusters=5,
        noise=noise,
        skew=skew,
        without=without,
    )
    rows = generate(law)
    history = rows.rows((rows.users_N == user).nonzero()[0][:steps])
    items_CS, met = clustered_items(law).tolist(), set(history.items_N.tolist())
    led = [0.0] * 5
    followed = range(len(history)) if "recency" in without else [len(history) - 1]
    for place in followed:
        (here,) = (c for c, items in enumerate(items_CS) if history.items_N[place] in items)
        present = history.sets_NK[place].tolist()
        step = max(r for r, there in zip(rarity(law).tolist(), present, strict=True) if there)
        step = 1 if "sets" in without else step + ("recency" in without)
        led[(step - here if "order" in without else here + step) % 5] += 1 / len(followed)
    expected = [0.0] * (law.num_items + 1)
    for cluster, items in enumerate(items_CS):
        lawful = (1 - noise) * led[cluster] + noise / 5
        weights = {
            item: (1 + place) ** -skew for place, item in enumerate(items) if item not in met
        }
        for item, weight in weights.items():
            expected[item] = lawful * weight / sum(weights.values())
    assert next_item_probabilities(law, [history])[0] == pytest.approx(expected)


def realized(law: SyntheticConfig, parts: Split, *, by_law: bool) -> dict[str, tuple[float, float]]:
    """Mean NDCG@k and its standard error on the valid rows of a ranking by the law, or by popularity alone."""
    users = sorted(set(parts.valid.users_N.tolist()) & set(parts.train.users_N.tolist()))[:3000]
    item_of = dict(zip(parts.valid.users_N.tolist(), parts.valid.items_N.tolist(), strict=True))
    histories_U = histories(parts.train, users)
    if by_law:
        scores_UV = next_item_probabilities(law, histories_U)
    else:
        counts_V = np.bincount(parts.train.items_N, minlength=law.num_items + 1).astype(float)
        scores_UV = np.tile(counts_V, (len(users), 1))
        for scores_V, history in zip(scores_UV, histories_U, strict=True):
            scores_V[history.items_N] = 0
    ranks = [
        int((scores_V > scores_V[item_of[user]]).sum())
        if scores_V[item_of[user]] > 0
        else law.num_items
        for user, scores_V in zip(users, scores_UV, strict=True)
    ]
    figures = {}
    for k in CUTOFFS:
        gains = [1 / math.log2(rank + 2) if rank < k else 0.0 for rank in ranks]
        figures[f"ndcg@{k}"] = float(np.mean(gains)), float(np.std(gains) / len(gains) ** 0.5)
    return figures


@pytest.mark.parametrize(
    ("without", "errors"), [([], 20), (["recency"], 8), (["order", "sets", "recency"], 20)]
)
def test_the_ranking_by_the_law_reaches_it_and_popularity_does_not(
    without: list[str], errors: int
) -> None:
    """On the valid rows of thousands of users the law's ranking gets what is expected of it, within chance."""
    law = config({**MANY.model_dump(mode="json"), "without": without})
    parts = split(law)
    best = best_reachable(law, parts.train, parts.valid)
    for name, (mean, error) in realized(law, parts, by_law=True).items():
        assert abs(mean - best[name]) < 4 * error
    for name, (mean, error) in realized(law, parts, by_law=False).items():
        assert mean < best[name] - errors * error


def test_less_noise_more_to_reach() -> None:
    """Without noise and with one item a cluster all is known; with noise alone, what popularity tells is left."""
    sure = config(SYNTHETIC, num_users=50, num_items=50, num_clusters=50, noise=0.0, max_length=8)
    parts = split(sure)
    best = best_reachable(sure, parts.train, parts.valid)
    met = np.mean(
        [
            item in set(h.items_N)
            for h, item in zip(
                # Fmt: skip
                histories(parts.train, parts.valid.users_N.tolist()),
                parts.valid.items_N.tolist(),
                strict=True,
            )
        ]
    )
    assert best["hr@5"] == pytest.approx(best["ndcg@5"])
    assert best["hr@5"] == pytest.approx(
        1 - met, abs=0.05
    )  # an exhausted cluster gives an item again, which none may rank
    figures = []
    for noise in (0.0, 0.2, 0.6, 1.0):
        law = config(SYNTHETIC, noise=noise)
        parts = split(law)
        figures.append(best_reachable(law, parts.train, parts.valid)["ndcg@10"])
    assert figures == sorted(figures, reverse=True)
    assert figures[0] > 3 * figures[-1]
