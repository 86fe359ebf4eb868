"""MBHT against yuh-yang/MBHT-KDD22, whose numbers are float32."""

from typing import Any

import pytest
import torch
from torch import Tensor

from blade_tune.augment.cloze import ask
from blade_tune.batch import Batch
from blade_tune.models.mbht.hypergraph import propagation
from blade_tune.models.mbht.model import Mbht
from blade_tune.models.settings.mbht import MbhtConfig
from tests.builders import make_catalog
from tests.parity.weights import Weights, as_tensor, fixture, renamed

FLOAT32 = {"atol": 2e-5, "rtol": 0}
LENGTHS = (6, 12, 3)  # slots of each sequence, the hidden one included


@pytest.fixture
def theirs() -> dict[str, Any]:
    return fixture("mbht_forward")


def from_mbht(params: dict[str, Any], num_blocks: int, num_behaviors: int) -> Weights:
    """Theirs has parameters that nothing uses: of its hypergraph, an output layer and behavior embeddings.

    Its mixtures "E" and "F" are of keys and values, matrices without a module have one row an input, and of two
    vectors of the metric only the mean counts.
    """
    names = {
        "items": "item_embedding",
        "positions": "position_embedding",
        "input_norm": "LayerNorm",
    }
    for i in range(num_blocks):
        ours, layer = f"blocks.{i}", f"trm_encoder.layer.{i}"
        low_rank = {
            "query": "W_Q",
            "key": "W_K",
            "value": "W_V",
            "output": "dense",
            "mix_keys": "F",
            "mix_values": "E",
        }
        plain = {"query": "query", "key": "key", "value": "value", "output": "dense"}
        for our_name, name, parts in (
            ("fine", "attention1", low_rank),
            ("coarse", "attention2", plain),
        ):
            prefix = f"{layer}.multi_head_attention.{name}"
            names |= {
                f"{ours}.attention.{our_name}.{part}": f"{prefix}.{other}"
                for part, other in parts.items()
            }
            names[f"{ours}.attention.{our_name}_norm"] = f"{prefix}.LayerNorm"
        names |= {
            f"{ours}.attention.mix": f"{layer}.multi_head_attention.out_fc",
            f"{ours}.feed_forward.expand": f"{layer}.feed_forward.dense_1",
            f"{ours}.feed_forward.contract": f"{layer}.feed_forward.dense_2",
            f"{ours}.feed_forward_norm": f"{layer}.feed_forward.LayerNorm",
        }
    weights = renamed(params, names)
    weights["behaviors.weight"] = as_tensor(params["type_embedding.weight"])[: num_behaviors + 1]
    weights["metric.weight_D"] = (
        (as_tensor(params["metric_w1"]) + as_tensor(params["metric_w2"])) / 2
    )[0]
    weights |= {
        "gate.weight": as_tensor(params["gating_weight"]).T,
        "gate.bias": as_tensor(params["gating_bias"])[0],
    }
    for ours, layer in (("first", "hgc1"), ("second", "hgc2")):
        weights[f"hypergraph.{ours}.weight"] = as_tensor(params[f"hgnn_layer.{layer}.weight"]).T
        weights[f"hypergraph.{ours}.bias"] = as_tensor(params[f"hgnn_layer.{layer}.bias"])
    weights["join.project.weight"] = as_tensor(params["attn_weights"]).T
    return weights | {"join.score.weight": as_tensor(params["attn"])}


