"""The models that are fitted to all rows at once: each equals its equation, and all keep some laws."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from blade_tune.batch import Batch, Catalog, Interactions
from blade_tune.errors import ConfigError
from blade_tune.models import MODELS, ease, ials, item_to_item
from blade_tune.models.base import RecommenderModel
from blade_tune.models.build import build_model, model_class
from blade_tune.models.combination import Combination, CombinationConfig
from blade_tune.models.ease import LARGEST, Ease, in_item_space, in_user_space
from blade_tune.models.fitted import EvidenceConfig, EvidenceRecommender, row_weights
from blade_tune.models.item_to_item import blocks_of, keep_largest
from blade_tune.training.fitting import Fitting
from tests.builders import make_batch, make_catalog
from tests.models import twin_classical as twin
from tests.models.twin_classical import Step, Vector, draw_users, interactions, windows_of

NAMES = ["popularity", "item_knn", "sequential_rules", "ease", "pure_svd", "ials"]
TALL = make_catalog(num_users=12, num_items=8)  # more users than items
WIDE = replace(make_catalog(num_users=6, num_items=9), auxiliary=2)


def rows_of(catalog: Catalog) -> Interactions:
    return interactions(draw_users(catalog))


def batch_of(catalog: Catalog) -> Batch:
    """Windows of all lengths; one is empty."""
    return make_batch(catalog, lengths=(6, 5, 3, 1, 0))


def settings_of(name: str, **settings: Any) -> dict[str, Any]:
    """Windows of six steps, and a size that fits the toys."""
    return {"max_length": 6, **({"factors": 3} if name in ("pure_svd", "ials") else {}), **settings}


def unfitted(name: str, catalog: Catalog = TALL, **settings: Any) -> Any:
    return build_model(name, settings_of(name, **settings), catalog, "test")


def fitted(
    name: str,
    catalog: Catalog = TALL,
    rows: Interactions | None = None,
    seed: int = 0,
    **settings: Any,
) -> Any:
    model = unfitted(name, catalog, **settings)
    Fitting(model, rows_of(catalog) if rows is None else rows, seed).fit()
    return model


def combined(
    members: list[RecommenderModel], catalog: Catalog = TALL, **settings: Any
) -> Combination:
    return Combination(CombinationConfig(**{"max_length": 6, **settings}), catalog, members)


def assert_scores(model: RecommenderModel, batch: Batch, expected: list[Vector]) -> None:
    scores_BV = model.scores(batch)
    assert scores_BV.dtype == torch.float32
    torch.testing.assert_close(scores_BV[:, 1:], torch.tensor(expected), atol=1e-5, rtol=1e-5)


def assert_linear(model: EvidenceRecommender, catalog: Catalog, weights: twin.Pairs) -> None:
    batch = batch_of(catalog)
    histories = [twin.history(window, catalog, model.config) for window in windows_of(batch)]
    assert_scores(model, batch, [twin.linear_scores(x, weights, catalog) for x in histories])


# Evidence

EVIDENCE: list[dict[str, Any]] = [
    {},
    {"half_life": 2.0, "auxiliary_weight": 0.3, "rarity_weight": 0.7},
    {"half_life": 1.0, "auxiliary_weight": 0.0, "rarity_weight": 2.0, "max_length": 4},
]


@pytest.mark.parametrize("auxiliary", [0, 2])
@pytest.mark.parametrize("settings", EVIDENCE, ids=str)
def test_a_row_weighs_what_its_behaviors_say(settings, auxiliary):
    """Every set of behaviors, the empty one too, has the weight of the slow twin, whatever behavior is auxiliary."""
    counts_K = np.array([90, 0, 30, 5])  # a behavior may be in no train row
    catalog = replace(TALL, auxiliary=auxiliary, behavior_counts_K=counts_K)
    config = EvidenceConfig(**settings)
    sets_NK = np.array([[number >> k & 1 for k in range(4)] for number in range(16)], np.uint8)
    given = (catalog, config.auxiliary_weight, config.rarity_weight)
    expected = [twin.row_weight(bits, *given) for bits in sets_NK.tolist()]
    np.testing.assert_allclose(row_weights(sets_NK, *given), expected, rtol=1e-12)


@pytest.mark.parametrize("other", [None, 0.0, 0.6])
@pytest.mark.parametrize("settings", EVIDENCE, ids=str)
def test_evidence_is_the_strongest_row_of_each_item(settings, other):
    """The evidence of users is the slow twin's, under the configured weight of auxiliary rows or another one."""
    model = unfitted("ease", TALL, **settings)
    given = model.config.auxiliary_weight if other is None else other
    expected = [twin.evidence(user, TALL, model.config, given) for user in draw_users(TALL)]
    assert_matrix(model.evidence(rows_of(TALL), other), expected)


