"""Evaluation against a slow twin in plain Python."""

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import SearchData
from blade_tune.errors import NonFiniteError
from blade_tune.metrics import UNREACHABLE
from blade_tune.models.base import DotProduct, RecommenderModel
from blade_tune.models.settings.base import ModelConfig
from blade_tune.training import evaluation, ranking
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator
from tests.builders import make_catalog, make_model

LENGTH = 4


@pytest.fixture
def scores_UV(tiny: SearchData) -> Tensor:
    """Scores of few different values, so that ties abound."""
    shape = (tiny.num_users + 1, tiny.num_items + 1)
    return torch.randint(0, 6, shape, generator=torch.Generator().manual_seed(0)).float()


class Given(DotProduct):
    """Scores that are given for every user; remembers what it was told."""

    def __init__(self, scores_UV: Tensor) -> None:
        super().__init__(ModelConfig(), make_catalog())
        self.scores_UV = scores_UV
        self.told: list[Batch] = []

    def final_states(self, batch: Batch) -> Tensor:
        self.told.append(batch)
        return self.scores_UV[batch.users_B]

    def item_vectors(self) -> Tensor:
        return torch.eye(self.scores_UV.shape[1])


class Dense(RecommenderModel):
    """The same scores from a model of which no product is known."""

    def __init__(self, scores_UV: Tensor) -> None:
        super().__init__(ModelConfig(), make_catalog())
        self.scores_UV = scores_UV

    def scores(self, batch: Batch) -> Tensor:
        return self.scores_UV[batch.users_B]


def evaluator(data: SearchData, **settings: str) -> Evaluator:
    return Evaluator(
        data.windows("valid", LENGTH),
        rows_with(data.valid),
        data.catalog,
        EvaluationConfig(**settings),
    )


def plain_ranks(data: SearchData, scores_UV: Tensor, exclude: str) -> list[int]:
    """The rank of each user's valid item, user by user and item by item."""
    ranks = []
    for user, target in zip(data.valid.users_N.tolist(), data.valid.items_N.tolist(), strict=True):
        history = [
            item
            for u, item in zip(data.train.users_N, data.train.items_N, strict=True)
            if u == user
        ]
        excluded = set({"full": history, "window": history[-LENGTH:], "none": []}[exclude])
        score = scores_UV[user].tolist()
        others = [v for v in range(1, data.num_items + 1) if v not in excluded]
        before = [
            v
            for v in others
            if score[v] > score[target] or (score[v] == score[target] and v < target)
        ]
        ranks.append(UNREACHABLE if target in excluded else len(before))
    return ranks


@pytest.mark.parametrize("users_at_once", [1, 7, 512])
@pytest.mark.parametrize("exclude", ["window", "full", "none"])
def test_ranks_equal_the_plain_twin_s(
    tiny: SearchData,
    scores_UV: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    exclude: str,
    users_at_once: int,
):
    """Items of the window, of the whole history, or none are never ranked, however users are cut into chunks."""
    monkeypatch.setattr(evaluation, "USERS_AT_ONCE", users_at_once)
    found = evaluator(tiny, exclude=exclude)(Given(scores_UV))
    assert found.ranks_U.tolist() == plain_ranks(tiny, scores_UV, exclude)


@pytest.mark.parametrize("scores_at_once", [1, 100, 2**22])
@pytest.mark.parametrize("exclude", ["window", "full", "none"])
def test_ranks_without_vectors_equal_the_plain_twin_s(
    tiny: SearchData,
    scores_UV: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    exclude: str,
    scores_at_once: int,
):
    """A model that is no product ranks alike, however few scores are in memory at a time."""
    monkeypatch.setattr(ranking, "SCORES_AT_ONCE", scores_at_once)
    found = evaluator(tiny, exclude=exclude)(Dense(scores_UV))
    assert found.ranks_U.tolist() == plain_ranks(tiny, scores_UV, exclude)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_ranks_nothing(tiny: SearchData, scores_UV: Tensor, bad: float):
    """One such score of one user is an error, whatever item it is of."""
    scores_UV[int(tiny.valid.users_N[-1]), 3] = bad
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        evaluator(tiny)(Dense(scores_UV))


def test_both_exclusions_differ_here(tiny: SearchData, scores_UV: Tensor):
    """The data of these tests has histories longer than the window, or the law above would say little."""
    assert plain_ranks(tiny, scores_UV, "full") != plain_ranks(tiny, scores_UV, "window")


