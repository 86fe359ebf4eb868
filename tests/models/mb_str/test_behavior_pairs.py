import torch

from blade_tune.models.mb_str.behavior_pairs import BehaviorPairAttention, behavior_pairs
from blade_tune.models.mb_str.relative_position import relative_buckets
from tests.builders import shaken

K, H, X = 3, 2, 2
TYPES_BL = torch.tensor([[0, 0, 2, 1, 3], [2, 2, 3, 0, 1]])
# The second user has a slot without a behavior
REAL_BL = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]).bool()


def attended_by_twin(
    part: BehaviorPairAttention, states_LD: torch.Tensor, user: int
) -> torch.Tensor:
    """Pair after pair, each with a matrix of its own; behavior 0 has neither projection nor matrix nor bias."""
    types, real = TYPES_BL[user].tolist(), REAL_BL[user].tolist()
    shares_KKKH = (
        part.score_matrices.logits_KKKH.softmax(2),
        part.value_matrices.logits_KKKH.softmax(2),
    )
    bases_KHXX = part.score_matrices.bases_KHXX, part.value_matrices.bases_KHXX
    buckets_LL = relative_buckets(len(types))
    out_LHX = torch.zeros(len(types), H, X, dtype=torch.float64)
    for i, asking in enumerate(types):
        seen = [j for j in range(len(types)) if real[j] or j == i]
        for head in range(H):
            scores, values = [], []
            for j in seen:
                if asking and types[j]:
                    pair = (asking - 1, types[j] - 1)
                    score_XX, value_XX = (
                        sum(shares[*pair, base, head] * bases[base, head] for base in range(K))
                        for shares, bases in zip(shares_KKKH, bases_KHXX, strict=True)
                    )
                    query_X = states_LD[i] @ part.query_KDHX[pair[0], :, head]
                    key_X = states_LD[j] @ part.key_KDHX[pair[1], :, head]
                    value_X = states_LD[j] @ part.value_KDHX[pair[1], :, head]
                    scores.append(
                        query_X @ score_XX @ key_X / X**0.5
                        + part.bias_HKKR[head, *pair, buckets_LL[i, j]]
                    )
                    values.append(value_X @ value_XX)
                else:
                    scores.append(torch.zeros((), dtype=torch.float64))
                    values.append(torch.zeros(X, dtype=torch.float64))
            out_LHX[i, head] = torch.stack(scores).softmax(0) @ torch.stack(values)
    return out_LHX.flatten(1)


def test_attention_equals_its_twin():
    """One product for all types, with keys in the place of their own, is what matrices of each pair give."""
    part = shaken(BehaviorPairAttention(H * X, H, K, dropout=0.5))
    states_BLD = torch.randn(
        2, 5, H * X, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    pairs = behavior_pairs(TYPES_BL, REAL_BL, relative_buckets(5), K, torch.float64)
    ours_BLD = part(states_BLD, pairs)
    for user in range(2):
        torch.testing.assert_close(
            ours_BLD[user], attended_by_twin(part, states_BLD[user], user), atol=1e-12, rtol=0
        )
