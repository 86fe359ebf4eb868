"""EASE, PureSVD and iALS: scores solve their equations, in whatever space and however many at once."""

import re

import numpy as np
import pytest
import torch

from blade_tune.models import MODELS, config_class, ease, ials
from blade_tune.models.ease import in_item_space, in_user_space
from blade_tune.models.settings.classical import LARGEST, EaseConfig
from tests.models import twin_classical as twin
from tests.models.classical import (
    EVIDENCE,
    TALL,
    WIDE,
    assert_linear,
    assert_scores,
    batch_of,
    fitted,
    rows_of,
    unfitted,
)
from tests.models.twin_classical import draw_users, windows_of


@pytest.mark.parametrize("catalog", [TALL, WIDE], ids=["in item space", "in user space"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"regularization": 0.5},
        {**EVIDENCE[1], "regularization": 3.0, "target_auxiliary_weight": 0.5},
        EVIDENCE[2],
    ],
    ids=str,
)
def test_ease_equals_its_twin(settings, catalog):
    """Scores are the history times the ridge regression of each item on all others, in either space."""
    model = fitted("ease", catalog, **settings)
    assert model.in_user_space == (catalog is WIDE)
    assert_linear(model, catalog, twin.ease_weights(draw_users(catalog), catalog, model.config))


@pytest.mark.parametrize("regularization", [0.5, 100.0])
@pytest.mark.parametrize("catalog", [TALL, WIDE], ids=["tall", "wide"])
def test_ease_is_one_model_in_two_spaces(catalog, regularization, monkeypatch):
    """x B of the item space is z (T + A diag(h)) - x diag(h) of the user space, for any history."""
    monkeypatch.setattr(ease, "COLUMNS_AT_ONCE", 4)
    model = unfitted("ease", catalog, **EVIDENCE[1])
    evidence_UV, targets_UV = (
        model.evidence(rows_of(catalog)),
        model.evidence(rows_of(catalog), 0.2),
    )
    weights_VV = in_item_space(evidence_UV, targets_UV, regularization)
    inverse_UU, own_V = in_user_space(evidence_UV, targets_UV, regularization)
    history_BV = np.random.default_rng(1).random((5, catalog.num_items + 1))
    evidence, targets = evidence_UV.toarray(), targets_UV.toarray()
    scores_BV = (
        history_BV @ evidence.T @ inverse_UU @ (targets + evidence * own_V) - history_BV * own_V
    )
    np.testing.assert_allclose(scores_BV, history_BV @ weights_VV, atol=1e-12)
    assert np.abs(weights_VV.diagonal()).max() < 1e-15


def test_ease_says_when_data_are_too_large():
    """Only where users and items are both too many there is a hindrance: one line that names models without one."""
    assert [
        EaseConfig.too_large(*size) for size in ((LARGEST, 10**7), (10**7, LARGEST), (5, 5))
    ] == [""] * 3
    hindrance = EaseConfig.too_large(10**7, LARGEST + 1)
    assert re.search(rf"{LARGEST + 1:,}.*{LARGEST:,}", hindrance)
    assert "\n" not in hindrance
    named = [name for name in MODELS if name != "ease" and re.search(rf"\b{name}\b", hindrance)]
    assert len(named) > 1
    assert [config_class(name).too_large(10**7, LARGEST + 1) for name in named] == [""] * len(named)


@pytest.mark.parametrize("catalog", [TALL, WIDE], ids=["tall", "wide"])
@pytest.mark.parametrize("settings", [{"factors": 1}, {**EVIDENCE[1], "factors": 4}], ids=str)
def test_pure_svd_equals_its_twin(settings, catalog):
    """Scores are the history projected on the largest right singular vectors of a dense decomposition."""
    model = fitted("pure_svd", catalog, **settings)
    projection = twin.pure_svd_projection(
        draw_users(catalog), catalog, model.config, model.config.factors
    )
    assert_linear(model, catalog, projection)


IALS = [
    {},
    {**EVIDENCE[1], "alpha": 3.0, "regularization": 0.5},
    {"alpha": 0.0, "regularization": 0.5, "factors": 1},
]


@pytest.mark.parametrize("settings", IALS, ids=str)
def test_users_of_ials_equal_their_twin(settings):
    """The state of a user solves her normal equations, and scores are its products with the vectors of items."""
    model, batch = fitted("ials", **settings), batch_of(TALL)
    vectors = model.vectors.tolist()
    assert not any(vectors[0])  # padding
    histories = [twin.history(window, TALL, model.config) for window in windows_of(batch)]
    states = [twin.ials_vector(x, vectors, model.config) for x in histories]
    torch.testing.assert_close(
        model.final_states(batch), torch.tensor(states), atol=1e-5, rtol=1e-5
    )
    assert_scores(
        model, batch, [[sum(map(float.__mul__, x, y)) for y in vectors[1:]] for x in states]
    )


@pytest.mark.parametrize("settings", IALS[1:], ids=str)
def test_items_of_ials_solve_their_own_equations(settings):
    """After many iterations the vector of every item is what the vectors of all users, solved for exactly, ask for."""
    model = fitted("ials", **settings, iterations=100)
    vectors = model.vectors.tolist()
    met = [
        twin.evidence(user, TALL, model.config, model.config.auxiliary_weight)
        for user in draw_users(TALL)
    ]
    users = [twin.ials_vector(x, vectors, model.config) for x in met]
    for item in twin.items_of(TALL):
        x = {u: of_user[item] for u, of_user in enumerate(met) if item in of_user}
        assert vectors[item] == pytest.approx(twin.ials_vector(x, users, model.config), abs=1e-4)


@pytest.mark.parametrize("at_once", [1, 40])
def test_users_of_ials_are_solved_for_one_by_one(at_once, monkeypatch):
    """The state of a user is the same alone as beside users with longer histories, however many are solved at once."""
    model, batch = fitted("ials"), batch_of(TALL)
    together = model.final_states(batch)
    torch.testing.assert_close(
        torch.cat([model.final_states(one) for one in batch.split(1)]), together
    )
    monkeypatch.setattr(ials, "STEPS_AT_ONCE", at_once)
    torch.testing.assert_close(model.final_states(batch), together)
