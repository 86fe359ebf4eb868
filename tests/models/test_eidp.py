"""EIDP: what the public code's setting changes, and how the weights of distances start."""

from dataclasses import replace

import pytest
import torch

from blade_tune.batch import Batch
from tests.builders import make_batch, make_catalog, make_model, shaken

CATALOG = make_catalog()


def later_changed(batch: Batch) -> Batch:
    """The same steps but for the item and the set of the newest."""
    items_BL, sets_BLK = batch.items_BL.clone(), batch.sets_BLK.clone()
    items_BL[:, -1], sets_BLK[:, -1] = CATALOG.num_items + 1 - items_BL[:, -1], 1 - sets_BLK[:, -1]
    return replace(batch, items_BL=items_BL, sets_BLK=sets_BLK)


@pytest.mark.parametrize("prob_exact", [True, False])
def test_padding_tells_the_public_code_s_steps_of_later_ones(prob_exact):
    """In the public setting a step of padding attends to all keys and is read by real steps, one layer later.

    So a step's state changes with the item after it. By default it does not.
    """
    model = shaken(make_model("eidp", CATALOG, prob_exact=prob_exact))
    batch = make_batch(CATALOG, lengths=(4,))
    before_BLD, after_BLD = (
        model.encode(batch)[:, -4:-1],
        model.encode(later_changed(batch))[:, -4:-1],
    )
    assert torch.equal(before_BLD, after_BLD) == prob_exact


@pytest.mark.parametrize("prob_exact", [True, False])
def test_only_exact_scores_repeat(prob_exact):
    """Two evaluations agree by default; the public setting draws anew which queries it computes."""
    model = shaken(make_model("eidp", CATALOG, prob_exact=prob_exact, sampling_factor=1))
    batch = make_batch(CATALOG)
    torch.manual_seed(0)
    states = [model.final_states(batch) for _ in range(20)]
    assert all(torch.equal(states[0], again) for again in states) == prob_exact


def test_weights_of_distances_start_alike_for_any_number_of_users():
    """They are drawn with the variance 2 / (K + 2), as if each user had a table of her own."""
    for num_users in (500, 5_000):
        model = make_model("eidp", make_catalog(num_users=num_users))
        assert model.distances.weight.var().item() == pytest.approx(2 / 6, rel=0.1)


def test_in_the_public_setting_padding_is_what_the_window_has():
    """A window cut to its real steps gives the state of the padded one there too, since its padding is put back."""
    model = make_model("eidp", CATALOG, prob_exact=False, sampling_factor=8).double().eval()
    padded = make_batch(CATALOG, lengths=(3, 1, 3))
    torch.testing.assert_close(
        model.final_states(padded.newest(3)), model.final_states(padded), atol=1e-12, rtol=0
    )
