"""DyMuS+: DyMuS whose recurrences hear of the routing, round after round (Cho et al., AAAI 2023)."""

import torch
from torch import Tensor, nn

from blade_tune.batch import Catalog
from blade_tune.layers.recurrent import CapsuleGru, LabelSequences
from blade_tune.models.dymus import DymusConfig, RoutedRecommender


class DymusPlus(RoutedRecommender):
    """K C recurrences of capsules; after each round their contexts grow by candidate times response, c_l += n_l r.

    A context belongs to a sample, so each round runs over the sequences of every sample. Rounds before the last keep
    nothing for gradients: there, only the responses have any.
    """

    def __init__(self, config: DymusConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        size, num_behaviors = config.embedding_size, catalog.num_behaviors
        self.recurrence = CapsuleGru(size, num_behaviors, size, config.capsule_size)
        self.votes_HXKC = nn.Parameter(0.01 * torch.rand(size, config.capsule_size, num_behaviors, size))

    def states_of(self, sequences: LabelSequences, asked_BL: Tensor) -> Tensor:
        """See the base."""
        rows_N, steps_N = asked_BL.nonzero(as_tuple=True)
        ends_KN = sequences.ends_BKL[rows_N, :, steps_N].T
        ends_GN = ends_KN.repeat_interleave(self.config.embedding_size, dim=0)
        inputs_XGBF = self.recurrence.inputs(sequences)
        contexts: list[Tensor] | None = None
        logits_NHC: Tensor | None = None
        for _ in range(self.config.routing_rounds - 1):
            with torch.no_grad():
                states_GNX, candidates = self.recurrence(inputs_XGBF, rows_N, ends_GN, contexts)
                votes_NHCX = self._votes(states_GNX)
            start_NHC = self.routing.start(votes_NHCX) if logits_NHC is None else logits_NHC
            responses_NCX, logits_NHC = self.routing.respond(votes_NHCX, start_NHC, self.routed_items())
            responses_GNX = responses_NCX.transpose(0, 1).repeat(self.catalog.num_behaviors, 1, 1)
            grown = [candidate_GNX * responses_GNX for candidate_GNX in candidates]
            contexts = grown if contexts is None else [c + more for c, more in zip(contexts, grown, strict=True)]
        states_GNX, _ = self.recurrence(inputs_XGBF, rows_N, ends_GN, contexts)
        votes_NHCX = self._votes(states_GNX)
        return self.routing.strengths(votes_NHCX, self.routing.start(votes_NHCX) if logits_NHC is None else logits_NHC)

    def _votes(self, states_GNX: Tensor) -> Tensor:
        """u_hcx = sum_t e_thx W_hxtc."""
        states_KHNX = self.dropout(states_GNX.unflatten(0, (self.catalog.num_behaviors, -1)))
        return torch.einsum("khnx,hxkc->nhcx", states_KHNX, self.dropout(self.votes_HXKC))
