"""EIDP against its public code."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.models.eidp.model import Eidp, hamming
from blade_tune.models.eidp.prob_sparse import ProbSparseAttention
from blade_tune.models.settings.eidp import EidpConfig
from tests.parity.weights import Weights, as_tensor, assert_same, fixture, renamed

ATTENTION = {
    "query": "Q",
    "key": "K",
    "value": "V",
    "output": "FCL",
    "query_norm": "Q_layer_norm",
    "norm": "final_layer_norm",
}


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    return fixture("eidp_forward")


def feed_forward(ours: str, theirs: str, norm: str) -> dict[str, str]:
    return {
        f"{ours}.feed_forward.expand": f"{theirs}.conv1",
        f"{ours}.feed_forward.contract": f"{theirs}.conv2",
        f"{ours}.norm": norm,
    }


def from_eidp(theirs: dict[str, Any]) -> Weights:
    """Their table of behaviors has an unused row 0; their encoders' layers hold one feed-forward network."""
    config, params = theirs["config"], theirs["params"]
    names = {"items": "item_emb", "positions": "pos_emb", "sets.user_factors": "user_factors"}
    names |= {
        "explicit_output": "pbs_tpe.dcba.FCL",
        "explicit_norm": "pbs_tpe.dcba.final_layer_norm",
    }
    for ours, suffix in {"item_attention": "ib", "position_attention": "pb"}.items():
        names |= {
            f"{ours}.{our_name}": f"pbs_tpe.dcba.{ATTENTION[our_name]}_{suffix}"
            for our_name in ("query", "key", "value")
        }
        names[f"{ours}.query_norm"] = f"pbs_tpe.dcba.Q_{suffix}_layer_norm"
    names |= feed_forward("explicit_feed_forward", "pbs_tpe.ffn", "pbs_tpe.layer_norm")
    for k in range(config["behavior_types"]):
        encoder = f"BehaSpec_Encoder.{k}.L_MSAB"
        names |= feed_forward(
            f"encoders.{k}.feed_forward", f"{encoder}.LMSAL.0.ffn", f"{encoder}.last_layernorm"
        )
        for layer in range(config["lmsals"]):
            theirs_at = f"{encoder}.LMSAL.{layer}.psa_layer"
            names |= {
                f"encoders.{k}.attentions.{layer}.{o}": f"{theirs_at}.{t}"
                for o, t in ATTENTION.items()
            }
    views = {
        "query": "query_weight",
        "key": "key_weight",
        "value": "value_weight",
        "output": "dense",
        "norm": "layernorm",
    }
    names |= {f"view_attention.{ours}": f"cbaf.cba.{name}" for ours, name in views.items()}
    names |= feed_forward("view_feed_forward", "cbaf.ffn", "cbaf.layernorm")
    weights = renamed(params, names)
    weights["sets.behaviors.weight"] = as_tensor(params["behavior_emb.weight"])[1:]
    return weights | {"distances.weight": as_tensor(theirs["user_bt_transition"])}


def model_of(theirs: dict[str, Any], **settings: Any) -> Eidp:
    config = theirs["config"]
    size = {"embedding_size": config["hidden_dims"], "max_length": config["maxlen"]}
    size |= {
        "num_blocks": config["lmsals"],
        "num_heads": config["lmsal_heads"],
        "sampling_factor": config["alpha"],
    }
    counts_K = np.ones(config["behavior_types"], np.int64)
    behaviors = ("click", "like", "share", "follow")
    catalog = Catalog(
        config["user_num"], config["item_num"], behaviors, (0,), counts_K, np.diag(counts_K)
    )
    model = Eidp(EidpConfig(**size, **settings), catalog).double().eval()
    model.load_state_dict(from_eidp(theirs))
    return model


@pytest.fixture
def batch(theirs: dict[str, Any]) -> Batch:
    inputs = {name: torch.tensor(values) for name, values in theirs["inputs"].items()}
    items_BL = inputs["input_item"]
    sets = (inputs[name].to(torch.uint8) for name in ("input_bs", "target_bs"))
    sets_BLK, target_sets_BLK = sets
    return Batch(inputs["u"], items_BL, sets_BLK, torch.zeros_like(items_BL), target_sets_BLK)


def test_states_equal_the_public_code_s(theirs: dict[str, Any], batch: Batch):
    """In the public code's setting both paths and their mean are its own, at real steps."""
    model, real_BL = model_of(theirs, prob_exact=False), batch.real_BL
    assert_same(model.encode(batch)[real_BL], as_tensor(theirs["outputs"]["X"])[real_BL].tolist())
    items_BLD = model.items(batch.items_BL) * 8**0.5
    weights_BLK = model.sets.weights(batch.users_B, batch.sets_BLK)
    explicit_BLD = model.explicit(batch, items_BLD, model.positions.weight, weights_BLK, 6)
    implicit_BLD = model.implicit(batch, items_BLD + model.positions.weight, weights_BLK, 6)
    assert_same(explicit_BLD[real_BL], as_tensor(theirs["outputs"]["X_emp"])[real_BL].tolist())
    assert_same(implicit_BLD, theirs["outputs"]["X_imp"])


def test_distances_equal_the_public_code_s(theirs: dict[str, Any], batch: Batch):
    """How many behaviors two sets differ by, as one product, is what their loop over samples counts."""
    assert hamming(batch.sets_BLK, 6).tolist() == theirs["intermediate"]["hamming"]


def test_without_padding_all_queries_are_the_exact_attention(theirs: dict[str, Any], batch: Batch):
    """The default differs from the public code by padding and by queries left out, and by nothing else."""
    whole = batch.rows(torch.tensor([2]))
    assert whole.real_BL.all()
    published, exact = model_of(theirs, prob_exact=False), model_of(theirs)
    torch.testing.assert_close(exact.encode(whole), published.encode(whole), atol=1e-12, rtol=0)
    assert not torch.allclose(exact.final_states(batch)[:2], published.final_states(batch)[:2])


def test_sparse_attention_equals_the_public_code_s():
    """With their draw of keys, the same queries are computed, and the others get the same means."""
    theirs = fixture("eidp_probsparse")
    config, inputs = theirs["config"], theirs["inputs"]

    class Drawn(ProbSparseAttention):
        def draw_keys(self, length: int, count: int) -> Tensor:
            places_LS = torch.tensor(inputs["index_sample"])
            assert places_LS.shape == (length, count)
            return places_LS

    attention = (
        Drawn(config["hidden_dims"], config["lmsal_heads"], 0.0, 1e-8, config["alpha"])
        .double()
        .eval()
    )
    attention.load_state_dict(renamed(theirs["params"], ATTENTION))
    real_BL = torch.tensor(inputs["padding_mask"]) > 0
    assert_same(attention(as_tensor(inputs["x"]), real_BL), theirs["outputs"]["y"])
