"""The final model: trained anew, tested once, and written as files that need no study."""

from typing import Literal

Rule = Literal["confirmed", "best", "1se"]  # how a study's final configuration is chosen
