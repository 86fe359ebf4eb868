"""The transformer block."""

from torch import Tensor, nn

from blade_tune.choices import NormPlace
from blade_tune.layers.attention import MultiHeadAttention
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.feed_forward import FeedForward


class TransformerBlock(nn.Module):
    """Self-attention, then feed-forward, each with a residual and a norm.

    Args:
        attention: the first sub-layer.
        feed_forward: the second sub-layer.
        dropout: dropout rate of each sub-layer's output.
        eps: epsilon of the norms.
        norm: "post" is LN(x + sub(x)), "pre" is x + sub(LN(x)).
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        feed_forward: FeedForward,
        dropout: float,
        eps: float,
        norm: NormPlace = "post",
    ) -> None:
        super().__init__()
        size = attention.query.in_features
        self.norm = norm
        self.attention = attention
        self.attention_norm = nn.LayerNorm(size, eps)
        self.feed_forward = feed_forward
        self.feed_forward_norm = nn.LayerNorm(size, eps)
        self.dropout = Dropout(dropout)

    def forward(self, states_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """Apply the block; the mask is added to attention scores."""
        if self.norm == "pre":
            normed_BLD = self.attention_norm(states_BLD)
            attended_BLD = self.attention(normed_BLD, normed_BLD, mask_B1LL)
            states_BLD = states_BLD + self.dropout(attended_BLD)
            forwarded_BLD = self.feed_forward(self.feed_forward_norm(states_BLD))
            return states_BLD + self.dropout(forwarded_BLD)
        attended_BLD = self.attention(states_BLD, states_BLD, mask_B1LL)
        states_BLD = self.attention_norm(states_BLD + self.dropout(attended_BLD))
        forwarded_BLD = self.feed_forward(states_BLD)
        return self.feed_forward_norm(states_BLD + self.dropout(forwarded_BLD))
