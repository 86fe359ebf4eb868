"""DyMuS and DyMuS+ against their public code."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blade_tune.batch import Batch, Catalog
from blade_tune.models import MODELS
from blade_tune.models.dymus import RoutedRecommender
from blade_tune.registry import load
from tests.parity.weights import Weights, as_tensor, assert_same, fixture

BEHAVIORS = ("purchase", "cart", "fav", "click")  # in the order of the fixtures' weights
ROUNDS = [2, 3]


def batch_of(theirs: dict[str, Any]) -> Batch:
    """Theirs has a sequence a behavior; one of all of them, in any order that keeps each, is the same to them."""
    rows = []
    for user in range(2):
        rows.append([(item, k) for k, name in enumerate(BEHAVIORS) for item in theirs["inputs"][name][user] if item])
    L = max(map(len, rows))
    items_BL, sets_BLK = torch.zeros(2, L, dtype=torch.int64), torch.zeros(2, L, 4, dtype=torch.uint8)
    for user, row in enumerate(rows):
        for step, (item, k) in enumerate(row, start=L - len(row)):
            items_BL[user, step], sets_BLK[user, step, k] = item, 1
    return Batch(torch.arange(1, 3), items_BL, sets_BLK, torch.zeros_like(items_BL), torch.zeros_like(sets_BLK))


def model_of(name: str, theirs: dict[str, Any], **settings: Any) -> RoutedRecommender:
    """In the public code's setting, which pads the sequence of each behavior by itself; of a width below our least."""
    config, model_class = theirs["config"], load(MODELS, "model", name)
    ours = model_class.Config(**{"mask_pad": False, "routing_rounds": config["r"], **settings})
    ours = ours.model_copy(update={"embedding_size": config["embedding_dim"], "capsule_size": config["capsule_length"]})
    counts_K = np.ones(4, np.int64)
    model = model_class(ours, Catalog(2, config["num_items"], BEHAVIORS, 3, counts_K, np.diag(counts_K)))
    model.padded_to = None if ours.mask_pad else config["len"]
    model.double().eval().load_state_dict((from_dymus if name == "dymus" else from_dymus_plus)(theirs["params"]))
    return model


def routing(params: dict[str, Any]) -> Weights:
    names = {"scale": "alpha", "weight_C": "w", "bias_C": "bias", "response_CFX": "W_coef"}
    weights = {f"routing.{our_name}": as_tensor(params[name]) for our_name, name in names.items()}
    return weights | {"items.weight": as_tensor(params["item_embedding.weight"])}


def from_dymus(params: dict[str, Any]) -> Weights:
    """torch's GRU has the rows of z negated."""
    weights = routing(params) | {"votes_HKF": as_tensor(params["W"]).flatten(2)}
    for k, name in enumerate(BEHAVIORS):
        for our_name, their_name in {"ih": "Wi", "hh": "Wh"}.items():
            for kind in ("weight", "bias"):
                reset, update, new = as_tensor(params[f"{name}_gru.gru_cell.{their_name}.{kind}"]).chunk(3)
                weights[f"recurrence.grus.{k}.{kind}_{our_name}_l0"] = torch.cat((reset, -update, new))
    return weights


def from_dymus_plus(params: dict[str, Any]) -> Weights:
    """Labels and classes are one axis of ours, the first of their matrices of inputs comes before that of classes."""
    cell = {name: as_tensor(params[f"beh_gru.gru_cell.{name}"]) for name in ("Wi", "Wh", "Wc", "Bx", "Bh", "Bc")}
    ours = {
        "input_weight_KDF": cell["Wi"].flatten(2),
        "state_weight_GXF": cell["Wh"].flatten(0, 1),
        "context_weight_GXF": cell["Wc"].flatten(0, 1),
        "input_bias_G1F": cell["Bx"].flatten(0, 1)[:, None],
        "state_bias_G1F": cell["Bh"].flatten(0, 1)[:, None],
        "context_bias_G1F": cell["Bc"].flatten(0, 1)[:, None],
    }
    weights = {f"recurrence.{name}": weight for name, weight in ours.items()}
    return routing(params) | weights | {"votes_HXKC": as_tensor(params["W"])}


def scores(model: RoutedRecommender, batch: Batch) -> Tensor:
    return model.final_states(batch) @ model.item_vectors().T


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize(("name", "file"), [("dymus", "dymus_base"), ("dymus_plus", "dymus_plus")])
def test_scores_equal_the_public_code_s(name: str, file: str, rounds: int):
    """With recurrences over padding, scores of all items and of padding are theirs, after 2 rounds and after 3."""
    theirs = fixture(f"{file}_r{rounds}")
    assert_same(scores(model_of(name, theirs), batch_of(theirs)), theirs["outputs"]["scores"])


@pytest.mark.parametrize(("name", "file"), [("dymus", "dymus_base"), ("dymus_plus", "dymus_plus")])
def test_padding_takes_part_only_in_parity(name: str, file: str):
    """By default the same weights give other scores, which no padding of items moves."""
    theirs = fixture(f"{file}_r2")
    batch, model = batch_of(theirs), model_of(name, theirs, mask_pad=True)
    assert not torch.allclose(scores(model, batch), as_tensor(theirs["outputs"]["scores"]), atol=1e-3)
    pad = torch.nn.functional.pad
    longer = replace(
        batch,
        items_BL=pad(batch.items_BL, (3, 0)),
        sets_BLK=pad(batch.sets_BLK, (0, 0, 3, 0)),
        target_items_BL=pad(batch.target_items_BL, (3, 0)),
        target_sets_BLK=pad(batch.target_sets_BLK, (0, 0, 3, 0)),
    )
    torch.testing.assert_close(scores(model, longer), scores(model, batch), atol=1e-12, rtol=0)
