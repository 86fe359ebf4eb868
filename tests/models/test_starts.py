"""Where neural models begin: item vectors from co-occurrence, and blocks that pass on the mean of the history."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from blade_tune.models.item_factors import FACTORS, SHRINKAGE, cooccurrence_factors, ials_factors
from blade_tune.models.item_table import ItemTable
from tests.builders import make_batch, make_catalog, make_model, make_rows
from tests.contracts.subjects import CONFIGS, NEURAL


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As where trainings find factors."""
    with threadpool_limits(1, "blas"):
        yield


CATALOG = make_catalog(num_users=12, num_items=20)
ROWS = make_rows(CATALOG)
BEGINNING = [name for name in NEURAL if "block_init" not in CONFIGS[name].refused]


def similarity_twin() -> np.ndarray:
    """s_ij = users who met both / (sqrt(users of i) sqrt(users of j) + shrinkage), 0 on the diagonal."""
    met = [set(ROWS.items_N[ROWS.users_N == user]) for user in range(1, CATALOG.num_users + 1)]
    count = [sum(item in items for items in met) for item in range(CATALOG.num_items + 1)]
    similar = np.zeros((CATALOG.num_items + 1,) * 2)
    for i in range(CATALOG.num_items + 1):
        for j in range(CATALOG.num_items + 1):
            if i != j:
                both = sum(i in items and j in items for items in met)
                similar[i, j] = both / (np.sqrt(count[i] * count[j]) + SHRINKAGE)
    return similar


def test_factors_multiply_to_the_similarity_they_are_of():
    """E E^T is the part of the similarity that lies along its largest eigenvalues, by numpy's dense solver."""
    values, vectors = np.linalg.eigh(similarity_twin())
    kept = np.maximum(values[-8:], 0) * vectors[:, -8:]
    factors_VD = cooccurrence_factors(ROWS, CATALOG, 8)
    assert factors_VD.shape == (21, 8)
    np.testing.assert_allclose(factors_VD @ factors_VD.T, kept @ vectors[:, -8:].T, atol=1e-6)
    assert not factors_VD[0].any()


def test_factors_are_the_same_every_time_and_zero_where_there_are_none():
    """Nothing is drawn; more columns than items have none to hold."""
    nobody = ROWS.rows(np.zeros(len(ROWS), bool))
    for factors in FACTORS.values():
        assert np.array_equal(factors(ROWS, CATALOG, 32), factors(ROWS, CATALOG, 32))
        assert not factors(nobody, CATALOG, 8).any()
    assert not cooccurrence_factors(ROWS, CATALOG, 32)[:, 20:].any()


def test_a_table_starts_at_the_deviation_asked_for():
    """The table has the vectors' directions and the asked deviation; padding is zero and [MASK] keeps its row."""
    table = ItemTable(20, 8, has_mask=True)
    mask_D = table.weight[-1].detach().clone()
    vectors_VD = torch.from_numpy(cooccurrence_factors(ROWS, CATALOG, 8))
    table.start_as(vectors_VD, 0.5)
    assert table.vectors_VD[1:].std().item() == pytest.approx(0.5, rel=1e-5)
    torch.testing.assert_close(
        table.vectors_VD[1:] / vectors_VD[1:].std(),
        vectors_VD[1:] * 0.5 / vectors_VD[1:].std() ** 2,
    )
    assert not table.weight[0].any()
    assert torch.equal(table.weight[-1], mask_D)


def test_ials_factors_multiply_to_the_scores_of_ials():
    """E E^T = Y (Y^T Y + lambda I)^-1 Y^T: the scores of users whose own items leave the normal equations as they are.

    alpha is 0.076 over the share of pairs that met, lambda a quarter of the eighth singular value of the confidences
    1 + alpha w of the evidence w.
    """
    found = {"factors": 8, "auxiliary_weight": 0.6, "rarity_weight": 0.25}
    evidence_UV = make_model("ials", CATALOG, rows=ROWS, **found).evidence(ROWS).toarray()
    found["alpha"] = 0.076 / (evidence_UV > 0)[:, 1:].mean()
    confidence_UV = np.where(evidence_UV > 0, 1 + found["alpha"] * evidence_UV, 0)
    regularization = 0.25 * np.linalg.svd(confidence_UV, compute_uv=False)[7]
    ials = make_model("ials", CATALOG, rows=ROWS, regularization=regularization, **found)
    vectors_VD = ials.vectors.double()
    inner_DD = vectors_VD.T @ vectors_VD + regularization * torch.eye(8, dtype=torch.float64)
    expected_VV = vectors_VD @ torch.linalg.solve(inner_DD, vectors_VD.T)
    factors_VD = torch.from_numpy(ials_factors(ROWS, CATALOG, 8)).double()
    torch.testing.assert_close(factors_VD @ factors_VD.T, expected_VV, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", BEGINNING)
def test_a_model_that_begins_as_the_mean_ranks_like_it(name):
    """Before any step, scores of all items go with those of the mean of the history's vectors, user by user."""
    model = make_model(
        name, CATALOG, rows=ROWS, item_init="cooccurrence", item_std=0.5, block_init="identity"
    ).eval()
    batch = make_batch(CATALOG, lengths=(6, 6, 5, 5, 4))
    vectors_VD = model.item_vectors().detach()
    weights_BL1 = batch.real_BL[..., None].float()
    means_BD = (vectors_VD[batch.items_BL] * weights_BL1).sum(dim=1) / weights_BL1.sum(dim=1)
    with torch.no_grad():
        scores_BV, mean_scores_BV = model.scores(batch)[:, 1:], means_BD @ vectors_VD[1:].T
    for scores_V, mean_scores_V in zip(scores_BV, mean_scores_BV, strict=True):
        assert torch.corrcoef(torch.stack((scores_V, mean_scores_V)))[0, 1] > 0.5
