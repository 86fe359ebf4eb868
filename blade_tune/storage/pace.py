"""How fast a study goes and how long it still takes, told from its rows and attempts alone.

So whoever asks is told the same: the process that began a run, one that joined it, `status --watch`. A trial that has
run for so long is expected to end as those did that ran for longer. Until a first trial has ended, all are taken to
train every epoch, and the time that is left is the most that it can be.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from optuna.trial import FrozenTrial

from blade_tune.storage.attempts import Attempt
from blade_tune.storage.spending import SECONDS_AN_HOUR, UNLIMITED, Limit
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import is_promoted, num_scored, root_number

LEAST_S = 1e-3  # a trial takes no less, so that a rate is finite


@dataclass(frozen=True)
class Pace:
    """The pace of a study, and the time that is left with the workers that it has now."""

    per_hour: float  # scored trials
    left_s: float
    is_bound: bool  # no trial has ended yet, so it is the most that it can be


@dataclass(frozen=True)
class Work:
    """Who works on a study now."""

    attempts: Sequence[Attempt]  # the open ones
    num_workers: int
    now: float  # seconds since 1970 by the clock of the attempts


def find_pace(
    trials: Sequence[FrozenTrial], work: Work, max_epochs: int, budget: int, limit: Limit | None
) -> Pace | None:
    """Return how fast a study goes and how long it takes; None where nobody works on it, or nothing is known yet.

    Args:
        trials: all rows of the study, in order of number.
        work: who works on it.
        max_epochs: the most epochs that a trial trains.
        budget: the trials that it shall have in all.
        limit: what else they may spend together.
    """
    if not work.num_workers:
        return None
    passed = _seconds_of_trials(trials, work)
    running = _running(trials, work)
    unfinished = {root_number(trial) for trial in trials if not trial.state.is_finished()}
    lasted = [seconds for root, seconds in passed.items() if root not in unfinished]

    # What a trial costs that is scored, failed ones included; before the first, what all of its epochs will take
    num_done = num_scored(trials)
    if lasted and num_done:
        each = sum(lasted) / num_done
    else:
        bounds = [max_epochs * seconds for seconds in map(_epoch_seconds, running) if seconds]
        if not bounds:
            return None
        each = fmean(bounds)
    each = max(each, LEAST_S)

    # What runs to its end, and what is not begun
    left = []
    if budget < UNLIMITED:
        rests = [
            _rest(trial, passed[root_number(trial)], lasted, max_epochs, each) for trial in running
        ]
        num_charged = sum(not is_promoted(trial) for trial in running)
        num_new = max(0, budget - num_done - num_charged)
        shared = (num_new * each + sum(rests)) / work.num_workers
        left.append(max([shared, *rests]))
    if limit is not None:
        left += _left_of(limit, trials, sum(passed.values()) / work.num_workers)
    if not left:
        return None
    return Pace(SECONDS_AN_HOUR * work.num_workers / each, min(left), is_bound=not lasted)


def _running(trials: Sequence[FrozenTrial], work: Work) -> list[FrozenTrial]:
    """Return the rows that processes train now; an attempt may be newer than the rows, or its row have just ended."""
    numbers = {attempt.trial_number for attempt in work.attempts}
    return [trial for trial in trials if trial.number in numbers and not trial.state.is_finished()]


def _seconds_of_trials(trials: Iterable[FrozenTrial], work: Work) -> Mapping[int, float]:
    """Return for each trial, by the number of its first row, the seconds that its rows have taken so far."""
    since = {attempt.trial_number: attempt.claimed for attempt in work.attempts}
    seconds: dict[int, float] = defaultdict(float)
    for trial in trials:
        root = root_number(trial)
        if trial.duration is not None:
            seconds[root] += trial.duration.total_seconds()
        elif trial.number in since:
            seconds[root] += max(0.0, work.now - since[trial.number])
    return seconds


def _rest(
    trial: FrozenTrial, passed: float, lasted: Sequence[float], max_epochs: int, each: float
) -> float:
    """Return the seconds until a running trial ends.

    Args:
        trial: its row.
        passed: the seconds that it has taken so far.
        lasted: the seconds of the trials that have ended.
        max_epochs: the most epochs that it trains.
        each: the seconds of a trial of which nothing is known.
    """
    longer = [seconds for seconds in lasted if seconds > passed]
    if longer:
        return fmean(longer) - passed
    epoch_s = _epoch_seconds(trial)
    if epoch_s is None:
        return max(0.0, each - passed)
    # The clock is stored before the first report
    return epoch_s * max(0, max_epochs - max(trial.intermediate_values, default=0))


def _epoch_seconds(trial: FrozenTrial) -> float | None:
    """Return the seconds of an epoch of a trial; None before the first that was evaluated."""
    clock = TrialRecord(trial).get(TrialRecord.clock)
    if not clock:
        return None
    epoch, seconds, _ = clock[-1]
    return seconds / epoch


def _left_of(limit: Limit, trials: Sequence[FrozenTrial], passed_s: float) -> list[float]:
    """Return the seconds until a limit is spent, at the rate so far; nothing where nothing of it is spent yet."""
    spent = limit.spent(trials)
    if not spent > 0:  # or not counted
        return []
    return [max(0.0, limit.total - spent) / spent * passed_s]
