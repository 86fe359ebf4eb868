"""Promotion: at rungs all but the best trials pause, and one that is among them later goes on (asynchronous halving).

This is asynchronous successive halving as published (ASHA, MLSys 2020): no trial is lost, it waits to be promoted. Of n
trials that have reached a rung the best floor(n / reduction_factor) go on; where no other trial can reach the rung any
more, at least one does, so that every search has a winner. A trial's figure at a rung is its best up to there, since a
trial's value is that of its best epoch; of equal figures the earlier trial's is better.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial

from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.study_file import PrunerConfig
from blade_tune.storage.spending import UNLIMITED, is_begun
from blade_tune.storage.trials import is_paused, is_scored, root_number
from blade_tune.training.config import FitConfig, TrainConfig

# Paused trials of a rung whose checkpoints are kept where no number of trials bounds how many may go on. Of 400 trials
# that reach a rung, the number above a border that halves them has a standard deviation of 10: a trial that is twice as
# many places away from it will hardly be promoted.
KEPT_PAUSED = 20


@dataclass(frozen=True)
class Ladder:
    """The rungs of a study at which trials pause."""

    rungs: tuple[int, ...]  # epochs with an evaluation, in ascending order, before the last one
    reduction_factor: int  # one in so many goes on

    @classmethod
    def of(cls, pruner: PrunerConfig, train: TrainConfig | FitConfig) -> "Ladder | None":
        """Return the rungs that a pruner declares, each at the next evaluation; None where no trial ever pauses.

        Args:
            pruner: the settings of the pruner.
            train: the training settings that the study fixes.
        """
        if pruner.kind != "promote" or isinstance(train, FitConfig):
            return None
        rungs = set()
        for share in pruner.rungs:
            evaluations = math.ceil(round(share * train.max_epochs, 6) / train.eval_every)
            rungs.add(evaluations * train.eval_every)
        inside = tuple(sorted(rung for rung in rungs if rung < train.max_epochs))
        return cls(inside, pruner.reduction_factor) if inside else None


class Standing:
    """How all trials of a study stand at its rungs at one moment: who goes on, who waits, and who never will.

    Args:
        ladder: the rungs.
        trials: all rows of the study, in order of number.
        num_trials: how many trials the study has in all in the end; None where that is not known.
    """

    def __init__(
        self, ladder: Ladder, trials: Sequence[FrozenTrial], num_trials: int | None
    ) -> None:
        self._ladder = ladder
        self._trials = trials
        roots = [root_number(trial) for trial in trials]
        # The latest row of every trial, by the trial's root
        self._latest = dict(zip(roots, trials, strict=True))
        self._charged = {
            root for root, trial in zip(roots, trials, strict=True) if is_scored(trial)
        }
        # For every rung the trials that have reached it, the best first, and the place of each
        self._order = _order(ladder.rungs, trials, roots)
        self._places = [{root: place for place, root in enumerate(order)} for order in self._order]
        # Paused trials by the latest rung that they have reached; -1 for none, where the rungs were changed since then
        self._paused: dict[int, int] = {}
        for root, trial in self._latest.items():
            if is_paused(trial):
                reached = [rung for rung, places in enumerate(self._places) if root in places]
                self._paused[root] = max(reached, default=-1)
        # How many trials may still reach each rung; infinity where nobody knows
        self._arrivals: list[float] = []
        unstarted = self._num_unstarted(num_trials)
        for rung in range(len(ladder.rungs)):
            self._arrivals.append(self._num_arrivals(rung) + unstarted)

    @classmethod
    def of(
        cls, study: optuna.Study, definition: StudyDefinition, trials: Sequence[FrozenTrial]
    ) -> "Standing | None":
        """Return how the trials of a study stand; None where its pruner does not promote.

        Args:
            study: the study, which has its budget.
            definition: the study's definition.
            trials: all rows of the study, in order of number.
        """
        ladder = Ladder.of(definition.search.pruner, definition.train)
        if ladder is None:
            return None
        budget = int(study.user_attrs["budget"])
        num_trials = None if budget >= UNLIMITED else budget
        if definition.search.sampler == "grid":
            num_points = definition.space.count()
            num_trials = min(number for number in (num_points, budget) if number is not None)
        return cls(ladder, trials, num_trials)

    def place(self, root: int, epoch: int) -> tuple[int, int]:
        """Return the place of a trial among those that have reached a rung, from 1, and how many those are.

        Args:
            root: the number of the trial's first row, which has reported at the rung.
            epoch: the epoch of the rung.
        """
        places = self._places[self._ladder.rungs.index(epoch)]
        return places[root] + 1, len(places)

    def pauses(self, row: FrozenTrial, epoch: int) -> bool:
        """Whether a running row, which has just reported an epoch, is to be paused there.

        A trial is not paused again at a rung from which it was promoted, nor at one that an earlier attempt at it went
        beyond, so that an attempt that starts anew without a checkpoint passes where the one before did.

        Args:
            row: a row of the study, with its report of this epoch.
            epoch: the latest epoch of the row.
        """
        if epoch not in self._ladder.rungs:
            return False
        root = root_number(row)
        for before in self._trials[: row.number]:
            if root_number(before) != root:
                continue
            reached = max(before.intermediate_values, default=0)
            was_promoted = is_paused(before) and reached == epoch
            if reached > epoch or was_promoted:
                return False
        rung = self._ladder.rungs.index(epoch)
        return self._places[rung][root] >= self._num_going_on(rung)

    def promotable(self) -> FrozenTrial | None:
        """Return the paused row whose trial goes on next: of the highest rung the best; None where none may."""
        for rung in reversed(range(len(self._ladder.rungs))):
            for root in self._order[rung][: self._num_going_on(rung)]:
                if self._paused.get(root) == rung:
                    return self._latest[root]
        below_all = [root for root, rung in self._paused.items() if rung < 0]
        return self._latest[min(below_all)] if below_all else None

    @property
    def hopeful(self) -> set[int]:
        """The roots of the paused trials whose checkpoints are kept.

        Where the number of trials is known, these are all that can still be promoted, however well the trials to come
        do. Else they are the best `KEPT_PAUSED` of the paused ones of each rung.
        """
        return {root for root, rung in self._paused.items() if self._is_hopeful(root, rung)}

    def _is_hopeful(self, root: int, rung: int) -> bool:
        if rung < 0:
            return True
        if math.isfinite(self._arrivals[rung]):
            return self._places[rung][root] < self._most_going_on(rung)
        waiting = [other for other in self._order[rung] if self._paused.get(other) == rung]
        return root in waiting[:KEPT_PAUSED]

    def _num_going_on(self, rung: int) -> int:
        """Return how many of the trials that have reached a rung go on, as things stand now."""
        going_on = len(self._order[rung]) // self._ladder.reduction_factor
        return going_on if self._arrivals[rung] else max(1, going_on)

    def _most_going_on(self, rung: int) -> int:
        """Return how many may go on from a rung in the end, if every trial reaches it that can."""
        most = len(self._order[rung]) + self._arrivals[rung]
        return max(1, int(most) // self._ladder.reduction_factor)

    def _num_unstarted(self, num_trials: int | None) -> float:
        """Return how many trials the study will start yet."""
        if num_trials is None:
            return math.inf
        # An attempt that runs holds a slot of the budget, unless its trial is charged already.
        held = {root for root, trial in self._latest.items() if is_begun(trial)}
        return max(0, num_trials - len(self._charged | held))

    def _num_arrivals(self, rung: int) -> int:
        """Return how many of the trials that were started may still reach a rung; lower rungs must be known."""
        count = 0
        for root, trial in self._latest.items():
            if root in self._places[rung]:
                continue
            below = self._paused.get(root)
            if below is None:
                count += is_begun(trial)
            elif below < rung:
                count += self._is_hopeful(root, below)
        return count


def _order(
    rungs: Sequence[int], trials: Sequence[FrozenTrial], roots: Sequence[int]
) -> list[list[int]]:
    """Return for every rung the roots of the trials that have reached it, the best first.

    The reports of all rows of a trial count, for a row that goes on with it repeats them as it goes.
    """
    reports: dict[int, dict[int, float]] = {}
    for trial, root in zip(trials, roots, strict=True):
        if trial.intermediate_values:
            reports.setdefault(root, {}).update(trial.intermediate_values)
    reached: list[list[tuple[float, int]]] = [[] for _ in rungs]
    for root, values in reports.items():
        for rung, figure in enumerate(_figures(values, rungs)):
            reached[rung].append((-figure, root))
    return [[root for _, root in sorted(figures)] for figures in reached]


def _figures(values: Mapping[int, float], rungs: Sequence[int]) -> list[float]:
    """Return the best of the values that a trial has reported up to each of the rungs that it has reached."""
    figures: list[float] = []
    best = -math.inf
    for epoch in sorted(values):
        best = max(best, values[epoch])
        while len(figures) < len(rungs) and epoch >= rungs[len(figures)]:
            figures.append(best)
        if len(figures) == len(rungs):
            break
    return figures