@pytest.mark.parametrize("settings", EVIDENCE, ids=str)
def test_histories_fade_with_age(settings):
    """What windows say is the slow twin's: the strongest step of each item, after each has faded by its age."""
    model = unfitted("ease", TALL, **settings)
    histories_BV = model.histories(batch_of(TALL))
    assert histories_BV.dtype == np.float32
    assert_matrix(
        histories_BV,
        [twin.history(window, TALL, model.config) for window in windows_of(batch_of(TALL))],
    )


def assert_matrix(matrix_XV: csr_array, expected: list[twin.Weighted]) -> None:
    dense = [[x.get(item, 0.0) for item in range(TALL.num_items + 1)] for x in expected]
    assert matrix_XV.nnz == sum(len(x) for x in expected)
    np.testing.assert_allclose(matrix_XV.toarray(), dense, rtol=1e-6)


# Equations


@pytest.mark.parametrize("counts", ["all", "target", "target_set"])
@pytest.mark.parametrize("told", [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]], ids=str)
def test_popularity_equals_its_twin(counts, told):
    """Items stand in the order of their counts; a told set that no train row has leaves the order of target."""
    batch = batch_of(TALL).with_final_target_set(torch.tensor(told))
    expected = twin.popularity(draw_users(TALL), TALL, counts, told)
    assert_scores(fitted("popularity", counts=counts), batch, [expected] * len(batch))


