"""What `auxiliary_weight` and shared negatives mean in every neural model."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.build import model_class
from tests.builders import make_catalog, make_model
from tests.contracts.subjects import BATCH, CATALOG, CONFIGS, NEURAL

LOSSES = ("bce", "ce", "sampled_softmax")
CAUSAL = [name for name in NEURAL if model_class(name).is_causal]
CLOZE = [name for name in NEURAL if not model_class(name).is_causal]
SHARED_ITEMS = BATCH.shared_negatives_X


def still(name: str, **settings: Any) -> NeuralRecommender:
    """A model in float64 without dropout, which draws nothing but what is hidden."""
    quiet = {
        field: 0.0
        for field in CONFIGS[name].model_fields
        if field.endswith("dropout") or field == "lambda_"
    }
    model = make_model(name, CATALOG, **{**quiet, **settings}).double()
    assert isinstance(model, NeuralRecommender)
    return model


def next_loss(model: NeuralRecommender, batch: Batch) -> Tensor:
    """The next item's loss; the same slots are hidden each time."""
    torch.manual_seed(3)
    return model.losses(batch)["next"]


def auxiliary_only(batch: Batch, auxiliary: tuple[int, ...] = CATALOG.auxiliary) -> Tensor:
    """True at steps whose target has auxiliary behaviors alone, step by step."""
    alone = [
        [
            any(target) and all(k in auxiliary for k, bit in enumerate(target) if bit)
            for target in row
        ]
        for row in batch.target_sets_BLK.tolist()
    ]
    return torch.tensor(alone) & batch.real_BL


def with_auxiliary(batch: Batch, where_BL: Tensor) -> Batch:
    """The batch whose targets, and past sets, have the auxiliary behavior alone where it is True."""
    lone_K = torch.zeros(CATALOG.num_behaviors, dtype=torch.uint8)
    lone_K[list(CATALOG.auxiliary)] = 1
    targets_BLK = torch.where(where_BL[..., None], lone_K, batch.target_sets_BLK)
    return replace(batch, target_sets_BLK=targets_BLK * batch.real_BL[..., None].to(torch.uint8))


# Every other step of each user
MIXED = with_auxiliary(BATCH, torch.arange(BATCH.items_BL.shape[1]) % 2 == 0)


def test_the_batch_has_targets_of_both_kinds():
    """The laws below are of something."""
    alone_BL = auxiliary_only(MIXED)
    assert 0 < alone_BL.sum() < MIXED.real_BL.sum()


@pytest.mark.parametrize("name", NEURAL)
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("auxiliary", [(), (0,), (0, 2)], ids=str)
def test_weights_are_their_twin_s(name: str, weight: float, auxiliary: tuple[int, ...]):
    """0 at padding, `auxiliary_weight` where a target has auxiliary behaviors alone, 1 elsewhere."""
    model = still(name, auxiliary_weight=weight)
    model.catalog = replace(CATALOG, auxiliary=auxiliary)
    weights_BL = model.weights(MIXED)
    alone_BL = auxiliary_only(MIXED, auxiliary)
    for user, row in enumerate(weights_BL.tolist()):
        for step, found in enumerate(row):
            expected = weight if alone_BL[user, step] else 1.0
            assert found == (expected if MIXED.real_BL[user, step] else 0.0)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("loss", LOSSES)
def test_at_weight_zero_such_targets_are_left_out(name: str, loss: str):
    """The loss does not move, to the last bit, when other items are the targets that are left out; else it does."""
    ignoring, heeding = (still(name, loss=loss, auxiliary_weight=weight) for weight in (0.0, 0.5))
    other_BL = torch.where(
        auxiliary_only(MIXED), CATALOG.num_items + 1 - MIXED.target_items_BL, MIXED.target_items_BL
    )
    other = replace(MIXED, target_items_BL=other_BL)
    assert torch.equal(next_loss(ignoring, other), next_loss(ignoring, MIXED))
    assert not torch.equal(next_loss(heeding, other), next_loss(heeding, MIXED))


@pytest.mark.parametrize("name", CLOZE)
@pytest.mark.parametrize("loss", LOSSES)
def test_at_weight_zero_such_slots_are_left_out(name: str, loss: str):
    """Where all slots are hidden, other items in those with the auxiliary behavior alone change nothing."""
    ignoring, heeding = (
        still(name, loss=loss, auxiliary_weight=w, mask_prob=1.0) for w in (0.0, 0.5)
    )
    sets_BLK = torch.cat((MIXED.target_sets_BLK[:, :1], MIXED.target_sets_BLK[:, :-1]), dim=1)
    batch = replace(MIXED, sets_BLK=sets_BLK * MIXED.real_BL[..., None].to(torch.uint8))
    alone_BL = auxiliary_only(replace(batch, target_sets_BLK=batch.sets_BLK))
    other = replace(
        batch,
        items_BL=torch.where(alone_BL, CATALOG.num_items + 1 - batch.items_BL, batch.items_BL),
    )
    assert torch.equal(next_loss(ignoring, other), next_loss(ignoring, batch))
    assert not torch.equal(next_loss(heeding, other), next_loss(heeding, batch))


