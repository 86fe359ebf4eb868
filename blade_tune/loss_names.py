"""Names of the losses that models share, in a module that loads no torch so that help texts can list them."""

from typing import Literal

NextItemLoss = Literal["bce", "ce", "sampled_softmax"]
