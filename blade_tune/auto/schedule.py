"""The time that an automatic choice has, and how it is divided: looks at families, search, confirmation, export."""

import time
from collections.abc import Callable

# Share of the time in which families are looked at for the first time
SHARE_OF_LOOKS = 0.4
# Seconds of training that a look has at least, beside the start of its processes
SHORTEST_LOOK_S = 3.0
# Share of the time that is left for confirmation and export at most
MOST_RESERVE = 0.5
# By how much the training of the winner may take longer than it did in the search
SLACK = 1.2
# Seconds that the statistics, the export, reading it back and the page take beside training
EXPORT_S = 10.0


class Schedule:
    """A length of time from now on.

    Args:
        total_s: the length, in seconds.
        clock: tells the time in seconds; only differences count.
    """

    def __init__(self, total_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.total_s = total_s
        self._clock = clock
        self._started = clock()

    @property
    def passed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def left_s(self) -> float:
        """Seconds until the end, which may be negative."""
        return self.total_s - self.passed_s

    def look_s(self, num_families: int, spent_s: float = 0.0, start_s: float = 0.0) -> float:
        """Return the seconds of training that a first look at one of some families has.

        Args:
            num_families: the families that are still to be looked at.
            spent_s: seconds that looks at others took.
            start_s: seconds that the start of its workers takes.
        """
        left_s = SHARE_OF_LOOKS * self.total_s - spent_s
        return max(SHORTEST_LOOK_S, left_s / max(1, num_families) - start_s)

    def reserve_s(self, training_s: float, rounds: int, starting_s: float) -> float:
        """Return the seconds to keep for confirmation and export.

        Args:
            training_s: seconds that one training of the winner took.
            rounds: how many trainings of the confirmation follow each other.
            starting_s: seconds that all starts of workers for it take.
        """
        training_s *= SLACK * (rounds + 1)  # the export trains once more
        return min(EXPORT_S + starting_s + training_s, MOST_RESERVE * self.total_s)