def test_metrics_are_means_over_users(tiny: SearchData, scores_UV: Tensor):
    """NDCG@k is the mean of 1 / log2(rank + 2), HR@k the share of ranks under k."""
    metrics = evaluator(tiny)(Given(scores_UV)).metrics
    ranks = plain_ranks(tiny, scores_UV, "window")
    for k in (5, 10, 20):
        hits = [rank for rank in ranks if rank < k]
        assert metrics[f"hr@{k}"] == pytest.approx(len(hits) / len(ranks), abs=1e-12)
        assert metrics[f"ndcg@{k}"] == pytest.approx(
            sum(1 / math.log2(r + 2) for r in hits) / len(ranks), abs=1e-12
        )


def told(data: SearchData, **settings: str) -> Batch:
    """The windows of all users as a model gets them."""
    model = Given(torch.zeros(data.num_users + 1, data.num_items + 1))
    evaluator(data, **settings)(model)
    [batch] = model.told
    return batch.rows(batch.users_B.argsort())


def test_no_padding_is_computed_for_users_of_one_length(
    tiny: SearchData, monkeypatch: pytest.MonkeyPatch
):
    """Models are told every user once, in windows as long as the longest of those told with it."""
    monkeypatch.setattr(evaluation, "USERS_AT_ONCE", 7)
    model = Given(torch.zeros(tiny.num_users + 1, tiny.num_items + 1))
    evaluator(tiny)(model)
    assert sorted(torch.cat([batch.users_B for batch in model.told]).tolist()) == sorted(
        tiny.valid.users_N.tolist()
    )
    lengths = [batch.real_BL.sum(dim=1) for batch in model.told]
    assert all(
        batch.items_BL.shape[1] == lengths_B.max()
        for batch, lengths_B in zip(model.told, lengths, strict=True)
    )
    assert torch.equal(torch.cat(lengths), torch.cat(lengths).sort().values)


def test_nobody_to_evaluate_gives_zero(tiny: SearchData):
    """Without a user there is no rank, and every metric is 0."""
    nobody = Evaluator(
        tiny.windows("valid", LENGTH), torch.arange(0), tiny.catalog, EvaluationConfig()
    )
    found = nobody(Given(torch.zeros(1, 1)))
    assert (len(found.ranks_U), set(found.metrics.values())) == (0, {0.0})


def test_target_set_truth_tells_the_set_of_the_item(tiny: SearchData):
    """Models are told the very set of the valid row."""
    batch = told(tiny, target_set="truth")
    assert batch.target_sets_BLK[:, -1].tolist() == tiny.valid.sets_NK.tolist()


def test_target_set_constant_tells_nothing_of_the_item(tiny: SearchData):
    """Every user's last target set is all target behaviors; everything else stays."""
    true, constant = (told(tiny, target_set=kind) for kind in ("truth", "constant"))
    assert constant.target_sets_BLK[:, -1].unique(dim=0).tolist() == [[0, 1, 1, 1]]
    assert torch.equal(constant.target_sets_BLK[:, :-1], true.target_sets_BLK[:, :-1])
    assert torch.equal(constant.sets_BLK, true.sets_BLK)
    assert torch.equal(constant.items_BL, true.items_BL)


def test_target_set_mode_tells_everybody_the_commonest_set(tiny: SearchData):
    """It is the most frequent set of train rows with a target behavior, whatever the valid rows have."""
    rows = Counter(tuple(row) for row in tiny.train.sets_NK.tolist() if any(row[1:]))
    ((commonest, _),) = rows.most_common(1)
    batch = told(tiny, target_set="mode")
    assert batch.target_sets_BLK[:, -1].unique(dim=0).tolist() == [list(commonest)]
    assert torch.equal(batch.sets_BLK, told(tiny, target_set="truth").sets_BLK)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_model_and_the_random_state_as_they_were(
    tiny: SearchData, training: bool
):
    """Ranking is done in evaluation mode, draws nothing, repeats exactly and restores the mode."""
    model = make_model(
        "blade", tiny.catalog, max_length=LENGTH, embedding_size=8, dropout=0.5
    ).train(training)
    before = torch.get_rng_state()
    first, again = (evaluator(tiny)(model) for _ in range(2))
    assert torch.equal(first.ranks_U, again.ranks_U)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training == training
