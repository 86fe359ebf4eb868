"""Item kNN and sequential rules: similarities equal their equations, whatever the blocks and the cuts."""

import re
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from blade_tune.errors import ConfigError
from blade_tune.models import item_to_item
from blade_tune.models.item_to_item import blocks_of, keep_largest
from tests.models import twin_classical as twin
from tests.models.classical import EVIDENCE, TALL, WIDE, assert_equal_states, assert_linear, fitted
from tests.models.twin_classical import Step, draw_users, interactions

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


@pytest.mark.parametrize("name", ["item_knn", "sequential_rules"])
def test_too_many_neighbors_are_refused_with_a_number_that_fits(name, monkeypatch):
    """Neighbors of a catalog too large for them are refused before any work, and the number named is the largest."""
    monkeypatch.setattr(item_to_item, "MOST_NEIGHBORS", 50)
    with pytest.raises(ConfigError, match=r"at most \d+ for 8 items, got 7\.$") as refused:
        fitted(name, neighbors=7)
    number = int(re.findall(r"\d+", str(refused.value))[0])
    assert number == 6
    assert fitted(name, neighbors=number).similarity.matrix.nnz > 0
