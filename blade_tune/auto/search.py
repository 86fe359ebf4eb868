"""The search over families of models: who gets the next turn, and why a family gets none.

Each family is a study of its own, so that a sampler sees one space whose parameters it can draw together, and so that
every command works on it. A turn is some seconds of work on one study; a trial that does not end in it waits with its
checkpoint, and goes on in the family's next turn or never.

The first model that trains in epochs has turns until one of its trials has ended: by that trial's curve the unfinished
trials of all others are forecast.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from blade_tune.auto.family import COST_S, Family, best_of, reference_of
from blade_tune.auto.forecast import Forecast, TrialCurve
from blade_tune.auto.schedule import Schedule
from blade_tune.errors import BladeTuneError, InterruptedStudyError, StorageError

log = logging.getLogger(__name__)

# Probability of a better value below which a family is left
HOPELESS = 0.02
# Seconds that the start of workers is taken to need before it was measured
FIRST_START_S = 3.0
# Epochs that a first look has at least; a family of which it has fewer is not looked at.
LEAST_EPOCHS = 5
# Turns of a trial that has not ended are so many looks long, so that others may follow if it does not rise.
TURN_LOOKS = 2
# Seconds that workers may take to import their modules, in the first turn
MOST_IMPORTS_S = 20.0
LATEST = 3  # turns by which that is measured
# First turns of one family at most: many only where the reference is trained in them
MOST_LOOKS = 20
# A turn for a new trial is so many times as long as the trial is expected to take, since it may take longer.
ROOM = 1.5


@dataclass(frozen=True)
class Confirming:
    """The confirmation that follows the search, for which time is kept."""

    num_runs: int  # trainings of models that train in epochs
    num_confirmed: int  # families


@dataclass
class Search:
    """The turns of all families until the time of the search is over.

    Args:
        families: the families, the cheapest first.
        schedule: the time that there is for everything.
        work: trains trials of a family for so many seconds, starts of processes included.
        workers: how many trials are trained at a time.
        plan: the confirmation that follows.
        tell: called with a line after each turn.
    """

    families: Sequence[Family]
    schedule: Schedule
    work: Callable[[Family, float], object]
    workers: int
    plan: Confirming
    tell: Callable[[str], object] = lambda _: None
    _starts_s: list[float] = field(default_factory=list)  # what each turn took beside training

    @property
    def start_s(self) -> float:
        """Seconds that the start of workers takes, by the latest turns."""
        later = self._starts_s[1:]  # in the first turn, modules are imported too
        return median(later[-LATEST:]) if later else FIRST_START_S

    @property
    def left_s(self) -> float:
        """Seconds that are left for the search."""
        best = self.best
        training_s = 0.0 if best is None else best.seen.longest_s
        rounds = math.ceil(self.plan.num_runs / self.workers)
        starting_s = self.plan.num_confirmed * self.start_s
        if best is None:  # there is nothing to keep time for
            return self.schedule.left_s
        return self.schedule.left_s - self.schedule.reserve_s(training_s, rounds, starting_s)

    def run(self) -> None:
        """Give turns to families until only the time for confirmation and export is left.

        Raises:
            InterruptedStudyError: the user stopped it; what was trained is stored.
        """
        new = [family for family in self.families if family.seen.best is None]
        begun_s = self.schedule.passed_s
        for index, family in enumerate(new):
            look_s = self._look_s(new[index:], self.schedule.passed_s - begun_s)
            epoch_s = self._epoch_s(family)
            if self.left_s <= look_s + self.start_s:
                family.left = "there was no time to look at it"
            elif epoch_s * LEAST_EPOCHS > look_s:
                family.left = f"a look of {look_s:.1f} s has too few of its epochs, of about {epoch_s:.1f} s each"
            else:
                self._look(family, look_s)
        while self.left_s > self.start_s:
            next_family = self._next()
            if next_family is None:
                return
            self._turn(next_family, self._turn_s(next_family))

    @property
    def best(self) -> Family | None:
        """The family with the highest value; None before a trial has ended."""
        return best_of(self.families)

    @property
    def reference(self) -> TrialCurve | None:
        """The curve by which unfinished trials are forecast; None before there is one."""
        return reference_of(self.families)

    def _epoch_s(self, family: Family) -> float:
        """Return the seconds that an epoch of a family probably takes, by those of a cheaper one; 0 if not known."""
        for other in self.families:
            curves = (*other.seen.ended, *other.seen.unfinished)
            if curves and not other.is_fitted and not family.is_fitted:
                trained = sum(curve.seconds for curve in curves) / sum(
                    curve.epoch for curve in curves
                )
                return trained * COST_S[family.model] / COST_S[other.model]
        return 0.0

    def _look_s(self, families: Sequence[Family], spent_s: float) -> float:
        """Return the seconds of a look at the next family: what is left is shared by those of which it has epochs.

        Args:
            families: those that are still to be looked at.
            spent_s: seconds that looks at others took.
        """
        epochs_s = sorted(self._epoch_s(family) for family in families)
        while True:
            look_s = self.schedule.look_s(len(epochs_s), spent_s, self.start_s)
            if not epochs_s or LEAST_EPOCHS * epochs_s[-1] <= look_s:
                return look_s
            epochs_s.pop()

    def _look(self, family: Family, look_s: float) -> None:
        """Give a family its first turn, in which its defaults are tried; the first that trains may end its trial.

        Where workers had not even started in a turn, as on a busy machine, there is another, which takes that into
        account.
        """
        for _ in range(MOST_LOOKS):
            self._turn(family, look_s)
            seen = family.seen
            is_judged = seen.best is not None or (seen.unfinished and self.reference is not None)
            if is_judged or family.left or self.left_s <= self.start_s:
                return

    def _next(self) -> Family | None:
        """Return the family with the highest expected gain a second, and leave those that are hopeless."""
        best, reference = self.best, self.reference
        if best is None:
            return next((family for family in self.families if not family.left), None)
        value = best.seen.best or 0.0
        expected: list[tuple[float, Family]] = []
        for family in self.families:
            found = self._forecast(family, reference, value)
            if found:
                expected.append((found.gain(value) / max(found.seconds, 1.0), family))
        return max(expected, key=lambda pair: pair[0])[1] if expected else None

    def _forecast(
        self, family: Family, reference: TrialCurve | None, best: float
    ) -> Forecast | None:
        """Return what is expected of a family; None, with the reason noted, if it gets no more turns."""
        if family.left:
            return None
        if not family.seen.unfinished and family.is_exhausted:
            family.left = "every configuration of its space was tried"
            return None
        found = family.forecast(reference)
        if found is None:
            family.left = "no trial of it was evaluated in the time that it had"
            return None
        is_leading = family.seen.best == best
        if found.chance(best) < HOPELESS and not is_leading:
            family.left = (
                f"{self._standing(family)}; {found.chance(best):.1%} likely to pass {best:.4f}"
            )
            return None
        return found

    def _standing(self, family: Family) -> str:
        seen = family.seen
        if seen.unfinished:
            curve = max(seen.unfinished, key=lambda each: each.best)
            return f"{curve.best:.4f} after {curve.epoch} epochs of its most promising trial"
        return f"{seen.best:.4f}, the best of {len(seen.ended)} trials"

    def _turn_s(self, family: Family) -> float:
        """Return the seconds of training of a turn: as many as a new trial takes, and at least some looks' seconds."""
        least_s = TURN_LOOKS * self.schedule.look_s(len(self.families))
        found = family.forecast(self.reference)
        if found is None or family.seen.unfinished:
            return least_s
        return max(ROOM * found.seconds, least_s)

    def _turn(self, family: Family, training_s: float) -> None:
        """Work on a family's study for some seconds of training; a family whose trials fail is left."""
        imports_s = 0.0 if self._starts_s else MOST_IMPORTS_S
        seconds = min(training_s + self.start_s + imports_s, self.left_s)
        trained_before, begun = family.seen.seconds, self.schedule.passed_s
        family.ask_for(self.workers)
        family.turns += 1
        try:
            self.work(family, seconds)
        except (InterruptedStudyError, StorageError):
            raise
        except BladeTuneError as error:
            log.warning("model=%s is left: %s", family.model, error)
            family.left = f"failed: {str(error).splitlines()[0]}"
        family.refresh()
        trained_s = (family.seen.seconds - trained_before) / self.workers
        self._starts_s.append(max(0.0, self.schedule.passed_s - begun - trained_s))
        self.tell(self._turn_words(family))

    def _turn_words(self, family: Family) -> str:
        best = self.best
        reached = "nothing yet" if family.seen.best is None else f"{family.seen.best:.4f}"
        leading = f"; best so far {best.model} {best.seen.best:.4f}" if best else ""
        return f"{family.model}: {reached}, {len(family.seen.ended)} trials{leading}"
