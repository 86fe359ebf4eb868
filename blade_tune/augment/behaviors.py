"""Behavior-level augmentation (BLADE, section 3.4): change sets at chosen steps, leave items alone."""

import torch
from torch import Tensor, nn

from blade_tune.augment import AUGMENTATIONS
from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.registry import load


class BehaviorStatistics(nn.Module):
    """What the operators need to know of a data set, as buffers on the model's device.

    Attributes:
        conditional_KK: M_ij, the share of rows with behavior i that have j too (Eq. 11); zero where i never occurs.
        mask_prob_K: P_i = m_i^c / sum_k m_k^c (Eq. 13), where m are the behavior counts and c is the exponent.
        auxiliary: the columns of the auxiliary behaviors.

    Args:
        catalog: the behavior counts.
        mask_exponent: c.
    """

    conditional_KK: Tensor
    mask_prob_K: Tensor

    def __init__(self, catalog: Catalog, mask_exponent: float) -> None:
        super().__init__()
        counts_K = torch.as_tensor(catalog.behavior_counts_K, dtype=torch.float32)

        # M (Eq. 11).
        pairs_KK = torch.as_tensor(catalog.pair_counts_KK, dtype=torch.float32)
        conditional_KK = pairs_KK / counts_K.clamp_min(1.0)[:, None]
        self.register_buffer("conditional_KK", conditional_KK, persistent=False)

        # P (Eq. 13).
        smooth_K = torch.where(counts_K > 0, counts_K**mask_exponent, 0.0)
        mask_prob_K = smooth_K / smooth_K.sum().clamp_min(1.0)
        self.register_buffer("mask_prob_K", mask_prob_K, persistent=False)

        self.auxiliary = catalog.auxiliary


def num_steps(real_BL: Tensor, share: float) -> Tensor:
    """Count floor(share * n) of each user's n real steps, (B, 1)."""
    num_real_B1 = real_BL.sum(dim=1, keepdim=True)
    # The product may be rounded to less than it is: 0.29 * 100 to 28.999...
    return torch.floor(num_real_B1.double() * share + 1e-6).long()


def choose_steps(real_BL: Tensor, rho: float) -> Tensor:
    """Draw floor(rho * n) of each user's n real steps, uniformly.

    Returns:
        chosen_BL, True at the steps to change.
    """
    # Order the steps at random, padding last, and take the first ones.
    noise_BL = torch.rand(real_BL.shape, device=real_BL.device)
    noise_BL = noise_BL.masked_fill(~real_BL, 2.0)
    place_BL = noise_BL.argsort(dim=1).argsort(dim=1)
    return place_BL < num_steps(real_BL, rho)


def add(sets_BLK: Tensor, chosen_BL: Tensor, statistics: BehaviorStatistics) -> Tensor:
    """Add one absent behavior, drawn by how often it goes together with those present (Eq. 11 and 12).

    A set that is full, empty, or never seen with another behavior stays as it is.

    Args:
        sets_BLK: the behavior sets.
        chosen_BL: True at the steps to change.
        statistics: of the data set.

    Returns:
        A view, sets_BLK.
    """
    # Weigh each absent behavior by how often it goes together with those present (Eq. 11).
    conditional_KK = statistics.conditional_KK
    together_BLK = sets_BLK.to(conditional_KK.dtype) @ conditional_KK
    weights_BLK = together_BLK * (sets_BLK == 0)

    # Draw one of them (Eq. 12). Sets without a possible one draw too, as all draw at once, and ignore it.
    possible_BL = weights_BLK.sum(dim=-1) > 0
    weights_BLK = torch.where(possible_BL[..., None], weights_BLK, 1.0)
    draws_X1 = torch.multinomial(weights_BLK.flatten(0, 1), 1)
    added_XK = torch.zeros_like(sets_BLK).flatten(0, 1).scatter_(1, draws_X1, 1)
    added_BLK = added_XK.view_as(sets_BLK)

    changed_BL1 = (chosen_BL & possible_BL)[..., None]
    return torch.where(changed_BL1, sets_BLK | added_BLK, sets_BLK)


def mask(sets_BLK: Tensor, chosen_BL: Tensor, statistics: BehaviorStatistics) -> Tensor:
    """Drop each present behavior i with probability P_i, independently (Eq. 13); a set may become empty.

    Args:
        sets_BLK: the behavior sets.
        chosen_BL: True at the steps to change.
        statistics: of the data set.

    Returns:
        A view, sets_BLK.
    """
    noise_BLK = torch.rand(sets_BLK.shape, device=sets_BLK.device)
    dropped_BLK = chosen_BL[..., None] & (noise_BLK < statistics.mask_prob_K)
    return torch.where(dropped_BLK, 0, sets_BLK)


def flip(sets_BLK: Tensor, chosen_BL: Tensor, statistics: BehaviorStatistics) -> Tensor:
    """Add the auxiliary behavior where it is absent and remove it where it is present; a set may become empty.

    Of several auxiliary behaviors one is drawn for each step, all equally likely; one alone needs no draw, and without
    any nothing changes.

    Args:
        sets_BLK: the behavior sets.
        chosen_BL: True at the steps to change.
        statistics: of the data set.

    Returns:
        A view, sets_BLK.
    """
    auxiliary = statistics.auxiliary
    if not auxiliary:
        return sets_BLK
    draws_BL = torch.zeros_like(chosen_BL, dtype=torch.int64)  # positions in `auxiliary`
    if len(auxiliary) > 1:
        draws_BL = torch.randint(len(auxiliary), chosen_BL.shape, device=chosen_BL.device)
    flipped_BLK = sets_BLK.clone()
    for position, column in enumerate(auxiliary):
        is_flipped_BL = chosen_BL & (draws_BL == position)
        flipped_BLK[..., column] ^= is_flipped_BL.to(sets_BLK.dtype)
    return flipped_BLK


class SetViews(nn.Module):
    """Draws augmented copies of a batch's input sets; the target sets are never augmented.

    Args:
        augmentation: a name in AUGMENTATIONS, or "none": the copy is the original.
        rho: share of a user's real steps that are changed.
        mask_exponent: c of the operator `mask`.
        catalog: the source of the statistics.
    """

    def __init__(
        self, augmentation: str, rho: float, mask_exponent: float, catalog: Catalog
    ) -> None:
        super().__init__()
        self.operator = None
        if augmentation != "none":
            self.operator = load(AUGMENTATIONS, "augmentation", augmentation)
        self.rho = rho
        self.statistics = BehaviorStatistics(catalog, mask_exponent)

    def forward(self, batch: Batch) -> Tensor:
        """Draw one view, independent of every other; returns sets_BLK."""
        if self.operator is None:
            return batch.sets_BLK
        chosen_BL = choose_steps(batch.real_BL, self.rho)
        return self.operator(batch.sets_BLK, chosen_BL, self.statistics)
