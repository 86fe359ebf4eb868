"""Made-up data: its law, and that only behavior sets reveal it."""

import hashlib
from itertools import product

import numpy as np
import pytest

from blade_tune.data.sealed import count_sealed
from blade_tune.data.sources.synthetic import Synthetic, generate
from blade_tune.data.split import split_by_time
from blade_tune.data.statistics import describe
from blade_tune.data.store import prepare
from blade_tune.data.synthetic_law import LEAD, clustered_items, led_to, rarity
from blade_tune.errors import ConfigError
from tests.data.examples import SYNTHETIC, config


def transitions(settings):
    """(cluster, rarest behavior, next cluster) of all neighboring interactions of a user."""
    rows = generate(settings)
    cluster_of = np.empty(settings.num_items + 1, np.int64)
    for cluster, items in enumerate(clustered_items(settings)):
        cluster_of[items] = cluster
    clusters_N, rarest_N = cluster_of[rows.items_N], (rows.sets_NK * rarity(settings)).max(axis=1)
    inside_N = rows.users_N[1:] == rows.users_N[:-1]
    return clusters_N[:-1][inside_N], rarest_N[:-1][inside_N], clusters_N[1:][inside_N]


def predictability(context_N, next_N):
    """How often the commonest next cluster of each context is right."""
    counts = np.zeros((context_N.max() + 1, next_N.max() + 1))
    np.add.at(counts, (context_N, next_N), 1)
    return counts.max(axis=1).sum() / len(next_N)


def test_same_seed_same_bytes() -> None:
    """All that is drawn follows from the settings; another seed gives other rows."""
    first, again, other = (generate(config(SYNTHETIC, seed=seed)) for seed in (1, 1, 2))
    assert all(
        a.tobytes() == b.tobytes()
        for a, b in zip(vars(first).values(), vars(again).values(), strict=True)
    )
    assert first.items_N.tobytes() != other.items_N.tobytes()


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_the_law_holds(noise: float) -> None:
    """The next cluster is c + r, but for the share of noise that does not hit it by chance."""
    settings = config(SYNTHETIC, noise=noise)
    clusters_N, rarest_N, next_N = transitions(settings)
    lawful = np.mean(next_N == (clusters_N + rarest_N) % settings.num_clusters)
    assert lawful == pytest.approx(1 - noise + noise / settings.num_clusters, abs=0.015)


def test_only_sets_reveal_the_next_cluster() -> None:
    """Items alone leave a mixture of clusters, sets make it sharp, and sets of other rows tell nothing."""
    found = {}
    for shuffled in (False, True):
        clusters_N, rarest_N, next_N = transitions(config(SYNTHETIC, shuffle_sets=shuffled))
        found[shuffled] = (
            predictability(clusters_N, next_N),
            predictability(4 * clusters_N + rarest_N, next_N),
        )
    items, items_and_sets = found[False]
    assert items < 0.5
    assert items_and_sets > 0.85
    shuffled_items, shuffled_both = found[True]
    assert shuffled_items == pytest.approx(items)
    assert shuffled_both < 0.5


def test_it_looks_like_real_data() -> None:
    """Click is commonest, targets get rarer in column order, no set is empty, lengths and items are as asked."""
    settings = config(SYNTHETIC)
    rows = generate(settings)
    counts = rows.sets_NK.sum(axis=0)
    assert (np.diff(counts.astype(int)) < 0).all()
    assert rows.nonempty_N.all()
    assert np.bincount(rows.sets_NK.sum(axis=1))[4] < 0.01 * len(rows)
    lengths = np.bincount(rows.users_N)[1:]
    assert (len(lengths), lengths.min(), lengths.max()) == (600, 8, 25)
    assert set(rows.items_N) <= set(range(1, settings.num_items + 1))
    items_met = np.unique(rows.users_N * 1000 + rows.items_N)
    assert len(items_met) > 0.99 * len(rows)


def test_popularity_is_skewed() -> None:
    """Within a cluster the first items are met more often than the last."""
    settings = config(SYNTHETIC)
    counts_CS = np.bincount(generate(settings).items_N, minlength=settings.num_items + 1)[
        clustered_items(settings)
    ]
    assert counts_CS[:, 0].sum() > 1.5 * counts_CS[:, -1].sum()


def test_the_auxiliary_behavior_may_stand_anywhere() -> None:
    """Rarity follows the auxiliary behavior, then column order."""
    assert rarity(config(SYNTHETIC, auxiliary="share")).tolist() == [1, 2, 0, 3]
    assert generate(config(SYNTHETIC, auxiliary="share")).sets_NK.sum(axis=0).argmax() == 2


@pytest.mark.parametrize("shuffled", [False, True])
def test_parts_are_those_of_the_split(shuffled: bool) -> None:
    """Search and sealed are parts of one split, also of shuffled sets: valid and test rows are targets."""
    settings = config(SYNTHETIC, shuffle_sets=shuffled)
    source = Synthetic(settings)
    train, valid = source.search()
    between, test = source.sealed()
    expected = split_by_time(generate(settings), (0,))
    assert [len(part) for part in (train, valid, between, test)] == [len(part) for part in expected]
    assert valid.sets_NK[:, 1:].any(axis=1).all()
    assert test.sets_NK[:, 1:].any(axis=1).all()
    assert not between.sets_NK[:, 1:].any()