def test_popularity_has_an_order_for_each_told_set():
    """Users of one batch who are told different sets get the orders of their own."""
    told = [[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    batch = batch_of(TALL)
    batch.target_sets_BLK[:, -1] = torch.tensor(told)
    expected = [twin.popularity(draw_users(TALL), TALL, "target_set", bits) for bits in told]
    assert len({tuple(scores) for scores in expected}) == 4  # no row has the first or the last set
    assert_scores(fitted("popularity", counts="target_set"), batch, expected)


def test_one_row_of_the_told_set_outweighs_all_others():
    """An item that one row has with the told set stands before one with more target rows than any other."""
    rows = interactions([[Step(1, [1, 0, 0, 0]), *[Step(2, [0, 0, 1, 0])] * 5]])
    batch = batch_of(TALL).with_final_target_set(torch.tensor([1, 0, 0, 0]))
    assert fitted("popularity", rows=rows, counts="target_set").scores(batch)[0, :4].tolist() == [
        0,
        2,
        1,
        0,
    ]


ITEM_TO_ITEM: list[dict[str, Any]] = [
    {},
    # Where equal similarities stand at the cut
    {"shrinkage": 0.0, "neighbors": 2, "target_auxiliary_weight": 1.0},
    {
        **EVIDENCE[1],
        "shrinkage": 2.0,
        "neighbors": 3,
        "asymmetry": 0.2,
        "target_auxiliary_weight": 0.6,
    },
    {**EVIDENCE[2], "shrinkage": 0.5, "neighbors": 4, "asymmetry": 1.0},
]


@pytest.mark.parametrize("catalog", [TALL, WIDE], ids=["tall", "wide"])
@pytest.mark.parametrize("settings", ITEM_TO_ITEM, ids=str)
def test_item_knn_equals_its_twin(settings, catalog):
    """Scores are the history times the largest similarities, pair of items by pair of items."""
    model = fitted("item_knn", catalog, **settings)
    assert_linear(
        model, catalog, twin.item_knn_similarity(draw_users(catalog), catalog, model.config)
    )


@pytest.mark.parametrize(
    "order", [{}, {"window": 2, "decay": 0.5, "backward": 0.0}, {"decay": 1.0, "backward": 1.0}]
)
@pytest.mark.parametrize("settings", ITEM_TO_ITEM, ids=str)
def test_sequential_rules_equal_their_twin(settings, order):
    """Scores are the history times the heaviest rules, pair of rows by pair of rows."""
    model = fitted("sequential_rules", **settings, **order)
    assert_linear(
        model, TALL, twin.sequential_rules_similarity(draw_users(TALL), TALL, model.config)
    )


@pytest.mark.parametrize("catalog", [TALL, WIDE], ids=["in item space", "in user space"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"regularization": 0.5},
        {**EVIDENCE[1], "regularization": 3.0, "target_auxiliary_weight": 0.5},
        EVIDENCE[2],
    ],
    ids=str,
)
def test_ease_equals_its_twin(settings, catalog):
    """Scores are the history times the ridge regression of each item on all others, in either space."""
    model = fitted("ease", catalog, **settings)
    assert model.in_user_space == (catalog is WIDE)
    assert_linear(model, catalog, twin.ease_weights(draw_users(catalog), catalog, model.config))


@pytest.mark.parametrize("catalog", [TALL, WIDE], ids=["tall", "wide"])
@pytest.mark.parametrize("settings", [{"factors": 1}, {**EVIDENCE[1], "factors": 4}], ids=str)
def test_pure_svd_equals_its_twin(settings, catalog):
    """Scores are the history projected on the largest right singular vectors of a dense decomposition."""
    model = fitted("pure_svd", catalog, **settings)
    projection = twin.pure_svd_projection(
        draw_users(catalog), catalog, model.config, model.config.factors
    )
    assert_linear(model, catalog, projection)


IALS = [
    {},
    {**EVIDENCE[1], "alpha": 3.0, "regularization": 0.5},
    {"alpha": 0.0, "regularization": 0.5, "factors": 1},
]


@pytest.mark.parametrize("settings", IALS, ids=str)
def test_users_of_ials_equal_their_twin(settings):
    """The state of a user solves her normal equations, and scores are its products with the vectors of items."""
    model, batch = fitted("ials", **settings), batch_of(TALL)
    vectors = model.vectors.tolist()
    assert not any(vectors[0])  # padding
    histories = [twin.history(window, TALL, model.config) for window in windows_of(batch)]
    states = [twin.ials_vector(x, vectors, model.config) for x in histories]
    torch.testing.assert_close(
        model.final_states(batch), torch.tensor(states), atol=1e-5, rtol=1e-5
    )
    assert_scores(
        model, batch, [[sum(map(float.__mul__, x, y)) for y in vectors[1:]] for x in states]
    )


@pytest.mark.parametrize("settings", IALS[1:], ids=str)
def test_items_of_ials_solve_their_own_equations(settings):
    """After many iterations the vector of every item is what the vectors of all users, solved for exactly, ask for."""
    model = fitted("ials", **settings, iterations=100)
    vectors = model.vectors.tolist()
    met = [
        twin.evidence(user, TALL, model.config, model.config.auxiliary_weight)
        for user in draw_users(TALL)
    ]
    users = [twin.ials_vector(x, vectors, model.config) for x in met]
    for item in twin.items_of(TALL):
        x = {u: of_user[item] for u, of_user in enumerate(met) if item in of_user}
        assert vectors[item] == pytest.approx(twin.ials_vector(x, users, model.config), abs=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_2": 0.3, "weight_3": 2.0},
        {"normalization": "ranks", "rank_offset": 3.0, "weight_2": 0.0, "weight_3": 0.7},
    ],
    ids=str,
)
def test_a_combination_equals_its_twin(settings):
    """Scores are the weighted sum of standardized scores or of reciprocal ranks, each member seeing its own length."""
    torch.manual_seed(0)
    # It cannot read more than two steps
    trained = unfitted("sasrec", max_length=2, embedding_size=8).eval()
    members = [fitted("popularity", counts="all"), trained, fitted("ease")]
    model, batch = combined(members, **settings), batch_of(TALL)
    # Some scores are equal
    assert members[0].scores(batch)[0, 1:].unique().numel() < TALL.num_items
    of_members = [
        m.scores(part)[:, 1:].tolist()
        for m, part in zip(members, (batch, batch.newest(2), batch), strict=True)
    ]
    weights = [1.0, settings["weight_2"], settings["weight_3"]]
    expected = [
        twin.combination(list(each), weights, model.config.normalization, model.config.rank_offset)
        for each in zip(*of_members, strict=True)
    ]
    assert_scores(model, batch, expected)


def test_a_member_that_scores_all_items_alike_says_nothing():
    """Standardized scores without any spread are 0, so that a combination with them ranks as the other member."""
    members, batch = [fitted("ease"), unfitted("popularity")], batch_of(TALL)
    assert not members[1].scores(batch).any()
    assert torch.equal(
        combined(members).scores(batch), combined(members, weight_2=0.0).scores(batch)
    )


