"""Dynamic routing from capsules to classes, steered by items (DyMuS)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Routing(nn.Module):
    """How much each input capsule h gives to each class c, agreed on in rounds.

    v_c = a sum_h softmax_c(b_hc) u_hc;  s_c = |v_c| w_c + bias_c;  p = softmax(s V^T) V;  r_c = [p; v_c] R_c;
    b_hc += u_hc . r_c. The votes u, w, bias and items V are detached in all rounds but the last, as in the public
    code, so R learns through b alone.

    Args:
        num_classes: C, also the width of an item vector, since s is what items are scored with.
        capsule_size: X.
    """

    def __init__(self, num_classes: int, capsule_size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([float(num_classes)]))
        self.weight_C = nn.Parameter(torch.ones(num_classes))
        self.bias_C = nn.Parameter(torch.zeros(num_classes))
        self.response_CFX = nn.Parameter(0.1 * torch.randn(num_classes, num_classes + capsule_size, capsule_size))

    def start(self, votes_NHCX: Tensor) -> Tensor:
        """logits_NHC before the first round."""
        return votes_NHCX.new_zeros(votes_NHCX.shape[:-1])

    def strengths(self, votes_NHCX: Tensor, logits_NHC: Tensor) -> Tensor:
        """states_NC of the last round."""
        return self._strengths(self._classes(votes_NHCX, logits_NHC), self.weight_C, self.bias_C)

    def respond(self, votes_NHCX: Tensor, logits_NHC: Tensor, vectors_VD: Tensor) -> tuple[Tensor, Tensor]:
        """The responses r_NCX of a round before the last, and the logits of the next."""
        votes_NHCX, vectors_VD = votes_NHCX.detach(), vectors_VD.detach()
        classes_NCX = self._classes(votes_NHCX, logits_NHC)
        states_NC = self._strengths(classes_NCX, self.weight_C.detach(), self.bias_C.detach())
        liked_ND = functional.scaled_dot_product_attention(
            states_NC[None], vectors_VD[None], vectors_VD[None], scale=1.0
        )[0]
        liked_NCD = liked_ND[:, None].expand(-1, classes_NCX.shape[1], -1)
        responses_NCX = torch.einsum("ncf,cfx->ncx", torch.cat((liked_NCD, classes_NCX), dim=-1), self.response_CFX)
        return responses_NCX, logits_NHC + torch.einsum("nhcx,ncx->nhc", votes_NHCX, responses_NCX)

    def _classes(self, votes_NHCX: Tensor, logits_NHC: Tensor) -> Tensor:
        return self.scale * torch.einsum("nhc,nhcx->ncx", logits_NHC.softmax(dim=-1), votes_NHCX)

    @staticmethod
    def _strengths(classes_NCX: Tensor, weight_C: Tensor, bias_C: Tensor) -> Tensor:
        return torch.linalg.vector_norm(classes_NCX, dim=-1) * weight_C + bias_C
