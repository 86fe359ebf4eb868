"""A weighted sum of models that were fitted or trained before (Fox and Shaw, TREC 1993; Cormack et al., SIGIR 2009)."""

from collections.abc import Mapping, Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Interactions
from blade_tune.errors import ConfigError
from blade_tune.models.base import Reads, RecommenderModel
from blade_tune.models.fitted import FittedRecommender
from blade_tune.models.settings.combination import CombinationConfig


class Combination(FittedRecommender):
    """A weighted sum of its members' scores, which are made comparable for each user over all items.

    Nothing is fitted here: members come with their weights, which are part of this model's state.

    Args:
        config: the hyperparameters.
        catalog: what is known of the data set.
        members: two to five built models; each sees the newest steps of a window, as many as its own `max_length`.

    Raises:
        ConfigError: a member is made for longer windows than this model.
    """

    Config = CombinationConfig

    def __init__(
        self, config: CombinationConfig, catalog: Catalog, members: Sequence[RecommenderModel]
    ) -> None:
        super().__init__(config, catalog)
        for member in members:
            if member.max_length > config.max_length:
                raise ConfigError(
                    f"max_length must be at least {member.max_length}, that of a member, "
                    f"got {config.max_length}."
                )
        self.config = config
        self.members = nn.ModuleList(members)
        # It depends on what any member depends on; `Reads` is in ascending order.
        self.reads = max((member.reads for member in members), key=get_args(Reads).index)
        self.told_target_set = any(member.told_target_set for member in members)

        # The first member has weight 1, and each further one a field of its own.
        others = range(2, len(members) + 1)
        self.weights = [1.0, *(getattr(config, weight_of(place)) for place in others)]

    def load_members(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Load the weights of each member, in the order of members."""
        for member, state in zip(self.members, states, strict=True):
            member.load_state_dict(state)

    def fit(self, rows: Interactions, seed: int) -> None:
        """Do nothing: members are fitted already."""

    def scores(self, batch: Batch) -> Tensor:
        """Sum the members' comparable scores by their weights, scores_BV in float32."""
        total_BV = torch.zeros(len(batch), self.catalog.num_items + 1, device=batch.items_BL.device)
        for member, weight in zip(self.members, self.weights, strict=True):
            assert isinstance(member, RecommenderModel)  # noqa: S101 - for the type checker
            scores_BV = member.scores(batch.newest(member.max_length))
            total_BV[:, 1:] += weight * comparable(scores_BV[:, 1:], self.config)
        return total_BV


def weight_of(place: int) -> str:
    """Name the field with the weight of the member at a place, from 2."""
    return f"weight_{place}"


def comparable(scores_BV: Tensor, config: CombinationConfig) -> Tensor:
    """Make a model's scores of all items, without padding, comparable with those of other models for each user."""
    if config.normalization == "ranks":
        return 1 / (config.rank_offset + ranks(scores_BV))
    return standardized(scores_BV)


def standardized(scores_BV: Tensor) -> Tensor:
    """Scale the scores of each row to a mean of 0 and a standard deviation of 1; 0 where all are equal."""
    mean_B1 = scores_BV.mean(dim=1, keepdim=True)
    spread_B1 = scores_BV.std(dim=1, keepdim=True, correction=0)
    # Extremes are exact, while a spread of equal scores may be rounded to a number above 0.
    is_flat_B1 = scores_BV.amax(dim=1, keepdim=True) == scores_BV.amin(dim=1, keepdim=True)
    return torch.where(is_flat_B1, 0.0, (scores_BV - mean_B1) / spread_B1)


def ranks(scores_BV: Tensor) -> Tensor:
    """Rank the scores of each row from 1, the highest first, and of equal ones the earlier column first."""
    order_BV = scores_BV.argsort(dim=1, descending=True, stable=True)
    ranks_V = torch.arange(1, scores_BV.shape[1] + 1, device=scores_BV.device)
    ranks_BV = ranks_V.to(scores_BV.dtype).expand_as(scores_BV)
    return torch.empty_like(scores_BV).scatter_(1, order_BV, ranks_BV)
