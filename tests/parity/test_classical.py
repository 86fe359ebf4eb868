"""EASE, item kNN and iALS against the numbers of RecTools, RecBole, implicit and lenskit.

All evidence of the fixtures is 0 or 1, but for confidences. Their items are numbered from 0, ours from 1.
"""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Interactions
from blade_tune.models.build import build_model
from blade_tune.models.ease import in_item_space, in_user_space
from blade_tune.models.ials import solve_users
from blade_tune.training.fitting import Fitting
from tests.builders import make_catalog
from tests.parity.weights import as_tensor, fixture

Matrix = NDArray[np.float64]

EASE, ITEM_KNN, IALS = (fixture(f"{name}_reference") for name in ("ease", "item_knn", "ials"))
TARGET = [0, 1, 0, 0]  # a set of which a row weighs 1, as evidence and as what is to come


def met_of(theirs: dict[str, Any]) -> Matrix:
    return np.array(theirs["inputs"]["user_item"], dtype=np.float64)


def padded(met_UV: Matrix) -> csr_array:
    """With a column of padding."""
    return csr_array(np.pad(met_UV, ((0, 0), (1, 0))))


def numbers(nested: list[list[float | None]]) -> Matrix:
    """What is not there is 0."""
    return np.array([[number or 0.0 for number in row] for row in nested])


def fitted(name: str, met_UV: Matrix, num_users: int = 8, **settings: Any) -> Any:
    """A model of the data, to which users without rows may be added."""
    users_N, items_N = met_UV.nonzero()
    rows = Interactions(
        users_N + 1, items_N + 1, np.tile(np.array(TARGET, np.uint8), (len(users_N), 1))
    )
    model = build_model(
        name, settings, make_catalog(num_users=num_users, num_items=met_UV.shape[1]), "test"
    )
    Fitting(model, rows, seed=0).fit()
    return model


def weights_of(model: Any) -> Matrix:
    """The scores by a history of one item, for each item: the weights of a linear model."""
    items_BL = torch.arange(1, model.catalog.num_items + 1)[:, None]
    sets_BLK = torch.tensor(TARGET, dtype=torch.uint8).expand(len(items_BL), 1, 4)
    batch = Batch(
        torch.ones(len(items_BL), dtype=torch.int64),
        items_BL,
        sets_BLK,
        torch.zeros_like(items_BL),
        sets_BLK,
    )
    return model.scores(batch)[:, 1:].double().numpy()


def without_diagonal(matrix: Matrix) -> Matrix:
    return matrix - np.diag(matrix.diagonal())


# EASE


@pytest.fixture(params=EASE["cases"], ids=lambda case: f"lambda {case['lambda']}")
def ease_case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def test_ease_equals_rectools_in_item_space(ease_case: dict[str, Any]):
    """B is RecTools', and x B are RecBole's scores; the row and column of padding are 0."""
    evidence_UV = padded(met_of(EASE))
    weights_VV = in_item_space(evidence_UV, evidence_UV, ease_case["lambda"])
    np.testing.assert_allclose(weights_VV[1:, 1:], ease_case["B"], atol=1e-10, rtol=0)
    np.testing.assert_allclose(
        (evidence_UV @ weights_VV)[:, 1:], ease_case["scores"], atol=1e-10, rtol=0
    )
    assert not np.count_nonzero(weights_VV[0])
    assert not np.count_nonzero(weights_VV[:, 0])


def test_ease_equals_rectools_in_user_space(ease_case: dict[str, Any]):
    """B, of histories of one item each, and x B come out of the matrix of users as well."""
    evidence_UV = padded(met_of(EASE))
    inverse_UU, own_V = in_user_space(evidence_UV, evidence_UV, ease_case["lambda"])
    for history_BV, theirs in (
        (np.eye(11)[1:], ease_case["B"]),
        (evidence_UV.toarray(), ease_case["scores"]),
    ):
        states_BU = history_BV @ evidence_UV.T @ inverse_UU
        scores_BV = states_BU @ (evidence_UV.toarray() * (1 + own_V)) - history_BV * own_V
        np.testing.assert_allclose(scores_BV[:, 1:], theirs, atol=1e-10, rtol=0)


@pytest.mark.parametrize("num_users", [8, 12], ids=["in user space", "in item space"])
def test_the_ease_model_equals_all_three(ease_case: dict[str, Any], num_users: int):
    """In float32, with or without users who met nothing, weights and scores are those of all three libraries."""
    met_UV = met_of(EASE)
    model = fitted("ease", met_UV, num_users, regularization=ease_case["lambda"])
    assert model.in_user_space == (num_users == 8)
    weights_VV = weights_of(model)
    for theirs in ("B", "B_lenskit_f32", "B_recbole_f32"):
        np.testing.assert_allclose(weights_VV, ease_case[theirs], atol=1e-5, rtol=0)
    for theirs in ("scores", "scores_lenskit_f32", "scores_recbole_f32"):
        np.testing.assert_allclose(met_UV @ weights_VV, ease_case[theirs], atol=1e-5, rtol=0)


