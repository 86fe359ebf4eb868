"""Export of a study's final model: trained again, tested once, and written as a bundle of files that needs no study."""

from typing import Literal

Rule = Literal["confirmed", "best", "1se"]  # how a study's final configuration is chosen
JudgedOn = Literal[
    "valid", "test"
]  # the newest rows that a retrained model and the one of before are compared on
