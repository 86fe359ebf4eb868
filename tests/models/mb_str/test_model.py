from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from blade_tune.augment.cloze import hide
from blade_tune.models.mb_str import behavior_pairs, gated_experts
from blade_tune.models.mb_str.by_behavior import PlacedByBehavior
from tests.builders import MAX_LENGTH, make_batch, make_catalog, make_model

CATALOG = make_catalog()
BATCH = make_batch(CATALOG)


def test_the_loss_is_the_cross_entropy_of_what_is_hidden():
    """The mean over hidden slots of the softmax over items 1 to V, of the state after the head of a slot's type."""
    model = make_model("mb_str", CATALOG, dropout=0.0, mask_prob=0.5).double()
    torch.manual_seed(1)
    cloze = hide(BATCH, MAX_LENGTH, CATALOG.num_items + 1, 0.5, last=False)
    states_BLD, types_BL = model.read(cloze)
    hidden_BL = cloze.target_items_BL > 0
    logits_NV = model.head(states_BLD, types_BL)[hidden_BL] @ model.item_vectors()[1:].T
    torch.manual_seed(1)
    loss = model.losses(BATCH)["next"]
    expected = functional.cross_entropy(logits_NV, cloze.target_items_BL[hidden_BL] - 1)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)


def test_nothing_hidden_is_no_loss():
    """Users without any step have nothing to hide: the loss is zero, not NaN."""
    assert (
        make_model("mb_str", CATALOG).losses(make_batch(CATALOG, lengths=(0, 0)))["next"].item()
        == 0.0
    )


def test_both_sides_of_a_slot_are_read():
    """The state of the oldest slot changes with the newest item, and that of the newest with the oldest."""
    model = make_model("mb_str", CATALOG).eval()
    before_BLD, _ = model.read(BATCH.rows(torch.tensor([0])))
    for changed, looked_at in [(-1, 0), (0, -1)]:
        items_BL = BATCH.items_BL[:1].clone()
        items_BL[:, changed] = items_BL[:, changed] % CATALOG.num_items + 1
        after_BLD, _ = model.read(replace(BATCH.rows(torch.tensor([0])), items_BL=items_BL))
        assert not torch.allclose(before_BLD[:, looked_at], after_BLD[:, looked_at], atol=1e-6)


def test_a_gpu_s_form_gives_the_same(monkeypatch):
    """Losses, gradients and scores do not depend on how rows meet the maps of their types."""
    model, results = make_model("mb_str", CATALOG, dropout=0.0).double(), []
    for _ in range(2):
        torch.manual_seed(1)
        loss = model.losses(BATCH)["next"]
        results.append(
            (*torch.autograd.grad(loss, list(model.parameters())), loss, model.final_states(BATCH))
        )
        monkeypatch.setattr(behavior_pairs, "by_behavior", PlacedByBehavior)
        monkeypatch.setattr(gated_experts, "by_behavior", PlacedByBehavior)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=0)