@pytest.mark.parametrize("name", NEURAL)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_the_loss_is_the_mean_over_weights(name: str, loss: str, weight: float):
    """With S and N the sum and number of auxiliary-only targets' losses and s and n of the others: (w S + s)/(w N + n).

    Weights by richness are left out of it; S/N and s/n come from the weights 1 and 0 by the model's own sums.
    """
    plain = {"richness_weight": False} if "richness_weight" in CONFIGS[name].model_fields else {}
    model = still(name, loss=loss, auxiliary_weight=weight, **plain)
    sums: dict[float, tuple[Tensor, Tensor]] = {}

    def keep(losses: Any, weights: Tensor) -> Tensor:
        kept.extend((torch.stack(tuple(losses)).sum(), weights.sum()))
        return torch.stack(tuple(losses)).sum()

    model.mean = keep  # type: ignore[method-assign]
    for share in (0.0, 1.0, weight):
        kept: list[Tensor] = []
        model.config = model.config.model_copy(update={"auxiliary_weight": share})
        next_loss(model, MIXED)
        sums[share] = kept[0], kept[1]
    (others, count), (everything, all_count) = sums[0.0], sums[1.0]
    expected = (weight * (everything - others) + others, weight * (all_count - count) + count)
    for found, twin in zip(sums[weight], expected, strict=True):
        torch.testing.assert_close(found, twin, atol=1e-10, rtol=1e-10)
    assert 0 < count < all_count
    ended = next_loss(still(name, loss=loss, auxiliary_weight=weight, **plain), MIXED)
    torch.testing.assert_close(ended, expected[0] / expected[1], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", NEURAL)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_that_counts_nothing_costs_nothing(name: str, loss: str):
    """Where every target is auxiliary-only and its weight zero, the loss is zero and gradients are finite."""
    lone = with_auxiliary(BATCH, torch.ones_like(BATCH.real_BL))
    lone = replace(
        lone,
        sets_BLK=torch.where(lone.real_BL[..., None], lone.target_sets_BLK[:, -1:], lone.sets_BLK),
    )
    model = still(name, loss=loss, auxiliary_weight=0.0)
    ended = next_loss(model, lone)
    ended.backward()
    assert ended == 0.0
    for parameter in model.parameters():
        assert parameter.grad is None or not parameter.grad.any()


@pytest.mark.parametrize("name", NEURAL)
def test_a_target_is_no_negative_of_itself(name: str):
    """Where the sample holds nothing but one item, the loss of a step whose target it is does not compare with it."""
    model = still(name, loss="sampled_softmax")
    alone = replace(BATCH, target_items_BL=torch.where(BATCH.real_BL, 5, 0))
    items_BL = torch.where(BATCH.real_BL, 5, 0)  # a cloze has targets among the items
    alone = replace(alone, items_BL=items_BL)
    held = next_loss(model, alone.with_shared_negatives(torch.tensor([5, 5, 5])))
    assert held == 0.0
    other = next_loss(model, alone.with_shared_negatives(torch.tensor([7, 7, 7])))
    assert other > held


@pytest.mark.parametrize("name", NEURAL)
def test_the_order_of_the_sample_says_nothing(name: str):
    """Shared negatives are a set drawn with repeats: any order gives the same loss."""
    assert SHARED_ITEMS is not None
    model = still(name, loss="sampled_softmax")
    forth, back = (
        next_loss(model, BATCH.with_shared_negatives(x))
        for x in (SHARED_ITEMS, SHARED_ITEMS.flip(0))
    )
    torch.testing.assert_close(forth, back, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NEURAL)
def test_a_sample_of_all_items_is_the_full_softmax(name: str):
    """With each item once for negatives, sampled_softmax is ce: the target is left out of them and added again."""
    everything_X = torch.arange(1, make_catalog().num_items + 1)
    sampled, full = (still(name, loss=loss) for loss in ("sampled_softmax", "ce"))
    torch.testing.assert_close(
        next_loss(sampled, BATCH.with_shared_negatives(everything_X)),
        next_loss(full, BATCH),
        atol=1e-10,
        rtol=1e-10,
    )
