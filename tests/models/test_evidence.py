"""Evidence and histories: what rows and windows say of each item is what the slow twin says."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from blade_tune.models.fitted import row_weights
from blade_tune.models.settings.classical import EvidenceConfig
from tests.models import twin_classical as twin
from tests.models.classical import EVIDENCE, TALL, batch_of, rows_of, unfitted
from tests.models.twin_classical import draw_users, windows_of


@pytest.mark.parametrize("auxiliary", [(), (0,), (2,), (0, 3)], ids=str)
@pytest.mark.parametrize("settings", EVIDENCE, ids=str)
def test_a_row_weighs_what_its_behaviors_say(settings, auxiliary):
    """Every set of behaviors, the empty one too, has the weight of the slow twin, whatever behaviors are auxiliary."""
    counts_K = np.array([90, 0, 30, 5])  # a behavior may be in no train row
    catalog = replace(TALL, auxiliary=auxiliary, behavior_counts_K=counts_K)
    config = EvidenceConfig(**settings)
    sets_NK = np.array([[number >> k & 1 for k in range(4)] for number in range(16)], np.uint8)
    given = (catalog, config.auxiliary_weight, config.rarity_weight)
    expected = [twin.row_weight(bits, *given) for bits in sets_NK.tolist()]
    np.testing.assert_allclose(row_weights(sets_NK, *given), expected, rtol=1e-12)


@pytest.mark.parametrize("other", [None, 0.0, 0.6])
@pytest.mark.parametrize("settings", EVIDENCE, ids=str)
def test_evidence_is_the_strongest_row_of_each_item(settings, other):
    """The evidence of users is the slow twin's, under the configured weight of auxiliary rows or another one."""
    model = unfitted("ease", TALL, **settings)
    given = model.config.auxiliary_weight if other is None else other
    expected = [twin.evidence(user, TALL, model.config, given) for user in draw_users(TALL)]
    assert_matrix(model.evidence(rows_of(TALL), other), expected)


@pytest.mark.parametrize("settings", EVIDENCE, ids=str)
def test_histories_fade_with_age(settings):
    """What windows say is the slow twin's: the strongest step of each item, after each has faded by its age."""
    model = unfitted("ease", TALL, **settings)
    histories_BV = model.histories(batch_of(TALL))
    assert histories_BV.dtype == np.float32
    assert_matrix(
        histories_BV,
        [twin.history(window, TALL, model.config) for window in windows_of(batch_of(TALL))],
    )


def assert_matrix(matrix_XV: csr_array, expected: list[twin.Weighted]) -> None:
    dense = [[x.get(item, 0.0) for item in range(TALL.num_items + 1)] for x in expected]
    assert matrix_XV.nnz == sum(len(x) for x in expected)
    np.testing.assert_allclose(matrix_XV.toarray(), dense, rtol=1e-6)
