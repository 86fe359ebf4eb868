"""Names of the variants of losses, layers and starts from which settings choose, in a module that loads no torch."""

from typing import Literal

NextItemLoss = Literal["bce", "ce", "sampled_softmax"]
Similarity = Literal["dot", "cosine"]  # of two views of a contrast; dot is over their width
PlainSimilarity = Literal["plain_dot", "dot", "cosine"]  # plain_dot is not over their width

FusionName = Literal["sum", "concat", "gate"]  # of item and behavior embeddings
ActivationName = Literal["relu", "gelu"]  # in a feed-forward network
NormPlace = Literal["pre", "post"]  # before a sub-layer, or after its residual
OuterNorm = Literal["input", "final"]  # of an encoder: on its inputs, or on its states
PositionOrder = Literal["newest", "oldest"]  # the step from which positions are counted
Reduction = Literal["rarest", "most_frequent"]  # the behavior that stands for a set
SetSoftmax = Literal["all", "present"]  # behaviors in a set's softmax
TargetSet = Literal["truth", "mode", "constant"]  # what models are told of the item to predict

FactorInit = Literal["xavier", "ones"]
InitName = Literal["xavier", "normal"]

Normalization = Literal["scores", "ranks"]  # what a combination sums of its members
