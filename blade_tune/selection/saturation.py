"""Whether a search's budget saturates: the best value so far over the trials, steps and hours that were spent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import FrozenTrial

from blade_tune.search.replicates import pooled_noise
from blade_tune.storage.spending import cpu_hours, hours, steps, words_of
from blade_tune.storage.trials import logical_trials, root_number, scored_trials
from blade_tune.study.progress import why_done
from blade_tune.study.stored import StoredStudy

QUARTERS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Moment:
    """What a search had spent and reached when one of its trials ended, trials that failed included."""

    trials: int  # scored ones
    steps: float  # NaN where they were not counted
    hours: float
    cpu_hours: float  # NaN where they were not counted
    best: float | None  # the highest value of a scored trial; None before the first


@dataclass(frozen=True)
class Course:
    """The course of a search, from its first trial that ended to its last."""

    points: Sequence[Moment]
    unit: str  # what the budget is counted in: "trials" or a unit of `spending`
    # By how much another seed alone moves a value (sd); None where that is not known.
    noise: float | None

    def spent(self, point: Moment) -> float:
        """Return what had been spent at a point, in the unit of the budget."""
        return float(getattr(point, self.unit))

    def at(self, share: float) -> Moment | None:
        """Return the last point at which no more than a share of what was spent in all had been spent."""
        total = self.spent(self.points[-1]) if self.points else 0.0
        within = [point for point in self.points if self.spent(point) <= share * total]
        return within[-1] if within else None

    @property
    def best_at_half(self) -> float | None:
        """The best value after the first half of what was spent; None if nothing was scored in it."""
        half = self.at(0.5)
        return half.best if half else None

    @property
    def second_half_added(self) -> float | None:
        """By how much the second half of what was spent raised the best value."""
        before = self.best_at_half
        after = self.points[-1].best if self.points else None
        return None if before is None or after is None else after - before

    @property
    def words(self) -> str:
        """A sentence on what the second half of the budget added."""
        added, before = self.second_half_added, self.best_at_half
        if added is None or before is None:
            return "Nothing was scored in the first half of what was spent, so whether it saturates is not known."
        total = self.spent(self.points[-1])
        last = next(point for point in self.points if point.best == self.points[-1].best)
        amount = f"{total:,.3g}" if "hours" in self.unit else f"{total:,.0f}"
        sentence = (
            f"The second half of {amount} {words_of(self.unit)} added {added:.4f} to the best value ({before:.4f} to "
            f"{before + added:.4f}), which was reached after {self.spent(last) / total:.0%} of them"
        )
        if self.noise is None:
            return f"{sentence}."
        compared = "less" if added < self.noise else "no less"
        return (
            f"{sentence}: {compared} than what another seed alone changes ({self.noise:.4f}, sd)."
        )


def course(stored: StoredStudy) -> Course:
    """Return the course of a search, in the unit of its budget as far as that was counted."""
    ended = [trial for trial in logical_trials(stored.trials) if trial.state.is_finished()]
    ended.sort(key=_end)
    # A trial that was promoted and then failed was scored when it paused.
    scored_roots = {root_number(trial) for trial in scored_trials(stored.trials)}
    points = []
    scored, taken, passed, processor, best = 0, 0.0, 0.0, 0.0, -math.inf
    for trial in ended:
        if root_number(trial) in scored_roots:
            scored += 1
            best = max(best, _value(trial))
        taken += steps([trial])
        passed += hours([trial])
        processor += cpu_hours([trial])
        points.append(Moment(scored, taken, passed, processor, best if scored else None))
    noise = pooled_noise(stored.definition.space, stored.trials)
    deviation = noise.deviation if noise else None
    in_unit = Course(points, stored.limit.unit if stored.limit else "trials", deviation)
    if points and math.isnan(in_unit.spent(points[-1])):
        return Course(points, "trials", deviation)
    return in_unit


def budget_row(stored: StoredStudy, spent: Course) -> dict[str, str | float | None]:
    """Return what a search was given, and what its second half added, for its row of a comparison."""
    return {
        "budget": str(stored.limit) if stored.limit else f"{stored.budget} trials",
        "best_at_half": spent.best_at_half,
        "second_half_added": spent.second_half_added,
    }


def budget_note(stored: StoredStudy, spent: Course) -> str:
    """Return sentences on why a search of a comparison ended, and what the second half of its budget added."""
    why = why_done(stored) or stored.progress_words(stored.trials)
    return f"{stored.label}: {why}. {spent.words}"


def _end(trial: FrozenTrial) -> tuple[datetime, int]:
    return trial.datetime_complete or datetime.max, trial.number


def _value(trial: FrozenTrial) -> float:
    """Return the value of a scored trial; of a pruned one, the highest that it reported."""
    reported = max(trial.intermediate_values.values(), default=-math.inf)
    return reported if trial.value is None else max(trial.value, reported)
