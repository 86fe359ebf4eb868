"""ProbSparse attention (Informer, AAAI 2021), as EIDP's public code has it."""

import math

import torch
from torch import Tensor

from blade_tune.layers.dropout import dropout

MASKED = -1e5


def draw_keys(length: int, factor: int, device: torch.device) -> Tensor:
    """samples_LS: S = min(L, factor ceil(ln L)) keys of each query, drawn with replacement; L is at least 2."""
    num_samples = min(length, factor * math.ceil(math.log(length)))
    return torch.randint(length, (length, num_samples), device=device)


def prob_sparse_attend(
    query_BHLX: Tensor, key_BHLX: Tensor, value_BHLX: Tensor, real_BL: Tensor, samples_LS: Tensor, rate: float
) -> Tensor:
    """Attention of the S most active queries; each other step gets the running sum of values per real step.

    A query is active where the largest of its sampled scores stands out from their sum over L. All scores are computed,
    since a narrow head makes them as fast as it makes picking some.

    The public code's faults are kept, as this is for parity with it: the keys of padding are visible; a step of padding
    that is chosen attends to all keys alike, later ones too, and a later block reads it. So this is not causal.

    Args:
        query_BHLX: of all steps.
        key_BHLX: likewise.
        value_BHLX: likewise.
        real_BL: True where a step holds an interaction.
        samples_LS: the keys that each query is measured by, see `draw_keys`.
        rate: of dropout on the weights.
    """
    L, S = samples_LS.shape
    scores_BHLL = query_BHLX @ key_BHLX.mT * query_BHLX.shape[-1] ** -0.5
    sampled_BHLS = scores_BHLL.gather(-1, samples_LS.expand(*scores_BHLL.shape[:2], L, S))
    activity_BHL = sampled_BHLS.amax(dim=-1) - sampled_BHLS.sum(dim=-1) / L
    chosen_BHL = torch.zeros_like(activity_BHL, dtype=torch.bool)
    chosen_BHL = chosen_BHL.scatter(-1, activity_BHL.topk(S).indices, value=True)
    lower_LL = torch.ones(L, L, dtype=torch.bool, device=real_BL.device).tril()
    allow_B1LL = (lower_LL & real_BL[..., None])[:, None]
    weights_BHLL = torch.softmax(scores_BHLL.masked_fill(~allow_B1LL, MASKED), dim=-1)
    attended_BHLX = dropout(weights_BHLL, rate, training=True) @ value_BHLX
    counts_B1L1 = real_BL.cumsum(dim=1)[:, None, :, None] + 1e-12
    return torch.where(chosen_BHL[..., None], attended_BHLX, value_BHLX.cumsum(dim=-2) / counts_B1L1)
