"""What the doctor says of one thing that it looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Diagnosis:
    """A fact, and what to do about it.

    A problem stops a run or spoils it; a warning is worth knowing, or is mended by the next run.
    """

    check: str
    state: State
    what: str
    remedy: str = ""
