"""DyMuS+: DyMuS whose recurrences take the answers of each round of routing as a context (Cho et al., AAAI 2023)."""

from typing import cast

import torch
from torch import Tensor, nn

from blade_tune.catalog import Catalog
from blade_tune.models.dymus.behavior_sequences import BehaviorSequences
from blade_tune.models.dymus.context_recurrence import ContextRecurrence, Reading
from blade_tune.models.dymus.model import RoutedRecommender
from blade_tune.models.dymus.routing import CapsuleRouting
from blade_tune.models.settings.dymus import DymusConfig


class DymusPlus(RoutedRecommender):
    """DyMuS+: states are capsules, and each round of routing reads the sequences anew, in a context of its answers.

    The first round has no context and reads a sequence once for all samples of its user. In later rounds each sample
    has answers of its own, and so a reading of its own.
    """

    def __init__(self, config: DymusConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        size, num_behaviors = config.embedding_size, catalog.num_behaviors
        self.recurrences = nn.ModuleList(
            ContextRecurrence(size, size, config.capsule_size) for _ in range(num_behaviors)
        )
        self.routing = CapsuleRouting(
            num_behaviors, size, config.capsule_size, config.routing_rounds
        )

    def states(self, sequences: BehaviorSequences, rows_N: Tensor, steps_N: Tensor) -> Tensor:
        """Compute the states of samples, by one reading of each behavior's sequences for every round of routing."""
        readings = []
        for k, recurrence in enumerate(self.recurrences):
            recurrence = cast(ContextRecurrence, recurrence)
            steps_BXD = sequences.steps_BKXD[:, k]
            ends_BL = sequences.ends_BKL[:, k]
            readings.append(Reading(recurrence, steps_BXD, ends_BL, rows_N, steps_N))

        def read(answers: list[Tensor]) -> Tensor:
            states = [reading(answers) for reading in readings]
            return self.dropout(torch.stack(states, dim=1))

        return self.routing(read, self.routed_items())
