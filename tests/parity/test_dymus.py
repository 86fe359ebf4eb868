"""DyMuS and DyMuS+ against their public code."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.models import MODELS
from blade_tune.models.dymus.model import RoutedRecommender
from blade_tune.registry import load
from tests.parity.weights import Weights, as_tensor, assert_same, fixture

BEHAVIORS = ("purchase", "cart", "fav", "click")  # in the order of the fixtures' weights
ROUNDS = [2, 3]


def batch_of(theirs: dict[str, Any]) -> Batch:
    """Theirs has a sequence a behavior; one of all of them, in any order that keeps each, is the same to them."""
    rows = []
    for user in range(2):
        rows.append(
            [
                (item, k)
                for k, name in enumerate(BEHAVIORS)
                for item in theirs["inputs"][name][user]
                if item
            ]
        )
    L = max(map(len, rows))
    items_BL, sets_BLK = (
        torch.zeros(2, L, dtype=torch.int64),
        torch.zeros(2, L, 4, dtype=torch.uint8),
    )
    for user, row in enumerate(rows):
        for step, (item, k) in enumerate(row, start=L - len(row)):
            items_BL[user, step], sets_BLK[user, step, k] = item, 1
    return Batch(
        torch.arange(1, 3),
        items_BL,
        sets_BLK,
        torch.zeros_like(items_BL),
        torch.zeros_like(sets_BLK),
    )


def model_of(name: str, theirs: dict[str, Any], **settings: Any) -> RoutedRecommender:
    """In the public code's setting, which pads the sequence of each behavior by itself; of a width below our least."""
    config, model_class = theirs["config"], load(MODELS, "model", name)
    ours = model_class.Config(**{"mask_pad": False, "routing_rounds": config["r"], **settings})
    ours = ours.model_copy(
        update={"embedding_size": config["embedding_dim"], "capsule_size": config["capsule_length"]}
    )
    counts_K = np.ones(4, np.int64)
    model = model_class(
        ours, Catalog(2, config["num_items"], BEHAVIORS, (3,), counts_K, np.diag(counts_K))
    )
    model.padded_to = None if ours.mask_pad else config["len"]
    model.double().eval().load_state_dict(
        (from_dymus if name == "dymus" else from_dymus_plus)(theirs["params"])
    )
    return model


def routing(params: dict[str, Any]) -> Weights:
    """Theirs has one matrix for both parts of an answer."""
    item, capsule = as_tensor(params["W_coef"]).split(
        [len(params["w"]), len(params["W_coef"][0][0])], dim=1
    )
    names = {
        "routing.length_weight_C": "w",
        "routing.length_bias_C": "bias",
        "items.weight": "item_embedding.weight",
    }
    weights = {our_name: as_tensor(params[name]) for our_name, name in names.items()}
    answers = {"routing.item_answer_CDX": item, "routing.capsule_answer_CXX": capsule}
    return weights | answers | {"routing.scale": as_tensor(params["alpha"])[0]}


def from_dymus(params: dict[str, Any]) -> Weights:
    """torch's GRU has the rows of z negated."""
    weights = routing(params) | {"routing.weight": as_tensor(params["W"]).transpose(0, 1)}
    for k, name in enumerate(BEHAVIORS):
        for our_name, their_name in {"ih": "Wi", "hh": "Wh"}.items():
            for kind in ("weight", "bias"):
                reset, update, new = as_tensor(
                    params[f"{name}_gru.gru_cell.{their_name}.{kind}"]
                ).chunk(3)
                weights[f"recurrence.grus.{k}.{kind}_{our_name}_l0"] = torch.cat(
                    (reset, -update, new)
                )
    return weights


def from_dymus_plus(params: dict[str, Any]) -> Weights:
    """Theirs holds the weights of all behaviors in one tensor each."""
    names = {
        "input_weight_DCY": "Wi",
        "input_bias_CY": "Bx",
        "context_weight_CXY": "Wc",
        "context_bias_CY": "Bc",
        "hidden_weight_CXY": "Wh",
        "hidden_bias_CY": "Bh",
    }
    weights = {
        f"recurrences.{k}.{our_name}": as_tensor(params[f"beh_gru.gru_cell.{name}"])[k]
        for k in range(len(BEHAVIORS))
        for our_name, name in names.items()
    }
    return routing(params) | weights | {"routing.weight": as_tensor(params["W"])}


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
    assert not torch.allclose(
        scores(model, batch), as_tensor(theirs["outputs"]["scores"]), atol=1e-3
    )
    pad = torch.nn.functional.pad
    longer = replace(
        batch,
        items_BL=pad(batch.items_BL, (3, 0)),
        sets_BLK=pad(batch.sets_BLK, (0, 0, 3, 0)),
        target_items_BL=pad(batch.target_items_BL, (3, 0)),
        target_sets_BLK=pad(batch.target_sets_BLK, (0, 0, 3, 0)),
    )
    torch.testing.assert_close(scores(model, longer), scores(model, batch), atol=1e-12, rtol=0)