@pytest.fixture
def model(theirs: dict[str, Any]) -> Mbht:
    """Where the floor makes a tie, theirs takes any: in sequence 0, the item of slots 1 and 4 as similar to slot 3."""
    settings = theirs["config"]
    config = MbhtConfig(
        embedding_size=settings["hidden_size"],
        max_length=settings["max_seq_length"] + 1,
        num_blocks=settings["n_layers"],
        num_heads=settings["n_heads"],
        ffn_multiple=settings["inner_size"] // settings["hidden_size"],
        scales="-".join(map(str, settings["scales"])),
        hyper_len=settings["hyper_len"],
        as_published=True,
    )
    model = Mbht(config, make_catalog(num_items=settings["n_items"] - 1)).double()
    model.load_state_dict(from_mbht(theirs["params"], settings["n_layers"], 4))

    def break_tie(_: Any, __: Any, similarity_BLL: Tensor) -> Tensor:
        nudge_BLL = torch.zeros_like(similarity_BLL)
        nudge_BLL[0, 3, [1, 4]] = 0.01
        return similarity_BLL + nudge_BLL

    model.metric.register_forward_hook(break_tie)
    return model.eval()


@pytest.fixture
def batch(theirs: dict[str, Any]) -> Batch:
    """Sets of the one behavior that each type names; windows stand at their end."""
    items_BL, types_BL = (
        torch.stack(
            [torch.tensor(row).roll(12 - length) for row, length in zip(rows, LENGTHS, strict=True)]
        )
        for rows in (theirs["inputs"]["item_seq"], theirs["inputs"]["type_seq"])
    )
    sets_BLK = torch.nn.functional.one_hot(types_BL, 5)[..., 1:].to(torch.uint8)
    return Batch(torch.arange(1, 4), items_BL, sets_BLK, torch.zeros_like(items_BL), sets_BLK)


def real(theirs: dict[str, Any]) -> Tensor:
    return torch.tensor(theirs["intermediate"]["item_seq_masked"]) > 0


def outputs_of(module: torch.nn.Module, model: Mbht, batch: Batch) -> Tensor:
    """What a part of the model gives while it fills."""
    given: list[Tensor] = []
    with module.register_forward_hook(lambda _, __, output: given.append(output)):
        model.fill(ask(batch, model.max_length, model.items.mask_item))
    return given[0]


@pytest.mark.parametrize("number", [1, 2])
def test_blocks_equal_mbht_s(theirs: dict[str, Any], model: Mbht, batch: Batch, number: int):
    """Each multi-scale block gives the public code's states of every slot, padding too."""
    states_BLD = outputs_of(model.blocks[number - 1], model, batch)
    torch.testing.assert_close(
        states_BLD, as_tensor(theirs["intermediate"][f"trm_layer{number}"]), **FLOAT32
    )


def test_hypergraph_equals_mbht_s(theirs: dict[str, Any], model: Mbht, batch: Batch):
    """Similarities, from the floor on, and G are the public code's."""
    similarity_BLL = outputs_of(model.metric, model, batch)
    floored_BLL = similarity_BLL.masked_fill(similarity_BLL < 0, 0.01)
    torch.testing.assert_close(
        floored_BLL, as_tensor(theirs["intermediate"]["item_sim"]), **FLOAT32
    )
    items_BL = torch.tensor(theirs["intermediate"]["item_seq_masked"])
    known_BL = real(theirs) & (items_BL != model.items.mask_item)
    G_BLL = propagation(similarity_BLL, items_BL, known_BL, model.config.hyper_len)
    blocks = [G_BLL[row, :length, :length] for row, length in enumerate(LENGTHS)]
    torch.testing.assert_close(
        torch.block_diag(*blocks), as_tensor(theirs["intermediate"]["G"]), **FLOAT32
    )


def test_states_and_scores_equal_mbht_s(theirs: dict[str, Any], model: Mbht, batch: Batch):
    """As published, the states of all real slots and the scores of the hidden item are the public code's."""
    states_BLD = model.fill(ask(batch, model.max_length, model.items.mask_item))
    real_BL = real(theirs)
    torch.testing.assert_close(
        states_BLD[real_BL], as_tensor(theirs["outputs"]["hidden"])[real_BL], **FLOAT32
    )
    scores_BV = model.final_states(batch) @ model.item_vectors().T
    torch.testing.assert_close(scores_BV, as_tensor(theirs["outputs"]["scores"]), **FLOAT32)
