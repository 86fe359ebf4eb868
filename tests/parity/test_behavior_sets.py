import torch

from blade_tune.layers.behavior_sets import BehaviorSetEmbedding
from tests.parity.weights import as_tensor, assert_same, fixture


def test_set_embedding_equals_eidp_s():
    """With `set_softmax: all`, every set, the empty ones of padding too, is embedded as EIDP's set2emb does."""
    eidp = fixture("eidp_set2emb")
    factors_UK = as_tensor(eidp["params"]["user_factors"])
    behaviors_KD = as_tensor(eidp["params"]["behavior_emb"])[1:]  # row 0 is never used
    module = BehaviorSetEmbedding(
        len(factors_UK) - 1, len(behaviors_KD), behaviors_KD.shape[1], "all"
    ).double()
    module.load_state_dict({"user_factors.weight": factors_UK, "behaviors.weight": behaviors_KD})
    sets_BLK = as_tensor(eidp["inputs"]["bs_seqs"]).to(torch.uint8)
    assert_same(module(torch.tensor(eidp["inputs"]["u"]), sets_BLK), eidp["outputs"]["beta"])