# Cuts and blocks


def test_equal_entries_at_a_cut_stay_in_the_order_of_columns():
    """Of each row the largest entries stay; of equal ones those of lower number, whatever order they were stored in."""
    dense = np.array(
        [[2.0, 1, 0, 1, 3, 1], [1, 1, 1, 1, 1, 1], [0, 0, 5, 0, 0, 0], [4, 3, 2, 1, 0, 0]]
    )
    unsorted = csr_array(
        (dense[:, ::-1].ravel(), np.tile(np.arange(6)[::-1], 4), np.arange(0, 25, 6)),
        shape=dense.shape,
    )
    kept = keep_largest(unsorted, 3).toarray()
    assert kept.tolist() == [
        [2, 1, 0, 0, 3, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 5, 0, 0, 0],
        [4, 3, 2, 0, 0, 0],
    ]


@pytest.mark.parametrize("name", ["item_knn", "sequential_rules"])
def test_equal_neighbors_are_those_of_lower_number(name):
    """Where all items are equally alike, the neighbors of each are the first ones but itself."""
    everything = [Step(item, [1, 1, 0, 0]) for item in (3, 1, 4, 2)]
    rows = interactions([everything, everything[::-1]])
    model = fitted(
        name, rows=rows, neighbors=2, **({"decay": 1.0} if name == "sequential_rules" else {})
    )
    similarity = model.similarity.matrix.toarray()
    assert [row.nonzero()[0].tolist() for row in similarity[1:5]] == [
        [2, 3],
        [1, 3],
        [1, 2],
        [1, 2],
    ]


@pytest.mark.parametrize("at_once", [1, 4, 7, 1000])
@pytest.mark.parametrize(
    "products", [[3, 0, 4, 9, 0, 1, 1], [0, 0, 0], [8], [1, 1, 1, 1, 1, 1]], ids=str
)
def test_blocks_cover_every_item_once(products, at_once, monkeypatch):
    """Blocks run from the first item to the last, each as long as it may; only one of a single item has too much."""
    monkeypatch.setattr(item_to_item, "PRODUCTS_AT_ONCE", at_once)
    blocks = [range(*block.indices(len(products))) for block in blocks_of(np.array(products))]
    assert [item for block in blocks for item in block] == list(range(len(products)))
    assert all(
        len(block) == 1 or sum(products[item] for item in block) <= at_once for block in blocks
    )
    assert all(sum(products[block.start : block.stop + 1]) > at_once for block in blocks[:-1])


@pytest.mark.parametrize("name", ["item_knn", "sequential_rules"])
@pytest.mark.parametrize("at_once", [1, 30])
def test_the_size_of_a_block_changes_nothing(name, at_once, monkeypatch):
    """A fit in small blocks gives the similarities of a fit in one block."""
    whole = fitted(name, neighbors=3).state_dict()
    monkeypatch.setattr(item_to_item, "PRODUCTS_AT_ONCE", at_once)
    assert_equal_states(fitted(name, neighbors=3).state_dict(), whole)


