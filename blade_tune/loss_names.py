"""The names of the losses that models share; without torch, so that help texts can list them."""

from typing import Literal

NextItemLoss = Literal["bce", "ce", "sampled_softmax"]