# Item kNN


@pytest.mark.parametrize("case", ITEM_KNN["implicit"][:2], ids=lambda case: f"K {case['K']}")
def test_item_knn_equals_the_cosine_of_implicit(case: dict[str, Any]):
    """Similarities are implicit's cosines, of each history item the largest.

    An item is among its own neighbors there, with the cosine 1: it takes one of the K places, and adds 1 to the score
    of each item of the history.
    """
    assert case["weighting"] == "cosine"
    met_UV = met_of(ITEM_KNN)
    similarity_VV = weights_of(fitted("item_knn", met_UV, neighbors=case["K"] - 1, shrinkage=0.0))
    np.testing.assert_allclose(
        similarity_VV, without_diagonal(np.array(case["similarity"])), atol=1e-7, rtol=1e-6
    )
    np.testing.assert_allclose(
        met_UV @ similarity_VV + met_UV, numbers(case["scores"]), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(
    "case", [ITEM_KNN["lenskit"][0], ITEM_KNN["lenskit"][2]], ids=["whole", "save_nbrs 3"]
)
def test_item_knn_equals_lenskit(case: dict[str, Any]):
    """Similarities and scores are lenskit's with its cut at training, `save_nbrs`, which is one per history item too.

    Its other cut, `max_nbrs` of the history per item to score, is not ours; here it cuts nothing.
    """
    met_UV = met_of(ITEM_KNN)
    similarity_VV = weights_of(
        fitted("item_knn", met_UV, neighbors=case["save_nbrs"] or 20, shrinkage=0.0)
    )
    np.testing.assert_allclose(similarity_VV, case["similarity"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(met_UV @ similarity_VV, numbers(case["scores"]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "case", ITEM_KNN["recbole"][:2], ids=lambda case: f"shrink {case['shrink']}"
)
def test_item_knn_equals_recbole_without_a_cut(case: dict[str, Any]):
    """Similarities and scores are RecBole's with its shrinkage, to which it adds 1e-6.

    With a cut they are not: RecBole keeps the k most similar history items of each item to come (of each column), where
    ours, implicit and lenskit keep the most similar items to come of each history item.
    """
    assert case["k"] == met_of(ITEM_KNN).shape[1]
    met_UV = met_of(ITEM_KNN)
    similarity_VV = weights_of(
        fitted("item_knn", met_UV, neighbors=10, shrinkage=case["shrink"] + 1e-6)
    )
    np.testing.assert_allclose(similarity_VV, case["similarity"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(met_UV @ similarity_VV, case["scores"], atol=1e-6, rtol=0)


# iALS


def solved(confidence_UV: Tensor, regularization: float) -> tuple[Tensor, Tensor]:
    """Our states of all users from their factors of items, and the scores; where users met less, item 1 fills up."""
    vectors_VD = as_tensor(IALS["inputs"]["Y0_item_factors"])
    longest = int((confidence_UV > 0).sum(dim=1).max())
    confidence_UX, items_UX = confidence_UV.sort(dim=1, descending=True)
    confidence_UX, items_UX = confidence_UX[:, :longest], items_UX[:, :longest]
    assert (confidence_UX == 0).any()
    states_UD = solve_users(
        vectors_VD, torch.where(confidence_UX > 0, items_UX, 1), confidence_UX, regularization
    )
    return states_UD, states_UD @ vectors_VD.T


@pytest.mark.parametrize(
    "case", IALS["cases"], ids=lambda c: f"{c['matrix']} {c['alpha']} {c['regularization']}"
)
def test_users_of_ials_equal_implicit_s(case: dict[str, Any]):
    """From given factors of items, users and scores are implicit's half-step; its confidence is alpha times a value."""
    values_UV = as_tensor(IALS["inputs"]["user_item" if case["matrix"] == "binary" else "counts"])
    states_UD, scores_UV = solved(case["alpha"] * values_UV, case["regularization"])
    torch.testing.assert_close(
        states_UD, as_tensor(case["user_factors_from_Y0"]), atol=1e-9, rtol=0
    )
    torch.testing.assert_close(scores_UV, as_tensor(case["scores"]), atol=1e-9, rtol=0)


@pytest.mark.parametrize("case", IALS["lenskit"], ids=lambda case: f"weight {case['weight']}")
def test_users_of_ials_equal_lenskit_s(case: dict[str, Any]):
    """From given factors of items, users are lenskit's; its confidence is ours, 1 + weight where an item was met."""
    assert case["matrix"] == "binary"
    met_UV = as_tensor(IALS["inputs"]["user_item"])
    states_UD, _ = solved(met_UV * (1 + case["weight"]), case["regularization"])
    torch.testing.assert_close(
        states_UD, as_tensor(case["user_factors_from_Y0"]), atol=1e-9, rtol=0
    )
