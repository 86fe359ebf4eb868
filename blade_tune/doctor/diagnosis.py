"""`Diagnosis`: the finding of one check of `blade-tune doctor`."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Diagnosis:
    """The finding of one check, and what to do about it.

    A problem stops a run or spoils it. A warning is worth knowing, or is repaired by the next run.
    """

    check: str  # the thing that was checked: "storage", "study NAME"
    state: State
    what: str  # the finding, in words
    remedy: str = ""  # what the user can do about it; empty where nothing is to be done