def test_it_needs_no_directory(tmp_path) -> None:
    """The demo is prepared and described without a file; names are no content, the seed is."""
    data = prepare(config(SYNTHETIC), None, tmp_path)
    assert describe(data, count_sealed(data, None))["parts"]["test"] > 500
    assert prepare(config(SYNTHETIC, name="other", long_tail=[]), None, tmp_path).path == data.path
    assert prepare(config(SYNTHETIC, seed=1), None, tmp_path).data_hash != data.data_hash


# Laws that do without


LAWS = [
    tuple(t for t, off in zip(("order", "sets", "recency"), o, strict=True) if off)
    for o in product((0, 1), repeat=3)
]
BEFORE = [  # the laws could do without: settings -> what they are stored under, and the rows
    ({}, "320e8ccb197e33e6", "a91a706c595c67dd"),
    ({"shuffle_sets": True}, "ee859d9621d4ce8a", "580ff517927b622f"),
    (
        {"num_users": 40, "num_items": 40, "max_length": 12, "seed": 7, "auxiliary": "share"},
        "d616b578e455d901",
        "ef0255d8ff6f090a",
    ),
]


@pytest.mark.parametrize(("changes", "key", "rows"), BEFORE)
def test_a_whole_law_is_what_it_always_was(changes, key, rows):
    """The same rows under the same key as before a law could do without; a stored definition has no new field."""
    settings = config(SYNTHETIC, **changes)
    made, digest = generate(settings), hashlib.sha256()
    for values in (made.users_N, made.items_N, made.sets_NK):
        digest.update(values.astype("<i8").tobytes())
    assert (Synthetic(settings).search_key()[:16], digest.hexdigest()[:16]) == (key, rows)
    assert "without" not in settings.model_dump(mode="json")
    assert config(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize("without", LAWS, ids=lambda law: " ".join(law) or "nothing")
def test_each_law_leads_where_it_says(without):
    """Without noise every interaction follows from the last one, or from some earlier one, of its user."""
    settings = config(SYNTHETIC, noise=0.0, without=without, num_users=60)
    rows = generate(settings)
    cluster_of = np.empty(settings.num_items + 1, np.int64)
    cluster_of[clustered_items(settings)] = np.arange(settings.num_clusters)[:, None]
    for user in range(1, settings.num_users + 1):
        own = rows.rows(rows.users_N == user)
        clusters = cluster_of[own.items_N].tolist()
        for place in range(1, len(own)):
            followed = range(place) if "recency" in without else [place - 1]
            leads = set()
            for earlier in followed:
                step = max(rarity(settings)[own.sets_NK[earlier] > 0]) + (
                    LEAD if "recency" in without else 0
                )
                step = LEAD if "sets" in without else step
                c = clusters[earlier]
                leads.add((step - c if "order" in without else c + step) % settings.num_clusters)
            assert clusters[place] in leads
    assert config(SYNTHETIC, without=without).model_dump(mode="json").get("without", []) == list(
        without
    )


def test_without_order_what_leads_there_leads_back():
    """Led from a cluster to another and on by the same set, one is back."""
    settings = config(SYNTHETIC, without=["order"])
    sets_NK = generate(settings).sets_NK[:200]
    clusters_N = np.arange(200) % settings.num_clusters
    assert (
        led_to(settings, led_to(settings, clusters_N, sets_NK), sets_NK).tolist()
        == clusters_N.tolist()
    )


def test_without_recency_all_earlier_interactions_are_followed():
    """The age of the interaction that was followed has the mean of a draw among all earlier ones."""
    settings = config(
        SYNTHETIC,
        noise=0.0,
        without=["recency", "sets"],
        num_items=1000,
        num_clusters=500,
        max_length=10,
    )
    rows = generate(settings)
    cluster_of = np.empty(settings.num_items + 1, np.int64)
    cluster_of[clustered_items(settings)] = np.arange(settings.num_clusters)[:, None]
    is_second_N = np.diff(rows.users_N, prepend=0, n=1) == 0
    clusters_N = cluster_of[rows.items_N]
    led_by_last = np.mean((clusters_N[1:] == (clusters_N[:-1] + LEAD) % 500)[is_second_N[1:]])
    # Of lengths up to ten; some earlier one may be in the same cluster
    assert 0.2 < led_by_last < 0.6


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"without": ["novelty"]}, "must be 'order', 'sets' or 'recency', got 'novelty'"),
        ({"without": ["order", "order"]}, "without must name each property once, got order, order"),
        (
            {"without": ["sets"], "shuffle_sets": True},
            "shuffle_sets takes the law from sets, and without sets",
        ),
    ],
)
def test_what_no_law_can_do_without(changes, law):
    """Unknown things, a thing twice, and sets that are shuffled and of no account."""
    with pytest.raises(ConfigError, match=law):
        config(SYNTHETIC, **changes)
