"""MB-STR against yuanenming/mb-str, whose numbers are float32."""

from typing import Any

import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.models.mb_str.model import MbStr
from blade_tune.models.mb_str.relative_position import relative_buckets
from blade_tune.models.settings.mb_str import MbStrConfig
from tests.builders import make_catalog
from tests.parity.weights import Weights, as_tensor, fixture, renamed

FLOAT32 = {"atol": 2e-5, "rtol": 0}


@pytest.fixture
def theirs() -> dict[str, Any]:
    return fixture("mbstr_forward")


def stacked(params: dict[str, Any], pattern: str, count: int, kind: str) -> torch.Tensor:
    """A Linear of each behavior as one parameter; a Linear's weight has one row an output, ours one row an input."""
    return torch.stack([as_tensor(params[f"{pattern.format(i)}.{kind}"]).mT for i in range(count)])


def type_linear(params: dict[str, Any], ours: str, pattern: str, count: int) -> Weights:
    biases = torch.stack([as_tensor(params[f"{pattern.format(i)}.bias"]) for i in range(count)])
    return {
        f"{ours}.weight_KDF": stacked(params, pattern, count, "weight"),
        f"{ours}.bias_KF": biases,
    }


def block(params: dict[str, Any], ours: str, theirs: str, K: int) -> Weights:
    """Label 0 and class 0, of padding, are left out of theirs."""
    attention = {
        name: as_tensor(params[f"{theirs}.attention.{name}"])
        for name in ("W1", "W2", "alpha1", "alpha2")
    }
    projections = as_tensor(params[f"{theirs}.attention.linear_layers"])[:, 1:]
    tables = [
        f"{theirs}.attention.rpb.{1 + i}.relative_attention_bias.weight" for i in range(K * K)
    ]
    weights = {
        f"{ours}.attention.{name}_KDHX": projections[i]
        for i, name in enumerate(("query", "key", "value"))
    }
    for name, i in (("score", 1), ("value", 2)):
        weights[f"{ours}.attention.{name}_matrices.bases_KHXX"] = attention[f"W{i}"]
        weights[f"{ours}.attention.{name}_matrices.logits_KKKH"] = attention[f"alpha{i}"][
            1:
        ].unflatten(0, (K, K))
    bias_HKKR = torch.stack([as_tensor(params[table]).T for table in tables], dim=1).unflatten(
        1, (K, K)
    )
    weights[f"{ours}.attention.bias_HKKR"] = bias_HKKR
    for our_name, name in (("expand", "w_1"), ("contract", "w_2")):
        pattern = f"{theirs}.feed_forward.pff.{{}}.{name}"
        weights |= type_linear(params, f"{ours}.feed_forward.{our_name}", pattern, K)
    norms = {"attention_norm": "input_sublayer.norm", "feed_forward_norm": "output_sublayer.norm"}
    return weights | renamed(
        params, {f"{ours}.{our_name}": f"{theirs}.{name}" for our_name, name in norms.items()}
    )


def from_mb_str(params: dict[str, Any], config: dict[str, Any]) -> Weights:
    """Theirs has rows of the item table after [MASK] that nothing uses."""
    backbone, head, K = params["backbone"], params["head"], config["n_b"]
    weights = {
        "items.weight": as_tensor(backbone["embedding.token.weight"])[: config["mask_token"] + 1]
    }
    for i in range(config["layers"]):
        weights |= block(backbone, f"blocks.{i}", f"transformer_blocks.{i}", K)
    for kind in ("weight", "bias"):
        weights[f"head.shared.{kind}"] = torch.cat(
            [as_tensor(head[f"shared_experts.{i}.0.{kind}"]) for i in range(3)]
        )
    weights |= type_linear(head, "head.specific", "specific_experts.{}.0", K)
    return (
        weights
        | {"head.gates.weight_KDF": as_tensor(head["w_gates"])}
        | renamed(head, {"head.norm": "ln"})
    )


@pytest.fixture
def model(theirs: dict[str, Any]) -> MbStr:
    config = MbStrConfig(
        embedding_size=theirs["config"]["d"],
        max_length=theirs["config"]["L"],
        num_blocks=theirs["config"]["layers"],
        num_heads=theirs["config"]["heads"],
    )
    model = MbStr(
        config, make_catalog(theirs["config"]["n_b"], num_items=theirs["config"]["num_items"])
    ).double()
    model.load_state_dict(from_mb_str(theirs["params"], theirs["config"]))
    return model.eval()


@pytest.fixture
def cloze(theirs: dict[str, Any]) -> Batch:
    """Sets of the one behavior that each type names."""
    items_BL, types_BL = torch.tensor(theirs["inputs"]["x"]), torch.tensor(theirs["inputs"]["b"])
    sets_BLK = torch.nn.functional.one_hot(types_BL, 5)[..., 1:].to(torch.uint8)
    return Batch(torch.arange(1, 3), items_BL, sets_BLK, torch.zeros_like(items_BL), sets_BLK)


def test_states_equal_mb_str_s(theirs: dict[str, Any], model: MbStr, cloze: Batch):
    """After the first block and after all, every real slot has MB-STR's state, hidden slots too."""
    first: list[torch.Tensor] = []
    model.blocks[0].register_forward_hook(lambda *call: first.append(call[-1]))
    states_BLD, _ = model.read(cloze)
    for ours_BLD, numbers in (
        (first[0], theirs["intermediate"]["block1"]),
        (states_BLD, theirs["outputs"]["hidden"]),
    ):
        torch.testing.assert_close(
            ours_BLD[cloze.real_BL], as_tensor(numbers)[cloze.real_BL], **FLOAT32
        )


def test_scores_equal_mb_str_s(theirs: dict[str, Any], model: MbStr, cloze: Batch):
    """A window and the behaviors of the item to predict give MB-STR's scores of all items."""
    window = Batch(
        cloze.users_B,
        cloze.items_BL[:, :-1],
        cloze.sets_BLK[:, :-1],
        cloze.items_BL[:, 1:],
        cloze.sets_BLK[:, 1:],
    )
    scores_BV = model.final_states(window) @ model.item_vectors().T
    torch.testing.assert_close(scores_BV, as_tensor(theirs["outputs"]["logits_last"]), **FLOAT32)


def test_buckets_equal_mb_str_s():
    """The class of every distance in a window of 6, and of 50 from either end, is MB-STR's."""
    buckets = fixture("mbstr_buckets")
    assert relative_buckets(6).tolist() == buckets["L6"]
    assert relative_buckets(50)[0].tolist() == buckets["L50_first_row"]
    assert relative_buckets(50)[-1].tolist() == buckets["L50_last_row"]
