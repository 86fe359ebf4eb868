import pytest
import torch
from torch import nn

from blade_tune.layers.attention import BehaviorAwareAttention, MultiHeadAttention, causal_mask
from blade_tune.layers.feed_forward import FeedForward
from tests.parity.weights import as_tensor, assert_same, fixture, from_torch_attention, renamed

DIFF_NAMES = {
    "attention.query": "query",
    "attention.key": "key",
    "attention.value": "value",
    "attention.output": "dense",
    "attention.behavior_query": "query_layers.0",
    "attention.behavior_key": "key_layers.0",
    "norm": "LayerNorm",
}


@pytest.fixture
def diff():
    return fixture("diff_basa")


@pytest.fixture
def real_BL(diff):
    """Rows of DIFF without any real key attend to everything alike, ours to themselves; such rows are padding."""
    return torch.tensor(diff["inputs"]["item_seq"]) > 0


def normed(attention: nn.Module, diff: dict, params: str) -> nn.ModuleDict:
    """Attention and the LayerNorm after its residual, with DIFF's weights."""
    norm = nn.LayerNorm(diff["config"]["hidden"], eps=diff["config"]["eps"])
    module = nn.ModuleDict({"attention": attention, "norm": norm}).double().eval()
    module.load_state_dict(renamed(diff["params"][params], DIFF_NAMES))
    return module


def behavior_aware(diff: dict, real_BL: torch.Tensor) -> torch.Tensor:
    size, num_heads = diff["config"]["hidden"], diff["config"]["n_heads"]
    module = normed(BehaviorAwareAttention(size, num_heads, dropout=0.0), diff, "basa")
    states_BLD, behaviors_BLD = as_tensor(diff["inputs"]["X"]), as_tensor(diff["inputs"]["B"])
    attended_BLD = module["attention"](
        states_BLD, behaviors_BLD, causal_mask(real_BL, torch.float64)
    )
    return module["norm"](states_BLD + attended_BLD)


def test_behavior_aware_attention_equals_diff_s(diff, real_BL):
    """Attention that adds behavior scores to item scores, its residual and norm are those of DIFF."""
    assert_same(
        behavior_aware(diff, real_BL)[real_BL], as_tensor(diff["outputs"]["basa"])[real_BL].tolist()
    )


def test_feed_forward_equals_recbole_s(diff, real_BL):
    """LN(x + FFN(x)) after that attention is RecBole's feed-forward block."""
    size = diff["config"]["hidden"]
    norm = nn.LayerNorm(size, eps=diff["config"]["eps"])
    module = nn.ModuleDict(
        {"ffn": FeedForward(size, diff["config"]["inner"]), "norm": norm}
    ).double()
    names = {"ffn.expand": "dense_1", "ffn.contract": "dense_2", "norm": "LayerNorm"}
    module.load_state_dict(renamed(diff["params"]["ffn"], names))
    states_BLD = behavior_aware(diff, real_BL)
    ours_BLD = module["norm"](states_BLD + module["ffn"](states_BLD))
    assert_same(ours_BLD[real_BL], as_tensor(diff["outputs"]["basa_then_ffn"])[real_BL].tolist())


def test_multi_head_attention_equals_recbole_s(diff, real_BL):
    """Plain self-attention, its residual and norm are RecBole's."""
    module = normed(
        MultiHeadAttention(diff["config"]["hidden"], diff["config"]["n_heads"], 0.0),
        diff,
        "plain_mha",
    )
    states_BLD = as_tensor(diff["inputs"]["X"])
    mask_B1LL = causal_mask(real_BL, torch.float64)
    ours_BLD = module["norm"](states_BLD + module["attention"](states_BLD, states_BLD, mask_B1LL))
    assert_same(ours_BLD[real_BL], as_tensor(diff["outputs"]["plain_mha"])[real_BL].tolist())


@pytest.fixture
def mha():
    return fixture("torch_mha")


@pytest.fixture
def mask_B1LL(mha):
    return causal_mask(torch.tensor(mha["inputs"]["pad"]) == 0, torch.float64)


def test_causal_mask_is_the_agreed_rule(mha, mask_B1LL):
    """allow[l, m] = (m <= l and real[m]) or m == l."""
    assert (mask_B1LL[:, 0] == 0).int().tolist() == mha["inputs"]["allow"]


@pytest.mark.parametrize(("kind", "num_heads", "queries"), [("self", 2, "X"), ("cross", 1, "T")])
def test_attention_equals_torch_s(mha, mask_B1LL, kind, num_heads, queries):
    """Self-attention of two heads and cross-attention of one are torch.nn.MultiheadAttention, on padding too."""
    queries_BLD, keys_BLD = as_tensor(mha["inputs"][queries]), as_tensor(mha["inputs"]["X"])
    module = MultiHeadAttention(keys_BLD.shape[-1], num_heads, dropout=0.0).double()
    module.load_state_dict(from_torch_attention(mha["params"][kind]))
    assert_same(module(queries_BLD, keys_BLD, mask_B1LL), mha["outputs"][kind])