def assert_equal_states(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("name", ["item_knn", "sequential_rules"])
def test_too_many_neighbors_are_refused_with_a_number_that_fits(name, monkeypatch):
    """Neighbors of a catalog too large for them are refused before any work, and the number named is the largest."""
    monkeypatch.setattr(item_to_item, "MOST_NEIGHBORS", 50)
    with pytest.raises(ConfigError, match=r"at most \d+ for 8 items, got 7\.$") as refused:
        fitted(name, neighbors=7)
    number = int(re.findall(r"\d+", str(refused.value))[0])
    assert number == 6
    assert fitted(name, neighbors=number).similarity.matrix.nnz > 0


# EASE in two spaces, and its size


@pytest.mark.parametrize("regularization", [0.5, 100.0])
@pytest.mark.parametrize("catalog", [TALL, WIDE], ids=["tall", "wide"])
def test_ease_is_one_model_in_two_spaces(catalog, regularization, monkeypatch):
    """x B of the item space is z (T + A diag(h)) - x diag(h) of the user space, for any history."""
    monkeypatch.setattr(ease, "COLUMNS_AT_ONCE", 4)
    model = unfitted("ease", catalog, **EVIDENCE[1])
    evidence_UV, targets_UV = (
        model.evidence(rows_of(catalog)),
        model.evidence(rows_of(catalog), 0.2),
    )
    weights_VV = in_item_space(evidence_UV, targets_UV, regularization)
    inverse_UU, own_V = in_user_space(evidence_UV, targets_UV, regularization)
    history_BV = np.random.default_rng(1).random((5, catalog.num_items + 1))
    evidence, targets = evidence_UV.toarray(), targets_UV.toarray()
    scores_BV = (
        history_BV @ evidence.T @ inverse_UU @ (targets + evidence * own_V) - history_BV * own_V
    )
    np.testing.assert_allclose(scores_BV, history_BV @ weights_VV, atol=1e-12)
    assert np.abs(weights_VV.diagonal()).max() < 1e-15


def test_ease_says_when_data_are_too_large():
    """Only where users and items are both too many there is a hindrance: one line that names models without one."""
    assert [Ease.too_large(*size) for size in ((LARGEST, 10**7), (10**7, LARGEST), (5, 5))] == [
        ""
    ] * 3
    hindrance = Ease.too_large(10**7, LARGEST + 1)
    assert re.search(rf"{LARGEST + 1:,}.*{LARGEST:,}", hindrance)
    assert "\n" not in hindrance
    named = [name for name in MODELS if name != "ease" and re.search(rf"\b{name}\b", hindrance)]
    assert len(named) > 1
    assert [model_class(name).too_large(10**7, LARGEST + 1) for name in named] == [""] * len(named)


# Laws of all


@pytest.mark.parametrize("at_once", [1, 40])
def test_users_of_ials_are_solved_for_one_by_one(at_once, monkeypatch):
    """The state of a user is the same alone as beside users with longer histories, however many are solved at once."""
    model, batch = fitted("ials"), batch_of(TALL)
    together = model.final_states(batch)
    torch.testing.assert_close(
        torch.cat([model.final_states(one) for one in batch.split(1)]), together
    )
    monkeypatch.setattr(ials, "STEPS_AT_ONCE", at_once)
    torch.testing.assert_close(model.final_states(batch), together)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_users_may_be_interleaved(name):
    """A fit knows the order of the rows of each user, not how rows of different users stand among each other."""
    rows = rows_of(TALL)
    places_N = np.concatenate([np.arange(n) for n in np.bincount(rows.users_N)])
    interleaved = rows.rows(np.argsort(places_N, kind="stable"))
    assert (np.diff(interleaved.users_N) < 0).sum() > 1
    assert_equal_states(fitted(name, rows=interleaved).state_dict(), fitted(name).state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_changes_what_is_seeded_only(name):
    """Two fits of one seed are equal to the bit; those of another seed too, unless the model calls itself seeded."""
    one, same, other = (fitted(name, seed=seed) for seed in (3, 3, 4))
    assert_equal_states(one.state_dict(), same.state_dict())
    differ = not torch.equal(one.scores(batch_of(TALL)), other.scores(batch_of(TALL)))
    assert differ == type(one).is_seeded == (name == "ials")


@pytest.mark.parametrize("catalog", [TALL, WIDE], ids=["tall", "wide"])
@pytest.mark.parametrize("name", NAMES)
def test_a_state_is_all_that_a_fit_learned(name, catalog):
    """A model loaded with the state of another has its scores, whether it was fresh or fitted to other rows."""
    model, batch = fitted(name, catalog), batch_of(catalog)
    other = fitted(name, catalog, interactions(draw_users(catalog, seed=1)))
    assert not torch.equal(other.scores(batch), model.scores(batch))
    for loaded in (other, unfitted(name, catalog)):
        loaded.load_state_dict(model.state_dict())
        assert torch.equal(loaded.scores(batch), model.scores(batch))


def test_the_state_of_a_combination_is_that_of_its_members():
    """A combination built by names and loaded, at once or member by member, has the scores of the one it came from."""
    members = [fitted(name) for name in NAMES[1:]]
    model, settings = combined(members, weight_3=0.5), {"max_length": 6, "weight_3": 0.5}
    places = [(name, settings_of(name)) for name in NAMES[1:]]
    whole, by_member = (
        build_model("combination", settings, TALL, "here", places) for _ in range(2)
    )
    assert isinstance(by_member, Combination)
    whole.load_state_dict(model.state_dict())
    by_member.load_members([member.state_dict() for member in members])
    for loaded in (whole, by_member):
        assert torch.equal(loaded.scores(batch_of(TALL)), model.scores(batch_of(TALL)))
