from dataclasses import replace

import pytest
import torch

from blade_tune.models.blade.released import additive_mask
from tests.builders import make_batch, make_catalog, make_model


def test_additive_mask_puts_a_fixed_sum_on_what_may_not_be_seen():
    """Later steps and padding cost 100,000; a step with nothing to see sees everything alike."""
    mask_LL = additive_mask(torch.tensor([[False, True, True]]), torch.float64)[0, 0]
    assert mask_LL.tolist() == [[-1e5, -1e5, -1e5], [-1e5, 0.0, -1e5], [-1e5, 0.0, 0.0]]
    assert mask_LL[0].softmax(-1).tolist() == pytest.approx([1 / 3] * 3)


def test_row_zero_of_the_positions_stays_zero():
    """The oldest column has no position vector, before and after training: the table's row 0 is its padding."""
    catalog = make_catalog()
    model = make_model("blade_released", catalog)
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=0.1)
    sum(model.losses(make_batch(catalog)).values()).backward()
    optimizer.step()
    assert model.positions.weight[0].count_nonzero() == 0
    assert model.positions.weight[1:].count_nonzero() > 0


def test_next_loss_is_a_mean_weighted_by_richness():
    """Divided by the sum of weights, the loss does not change when every target set is equally rich or poor."""
    catalog = make_catalog()
    batch = make_batch(catalog)
    only_click_BLK = torch.zeros_like(batch.sets_BLK)
    only_click_BLK[..., 0] = 1
    model = make_model("blade_released", catalog, lambda_=0.0).double().eval()
    model.cross.attention.output.weight.data.zero_()  # so that no state depends on the target sets
    model.sets.behaviors.weight.data[:] = 1.0
    weighed = [
        model.losses(replace(batch, target_sets_BLK=sets_BLK))["next"]
        for sets_BLK in (only_click_BLK, torch.ones_like(batch.sets_BLK))
    ]
    torch.testing.assert_close(weighed[0], weighed[1])
