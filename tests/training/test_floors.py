"""What recommending by popularity reaches."""

import itertools

import pytest
import torch

from blade_tune.data.sealed import SealedData
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import SearchData
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.floors import popularity_scorers

PUBLISHED = {  # NDCG@5, HR@5, NDCG@10, HR@10 on the test rows of QK-Video, by the model specification
    "all": (0.0016, 0.0027, 0.0036, 0.0089),
    "target": (0.0042, 0.0072, 0.0065, 0.0142),
    "target_set": (0.0043, 0.0074, 0.0068, 0.0155),
}


@pytest.mark.parametrize("floor", PUBLISHED)
def test_floors_of_qk_video_are_the_specification_s(qk_test: SealedData, floor: str):
    """On the real test rows each floor has the measured figures, to four decimals."""
    windows = qk_test.windows(50).rows(rows_with(qk_test.test))
    catalog = qk_test.search.catalog
    evaluator = Evaluator(windows, qk_test.user_item_keys(), catalog, EvaluationConfig())
    score = popularity_scorers(qk_test.search.train, catalog.num_items, catalog.auxiliary)[floor]
    metrics = evaluator.measure(score).metrics
    assert tuple(round(metrics[name], 4) for name in ("ndcg@5", "hr@5", "ndcg@10", "hr@10")) == PUBLISHED[floor]


def test_popularity_counts_train_rows(tiny: SearchData):
    """`all` scores an item by its rows, `target` by those with a behavior other than the auxiliary one."""
    scorers = popularity_scorers(tiny.train, tiny.num_items, tiny.catalog.auxiliary)
    batch = tiny.windows("valid", 4)
    rows = list(zip(tiny.train.items_N.tolist(), tiny.train.sets_NK.tolist(), strict=True))
    for item in range(tiny.num_items + 1):
        assert (scorers["all"](batch)[:, item] == sum(i == item for i, _ in rows)).all()
        assert (scorers["target"](batch)[:, item] == sum(i == item and any(s[1:]) for i, s in rows)).all()


def test_popularity_of_a_set_counts_rows_with_that_set(tiny: SearchData):
    """`target_set` ranks by rows with the told set, equal counts by target rows; a set never seen, by these alone."""
    scorers = popularity_scorers(tiny.train, tiny.num_items, tiny.catalog.auxiliary)
    rows = list(zip(tiny.train.items_N.tolist(), map(tuple, tiny.train.sets_NK.tolist()), strict=True))
    seen = {behaviors for _, behaviors in rows}
    unseen = next(behaviors for behaviors in itertools.product((0, 1), repeat=4) if behaviors not in seen)
    for told in (*seen, unseen):
        batch = tiny.windows("valid", 4).with_final_target_set(torch.tensor(told))
        target_V, found_V = (scorers[name](batch)[0].tolist() for name in ("target", "target_set"))
        keys = [(sum(row == (item, told) for row in rows), target_V[item]) for item in range(tiny.num_items + 1)]
        order = sorted(range(len(keys)), key=lambda item: keys[item])
        assert all((found_V[a] < found_V[b]) == (keys[a] < keys[b]) for a, b in itertools.pairwise(order))
