"""Names of the variants of losses, layers and starts from which settings choose, in a module that loads no torch."""

from typing import Literal

NextItemLoss = Literal["bce", "ce", "sampled_softmax"]
Similarity = Literal["dot", "cosine"]  # of two views of a contrast

FusionName = Literal["sum", "concat", "gate"]  # of item and behavior embeddings
NormPlace = Literal["pre", "post"]  # before a sub-layer, or after its residual
Reduction = Literal["rarest", "most_frequent"]  # the behavior that stands for a set
SetSoftmax = Literal["all", "present"]  # behaviors in a set's softmax
TargetSet = Literal["truth", "mode", "constant"]  # what models are told of the item to predict

FactorInit = Literal["xavier", "ones"]
InitName = Literal["xavier", "normal"]
