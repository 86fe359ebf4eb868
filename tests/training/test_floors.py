"""What recommending by popularity reaches."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.data.sealed import SealedData
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import SearchData
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.floors import Popularity, popularity_floors
from tests.data.examples import whole

PUBLISHED = {  # NDCG@5, HR@5, NDCG@10, HR@10 on the test rows of QK-Video, by the model specification
    "all": (0.0016, 0.0027, 0.0036, 0.0089),
    "target": (0.0042, 0.0072, 0.0065, 0.0142),
    "target_set": (0.0043, 0.0074, 0.0068, 0.0155),
}


@pytest.mark.parametrize("floor", PUBLISHED)
def test_floors_of_qk_video_are_the_specification_s(qk_test: SealedData, floor: str):
    """On the real test rows each floor has the measured figures, to four decimals."""
    catalog = qk_test.search.catalog
    evaluator = Evaluator(qk_test.windows(50), rows_with(qk_test.test), catalog, EvaluationConfig())
    floors = popularity_floors(qk_test.search.train, catalog.num_items, catalog.auxiliary)
    metrics = evaluator.measure(floors[floor]).metrics
    assert tuple(round(metrics[name], 4) for name in ("ndcg@5", "hr@5", "ndcg@10", "hr@10")) == PUBLISHED[floor]


def orders_as(scores: Sequence[float], keys: Sequence[Any]) -> bool:
    """Whether scores order items as keys do, ties included."""
    order = sorted(range(len(keys)), key=lambda item: keys[item])
    return all((scores[a] < scores[b]) == (keys[a] < keys[b]) for a, b in itertools.pairwise(order))


def scores_of(floor: Popularity, batch: Batch) -> list[float]:
    """scores_V of the first user."""
    scores: list[float] = (floor.final_states(batch) @ floor.item_vectors().T)[0].tolist()
    return scores


def test_popularity_counts_train_rows(tiny: SearchData):
    """`all` orders items by their rows, `target` by those with a behavior other than the auxiliary one."""
    floors = popularity_floors(tiny.train, tiny.num_items, tiny.catalog.auxiliary)
    batch = whole(tiny.windows("valid", 4))
    rows = list(zip(tiny.train.items_N.tolist(), tiny.train.sets_NK.tolist(), strict=True))
    items = range(tiny.num_items + 1)
    assert orders_as(scores_of(floors["all"], batch), [sum(i == item for i, _ in rows) for item in items])
    targets = [sum(i == item and any(s[1:]) for i, s in rows) for item in items]
    assert orders_as(scores_of(floors["target"], batch), targets)


def test_popularity_of_a_set_counts_rows_with_that_set(tiny: SearchData):
    """`target_set` ranks by rows with the told set, equal counts by target rows; a set never seen, by these alone."""
    floors = popularity_floors(tiny.train, tiny.num_items, tiny.catalog.auxiliary)
    rows = list(zip(tiny.train.items_N.tolist(), map(tuple, tiny.train.sets_NK.tolist()), strict=True))
    seen = {behaviors for _, behaviors in rows}
    unseen = next(behaviors for behaviors in itertools.product((0, 1), repeat=4) if behaviors not in seen)
    for told in (*seen, unseen):
        batch = whole(tiny.windows("valid", 4)).with_final_target_set(torch.tensor(told))
        target_V, found_V = (scores_of(floors[name], batch) for name in ("target", "target_set"))
        keys = [(sum(row == (item, told) for row in rows), target_V[item]) for item in range(tiny.num_items + 1)]
        assert orders_as(found_V, keys)


def test_places_are_exact(tiny: SearchData):
    """Scores are whole numbers up to V, which float32 holds exactly in any catalog of less than 2^24 items."""
    for floor in popularity_floors(tiny.train, tiny.num_items, tiny.catalog.auxiliary).values():
        vectors_VD = floor.item_vectors()
        assert torch.equal(vectors_VD, vectors_VD.round())
        assert 0 <= vectors_VD.min() < vectors_VD.max() <= tiny.num_items
