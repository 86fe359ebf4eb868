"""The losses that models share; the softmax over all items is in kernels/softmax_loss.py."""

import torch
from torch import Tensor
from torch.nn import functional

from blade_tune.choices import NextItemLoss as NextItemLoss
from blade_tune.choices import PlainSimilarity
from blade_tune.kernels.gram import gram


def binary_cross_entropy(positive_BL: Tensor, negative_BL: Tensor) -> Tensor:
    """Compare the next item with one sampled negative, softplus(-s+) + softplus(s-) (BLADE, Eq. 16).

    Args:
        positive_BL: scores of the next items.
        negative_BL: scores of the negatives.

    Returns:
        losses_BL.
    """
    return functional.softplus(-positive_BL) + functional.softplus(negative_BL)


def richness(target_sets_BLK: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute |b| / K of each step: the richer the target's behavior set, the more it counts (BLADE, w in Eq. 16).

    Returns:
        weights_BL from 0 (no behavior) to 1, of type `dtype`.
    """
    return target_sets_BLK.to(dtype).mean(dim=-1)


def sampled_softmax(positive_N: Tensor, negative_NX: Tensor) -> Tensor:
    """Compute the cross-entropy over a target and a sample of negatives, log(exp s+ + sum_x exp s-_x) - s+.

    Args:
        positive_N: scores of targets.
        negative_NX: scores of the sample, -inf where it holds the target.

    Returns:
        losses_N.
    """
    negatives_N = negative_NX.logsumexp(dim=1)
    return torch.logaddexp(positive_N, negatives_N) - positive_N


def contrastive(
    first_ND: Tensor, second_ND: Tensor, similarity: PlainSimilarity, tau: float
) -> Tensor:
    """Compute InfoNCE over the 2N rows of two views, the mean of both directions.

    The positive of a row is its other view; the 2N - 2 other rows of both views are its negatives, and the positive
    stands in the denominator (ICLRec's NCELoss, DuoRec's info_nce).

    Deviates: BLADE's Eq. 17 sums the two directions, which is twice this mean. Eq. 18 leaves the positive out of the
    denominator; the loss of a dot product then has no lower bound.

    Args:
        first_ND: one view of each user; at least two users, or nothing is contrasted.
        second_ND: the other view of each user.
        similarity: of two rows: their dot product (plain_dot), over D (dot), or their cosine.
        tau: temperature.

    Returns:
        The loss, a scalar in float32 or wider.
    """
    views_XD = torch.cat((first_ND, second_ND))
    if views_XD.dtype in (torch.float16, torch.bfloat16):
        views_XD = views_XD.float()
    if similarity == "cosine":
        views_XD = functional.normalize(views_XD, dim=-1)
    similarity_XX = gram(views_XD)
    if similarity == "dot":
        similarity_XX = similarity_XX / views_XD.shape[-1]

    # Each row is to find its other view, which stands N rows further, among all rows but itself.
    N, X = len(first_ND), len(views_XD)
    itself_XX = torch.eye(X, dtype=torch.bool, device=views_XD.device)
    logits_XX = (similarity_XX / tau).masked_fill(itself_XX, -torch.inf)
    other_view_X = torch.arange(X, device=views_XD.device).roll(N)
    return functional.cross_entropy(logits_XX, other_view_X)
