"""SASRec against pmixer's code, the shared transformer block against RecBole's."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.batch import Batch
from blade_tune.kernels.softmax_loss import softmax_loss
from blade_tune.layers.attention import MultiHeadAttention, causal_mask
from blade_tune.layers.feed_forward import FeedForward
from blade_tune.layers.transformer import TransformerBlock
from blade_tune.models.sasrec import SasRec
from blade_tune.models.settings.sasrec import SasRecConfig
from tests.builders import make_catalog
from tests.parity.weights import (
    Weights,
    as_tensor,
    assert_same,
    fixture,
    from_torch_attention,
    renamed,
)


@pytest.fixture(params=["pre", "post"])
def pmixer(request: pytest.FixtureRequest) -> dict[str, Any]:
    return fixture(f"pmixer_sasrec_{request.param}ln")


def from_pmixer(params: dict[str, Any], num_blocks: int) -> Weights:
    """Theirs has a position for padding, zero; a norm of each sub-layer stands in a list of its own."""
    names = {"items": "item_emb", "final_norm": "last_layernorm"}
    weights: Weights = {"positions.weight": as_tensor(params["pos_emb.weight"])[1:]}
    for i in range(num_blocks):
        names |= {
            f"blocks.{i}.attention_norm": f"attention_layernorms.{i}",
            f"blocks.{i}.feed_forward_norm": f"forward_layernorms.{i}",
            f"blocks.{i}.feed_forward.expand": f"forward_layers.{i}.conv1",
            f"blocks.{i}.feed_forward.contract": f"forward_layers.{i}.conv2",
        }
        prefix = f"attention_layers.{i}."
        theirs = {
            name.removeprefix(prefix): value
            for name, value in params.items()
            if name.startswith(prefix)
        }
        weights |= {
            f"blocks.{i}.attention.{name}": value
            for name, value in from_torch_attention(theirs).items()
        }
    return weights | renamed(params, names)


@pytest.fixture
def model(pmixer: dict[str, Any]) -> SasRec:
    theirs = pmixer["config"]
    config = SasRecConfig(
        embedding_size=theirs["hidden_units"],
        max_length=theirs["maxlen"],
        num_blocks=theirs["num_blocks"],
        num_heads=theirs["num_heads"],
        norm="pre" if theirs["norm_first"] else "post",
        key_padding=False,
        dropout=0.0,
    )
    model = SasRec(config, make_catalog(num_items=15)).double().eval()
    model.load_state_dict(from_pmixer(pmixer["params"], theirs["num_blocks"]))
    return model


@pytest.fixture
def batch(pmixer: dict[str, Any]) -> Batch:
    items_BL, targets_BL, negatives_BL = (
        torch.tensor(pmixer["inputs"][name]) for name in ("seq", "pos", "neg")
    )
    sets_BLK = torch.zeros(*items_BL.shape, 4, dtype=torch.uint8)
    return Batch(torch.arange(1, 4), items_BL, sets_BLK, targets_BL, sets_BLK, negatives_BL)


def test_states_and_scores_equal_pmixer_s(pmixer: dict[str, Any], model: SasRec, batch: Batch):
    """With attention on padding, every state and every score of an item is pmixer's, norms before or after."""
    assert_same(model.encode(batch), pmixer["outputs"]["feats"])
    scores_BV = model.final_states(batch) @ model.item_vectors().T
    assert_same(scores_BV[:, 1:], pmixer["outputs"]["scores_items_1_15"])


def test_loss_equals_pmixer_s(pmixer: dict[str, Any], model: SasRec, batch: Batch):
    """The mean binary cross-entropy of all real steps is pmixer's loss."""
    assert model.losses(batch)["next"].item() == pytest.approx(pmixer["outputs"]["loss"], abs=1e-8)


def test_padding_takes_part_only_in_parity(model: SasRec, batch: Batch):
    """With padding kept out, the default, the user with a whole window keeps her state, the others do not."""
    config = model.config.model_copy(update={"key_padding": True})
    ours = SasRec(config, model.catalog).double().eval()
    ours.load_state_dict(model.state_dict())
    same_B = torch.isclose(ours.final_states(batch), model.final_states(batch)).all(dim=1)
    assert same_B.tolist() == [False, True, False]


@pytest.fixture
def recbole() -> dict[str, Any]:
    return fixture("recbole_sasrec")


def from_recbole(params: dict[str, Any], layer: int) -> Weights:
    attention = {"query": "query", "key": "key", "value": "value", "output": "dense"}
    theirs = f"trm_encoder.layer.{layer}"
    names = {
        f"attention.{our_name}": f"{theirs}.multi_head_attention.{name}"
        for our_name, name in attention.items()
    }
    names |= {"attention_norm": f"{theirs}.multi_head_attention.LayerNorm"}
    names |= {
        f"feed_forward.{our_name}": f"{theirs}.feed_forward.dense_{i}"
        for i, our_name in [(1, "expand"), (2, "contract")]
    }
    return renamed(params, names | {"feed_forward_norm": f"{theirs}.feed_forward.LayerNorm"})


def encoded(recbole: dict[str, Any]) -> tuple[list[Tensor], Tensor]:
    """Items, padded on the right, through an input norm and the blocks that `blade` and `cl4srec` have."""
    theirs, params = recbole["config"], recbole["params"]
    items_BL = torch.tensor(recbole["inputs"]["item_seq"])
    norm = nn.LayerNorm(theirs["hidden_size"], theirs["layer_norm_eps"]).double()
    norm.load_state_dict(renamed(params, {"norm": "LayerNorm"}), strict=False)
    states_BLD = norm(
        as_tensor(params["item_embedding.weight"])[items_BL]
        + as_tensor(params["position_embedding.weight"])
    )
    mask_B1LL, layers = causal_mask(items_BL > 0, torch.float64), []
    for layer in range(theirs["n_layers"]):
        block = TransformerBlock(
            MultiHeadAttention(theirs["hidden_size"], theirs["n_heads"], 0.0),
            FeedForward(theirs["hidden_size"], theirs["inner_size"], functional.gelu),
            0.0,
            theirs["layer_norm_eps"],
        ).double()
        block.load_state_dict(from_recbole(params, layer))
        states_BLD = block(states_BLD, mask_B1LL)
        layers.append(states_BLD)
    return layers, items_BL > 0


def test_blocks_equal_recbole_s(recbole: dict[str, Any]):
    """Post-norm blocks with gelu give RecBole's states after each layer, at real steps."""
    layers, real_BL = encoded(recbole)
    for number, states_BLD in enumerate(layers, start=1):
        assert_same(
            states_BLD[real_BL], as_tensor(recbole["outputs"][f"layer{number}"])[real_BL].tolist()
        )


def test_softmax_loss_equals_recbole_s(recbole: dict[str, Any]):
    """The mean cross-entropy over all rows of the table, theirs with padding among them, is RecBole's loss."""
    layers, real_BL = encoded(recbole)
    states_BD = layers[-1][torch.arange(3), real_BL.sum(dim=1) - 1]
    vectors_VD = as_tensor(recbole["params"]["item_embedding.weight"])
    assert_same(states_BD @ vectors_VD.T, recbole["outputs"]["scores"])
    loss = softmax_loss(
        states_BD,
        vectors_VD,
        torch.tensor(recbole["inputs"]["pos"]),
        torch.full((3,), 1 / 3, dtype=torch.float64),
    )
    assert loss.item() == pytest.approx(recbole["outputs"]["ce_loss"], abs=1e-8)
