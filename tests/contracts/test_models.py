"""What every model keeps (see RecommenderModel); a model joins by its line in MODELS."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from blade_tune.batch import Batch
from blade_tune.layers.behavior_types import BehaviorTypes
from blade_tune.models import MODELS
from blade_tune.models.base import NeuralRecommender, RecommenderModel
from tests.builders import MAX_LENGTH, make_batch, make_catalog, make_model
from tests.contracts.subjects import BATCH, CATALOG, CONFIGS


def reading(name: str) -> dict[str, Any]:
    """Settings under which a model looks at behaviors: by default all rows weigh the same in models of evidence."""
    wanted = {"auxiliary_weight": 0.5, "rarity_weight": 1.0}
    return {field: value for field, value in wanted.items() if field in CONFIGS[name].model_fields}


def ranked_by(model: RecommenderModel, batch: Batch) -> Tensor:
    """States of a neural model, in the precision of its weights; scores of others."""
    return (
        model.final_states(batch) if isinstance(model, NeuralRecommender) else model.scores(batch)
    )


def tolerance(model: RecommenderModel) -> float:
    return 1e-12 if isinstance(model, NeuralRecommender) else 1e-5


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("num_behaviors", [2, 4, 5])
def test_any_number_of_behaviors_scores(name, num_behaviors):
    """With 2, 4 or 5 behaviors, scores are one finite float32 an item, padding included."""
    catalog = make_catalog(num_behaviors)
    batch = make_batch(catalog)
    scores_BV = make_model(name, catalog).eval().scores(batch)
    assert (scores_BV.shape, scores_BV.dtype) == (
        (len(batch), catalog.num_items + 1),
        torch.float32,
    )
    assert scores_BV.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_float32_in_any_precision(name):
    """Scores are float32 even where the weights are wider."""
    assert make_model(name, CATALOG).double().eval().scores(BATCH).dtype == torch.float32


@pytest.mark.parametrize("name", MODELS)
def test_a_fully_padded_row_has_scores(name):
    """A user without any real step has finite scores, alone or among others."""
    model = make_model(name, CATALOG).eval()
    for lengths in ((MAX_LENGTH, 0, 2), (0,)):
        assert model.scores(make_batch(CATALOG, lengths=lengths)).isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_scores_know_the_target_set_only_if_the_model_says_so(name):
    """Scores change with the behavior set of the item to predict exactly in models that say they are told it."""
    model = make_model(name, CATALOG).eval()
    nothing, everything = (
        model.scores(BATCH.with_final_target_set(torch.full((4,), bit, dtype=torch.uint8)))
        for bit in (0, 1)
    )
    assert torch.equal(nothing, everything) != model.told_target_set


@pytest.mark.parametrize("name", MODELS)
def test_scores_know_of_behaviors_what_the_model_says(name):
    """Scores change with the sets of past steps, or with their behavior types, if the model says that it reads them.

    A model that reads behavior types knows no other set of the same type, one that reads items knows no set at all.
    """
    model = make_model(name, CATALOG, **reading(name)).eval()
    types = BehaviorTypes(CATALOG.behavior_counts_K, "rarest")
    real_BL1, rarest = BATCH.real_BL[..., None], int(CATALOG.behavior_counts_K.argmin())
    more_frequent_K = torch.arange(4) != rarest
    within_BLK = torch.where(
        real_BL1, functional.one_hot(types(BATCH.sets_BLK), 5)[..., 1:].to(torch.uint8), 0
    )
    across_BLK = torch.where(real_BL1 & more_frequent_K, 1 - BATCH.sets_BLK, BATCH.sets_BLK)
    across_BLK[..., rarest] = real_BL1[..., 0]  # the type of every set is the rarest behavior
    assert torch.equal(types(within_BLK), types(BATCH.sets_BLK))
    same = {
        other: torch.equal(model.scores(BATCH), model.scores(replace(BATCH, sets_BLK=sets_BLK)))
        for other, sets_BLK in (("within", within_BLK), ("across", across_BLK))
    }
    assert same == {"within": model.reads != "sets", "across": model.reads in ("items", "nothing")}


def test_only_the_set_of_the_item_to_predict_is_told():
    """Telling a target set replaces the last step's alone, in a copy."""
    told = BATCH.with_final_target_set(torch.tensor([0, 1, 1, 1]))
    assert torch.equal(told.target_sets_BLK[:, :-1], BATCH.target_sets_BLK[:, :-1])
    assert told.target_sets_BLK[:, -1].tolist() == [[0, 1, 1, 1]] * len(BATCH)
    assert not torch.equal(told.target_sets_BLK, BATCH.target_sets_BLK)


@pytest.mark.parametrize("name", MODELS)
def test_scores_do_not_know_the_answer(name):
    """Scores do not change with the item to predict, the negatives, or the items of the targets before."""
    model = make_model(name, CATALOG).eval()
    other = replace(BATCH, target_items_BL=BATCH.target_items_BL.flip(0), negatives_BL=None)
    assert torch.equal(model.scores(other), model.scores(BATCH))


@pytest.mark.parametrize("name", MODELS)
def test_one_stacked_pass_is_three_passes(name):
    """In evaluation, the original and two views stacked into one batch give what three batches give."""
    model = make_model(name, CATALOG).double().eval()
    first_BLK, second_BLK = 1 - BATCH.sets_BLK, BATCH.sets_BLK.flip(-1)
    separate = [
        ranked_by(model, replace(BATCH, sets_BLK=sets_BLK))
        for sets_BLK in (BATCH.sets_BLK, first_BLK, second_BLK)
    ]
    stacked = ranked_by(model, BATCH.stacked(BATCH.sets_BLK, first_BLK, second_BLK))
    torch.testing.assert_close(stacked, torch.cat(separate), atol=tolerance(model), rtol=0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("length", range(1, MAX_LENGTH))
def test_padding_may_be_left_out(name, length):
    """A window cut to its real steps gives the scores of the padded one."""
    model = make_model(name, CATALOG).double().eval()
    padded = make_batch(CATALOG, lengths=(length, 1, length))
    cut = ranked_by(model, padded.newest(length))
    torch.testing.assert_close(cut, ranked_by(model, padded), atol=tolerance(model), rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_scores_see_no_more_than_max_length_steps(name):
    """A window longer than `max_length` gives the scores of its newest steps, to the bit."""
    model = make_model(name, CATALOG, max_length=4 if name != "combination" else MAX_LENGTH).eval()
    longer = make_batch(CATALOG, lengths=(9, 7, 2), max_length=9)
    assert torch.equal(model.scores(longer), model.scores(longer.newest(model.max_length)))
