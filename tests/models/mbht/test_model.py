"""Laws of MBHT beyond its parts."""

from dataclasses import replace

import pytest
import torch

from blade_tune.augment.cloze import hide
from blade_tune.models.mbht.model import Mbht
from blade_tune.models.settings.mbht import MbhtConfig
from tests.builders import MAX_LENGTH, make_batch, make_catalog, make_model, shaken

CATALOG = make_catalog()
BATCH = make_batch(CATALOG)


@pytest.mark.parametrize(
    ("max_length", "scales", "num_slots"),
    [
        (50, "10-2-5", 50),
        (50, "10-5-10", 50),
        (50, "5-2-10", 50),
        (50, "10-4-20", 60),
        (12, "4-2-3", 12),
        (2, "4-2-3", 6),
    ],
)
def test_slots_are_as_many_as_scales_divide(max_length, scales, num_slots):
    """There is a slot for each step of a window, and no more than until both scales divide their number."""
    assert Mbht(MbhtConfig(max_length=max_length, scales=scales), CATALOG).num_slots == num_slots


def test_a_hidden_slot_has_no_label():
    """Where every slot is hidden, training knows nothing of behaviors; where some are known, it knows theirs."""
    other = replace(BATCH, sets_BLK=1 - BATCH.sets_BLK, target_sets_BLK=1 - BATCH.target_sets_BLK)
    for mask_prob, same in ((1.0, True), (0.2, False)):
        model = make_model("mbht", CATALOG, mask_prob=mask_prob).eval()
        losses = []
        for batch in (BATCH, other):
            torch.manual_seed(1)
            losses.append(model.losses(batch)["next"].item())
        assert (losses[0] == losses[1]) == same


@pytest.mark.parametrize("loss", ["ce", "bce"])
def test_the_loss_is_the_mean_over_hidden_slots(loss):
    """Slot after slot: the loss of the hidden item by the state of its slot, over the number of hidden slots."""
    model = shaken(make_model("mbht", CATALOG, loss=loss, mask_prob=0.5))
    torch.manual_seed(1)
    cloze = hide(BATCH, MAX_LENGTH, model.items.mask_item, 0.5, last=True)
    states_BLD, twin = model.fill(cloze), []
    for row in range(len(BATCH)):
        slots = [column for column in range(MAX_LENGTH) if cloze.items_BL[row, column] > 0]
        for slot, column in enumerate(slots):
            target = cloze.target_items_BL[row, column]
            if target:
                scores_V = model.item_vectors()[1:] @ states_BLD[row, slot]
                positive, negative = (
                    scores_V[target - 1],
                    scores_V[cloze.negatives_BL[row, column] - 1],
                )
                pair = -torch.nn.functional.logsigmoid(torch.stack((positive, -negative))).sum()
                twin.append((scores_V.logsumexp(dim=0) - positive if loss == "ce" else pair).item())
    assert len(twin) > len(BATCH)
    torch.manual_seed(1)
    assert model.losses(BATCH)["next"].item() == pytest.approx(sum(twin) / len(twin), abs=1e-10)


@pytest.mark.parametrize("as_published", [False, True])
def test_the_metric_learns_unless_as_published(as_published):
    """In the public code, normalizing over time takes every gradient from the metric."""
    model = make_model(
        "mbht", CATALOG, as_published=as_published, dropout=0.0, hypergraph_dropout=0.0
    ).double()
    torch.nn.init.normal_(model.items.weight[1:])  # else states of the graph are too small to see
    model.losses(BATCH)["next"].backward()
    assert (model.metric.weight_D.grad.abs().max() < 1e-15) == as_published
