"""Laws that all models keep that are fitted to all rows at once."""

import numpy as np
import pytest
import torch

from tests.models.classical import (
    NAMES,
    TALL,
    WIDE,
    assert_equal_states,
    batch_of,
    fitted,
    rows_of,
    unfitted,
)
from tests.models.twin_classical import draw_users, interactions


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_users_may_be_interleaved(name):
    """A fit knows the order of the rows of each user, not how rows of different users stand among each other."""
    rows = rows_of(TALL)
    places_N = np.concatenate([np.arange(n) for n in np.bincount(rows.users_N)])
    interleaved = rows.rows(np.argsort(places_N, kind="stable"))
    assert (np.diff(interleaved.users_N) < 0).sum() > 1
    assert_equal_states(fitted(name, rows=interleaved).state_dict(), fitted(name).state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_changes_what_is_seeded_only(name):
    """Two fits of one seed are equal to the bit; those of another seed too, unless the model calls itself seeded."""
    one, same, other = (fitted(name, seed=seed) for seed in (3, 3, 4))
    assert_equal_states(one.state_dict(), same.state_dict())
    differ = not torch.equal(one.scores(batch_of(TALL)), other.scores(batch_of(TALL)))
    assert differ == type(one).Config.is_seeded == (name == "ials")


@pytest.mark.parametrize("catalog", [TALL, WIDE], ids=["tall", "wide"])
@pytest.mark.parametrize("name", NAMES)
def test_a_state_is_all_that_a_fit_learned(name, catalog):
    """A model loaded with the state of another has its scores, whether it was fresh or fitted to other rows."""
    model, batch = fitted(name, catalog), batch_of(catalog)
    other = fitted(name, catalog, interactions(draw_users(catalog, seed=1)))
    assert not torch.equal(other.scores(batch), model.scores(batch))
    for loaded in (other, unfitted(name, catalog)):
        loaded.load_state_dict(model.state_dict())
        assert torch.equal(loaded.scores(batch), model.scores(batch))
