"""Searches replayed on stored learning curves: with a pruner of Optuna's, with promotion, and with one cut for all."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from blade_tune.search.promotion import Ladder, Standing
from blade_tune.storage.trial_record import EndReason, attributes
from blade_tune.storage.trials import root_number

Curve = dict[int, float]  # epoch -> NDCG@10


@dataclass
class Replay:
    """What a rule made of each curve, by its place in the order."""

    evaluations: int = 0
    best: dict[int, float] = field(default_factory=dict)  # the best figure that the trial has shown
    completed: list[int] = field(default_factory=list)

    def see(self, number: int, value: float) -> None:
        self.evaluations += 1
        self.best[number] = max(value, self.best.get(number, 0.0))


def prune(curves: list[Curve], pruner: BasePruner, warmup: int, workers: int) -> Replay:
    """A study on the curves in their order, `workers` at a time, an evaluation of each in turn; see `Objective`."""
    study = optuna.create_study(direction="maximize", pruner=pruner, study_name="replay")
    result = Replay()

    def train(curve: Curve) -> Iterator[None]:
        trial = study.ask()
        for epoch, value in curve.items():
            yield
            result.see(trial.number, value)
            trial.report(value, epoch)
            if epoch > warmup and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
        result.completed.append(trial.number)
        study.tell(trial, result.best[trial.number])

    waiting = map(train, curves)
    running = list(itertools.islice(waiting, workers))
    while running:
        running = [each for each in running if next(each, running) is None]
        running += itertools.islice(waiting, workers - len(running))
    return result


def promote(curves: list[Curve], ladder: Ladder, workers: int) -> Replay:
    """The same with trials that pause and are promoted, by the rule of the package; see `Worker`."""
    search = _Promoting(curves, ladder)
    running: list[Iterator[None]] = []
    while True:
        while len(running) < workers and (row := search.next_row()):
            running.append(search.train(row))
        if not running:
            return search.result
        running = [each for each in running if next(each, running) is None]


class _Promoting:
    """The rows of a search that promotes."""

    def __init__(self, curves: list[Curve], ladder: Ladder) -> None:
        self.curves = curves
        self.ladder = ladder
        self.result = Replay()
        self.rows: list[FrozenTrial] = []
        self.roots: list[int] = []  # the first rows of the curves that were begun
        self._standing: Standing | None = None  # until a row begins, ends or reaches a rung

    def standing(self) -> Standing:
        if self._standing is None:
            self._standing = Standing(self.ladder, self.rows, len(self.curves))
        return self._standing

    def next_row(self) -> FrozenTrial | None:
        paused = self.standing().promotable()
        if paused:
            return self._add(root=root_number(paused), promoted=paused.number)
        if len(self.roots) == len(self.curves):
            return None
        self.roots.append(len(self.rows))
        return self._add()

    def _add(self, **attrs: int) -> FrozenTrial:
        row = optuna.create_trial(state=TrialState.RUNNING, user_attrs=attributes(**attrs))
        row.number = len(self.rows)
        self.rows.append(row)
        self._standing = None
        return row

    def train(self, row: FrozenTrial) -> Iterator[None]:
        index = self.roots.index(root_number(row))
        curve = self.curves[index]
        earlier = self.rows[: row.number]
        before = [other for other in earlier if root_number(other) == root_number(row)]
        done = max((max(other.intermediate_values) for other in before), default=0)
        for epoch, value in curve.items():
            row.intermediate_values[epoch] = value
            if epoch <= done:
                continue
            yield
            self.result.see(index, value)
            if epoch not in self.ladder.rungs:
                continue
            self._standing = None
            is_over = epoch == max(curve)
            if not is_over and self.standing().pauses(row, epoch):
                row.state = TrialState.PRUNED
                row.user_attrs["reason"] = EndReason.PAUSED
                self._standing = None
                return
        self.result.completed.append(index)
        row.state = TrialState.COMPLETE
        self._standing = None


def cut(curves: list[Curve], epoch: int, kept: float) -> Replay:
    """All trials up to one epoch, then the best to their end: a share of them, one at least (i-Epoch keeps one)."""
    result = Replay()
    for index, curve in enumerate(curves):
        for value in (value for step, value in curve.items() if step <= epoch):
            result.see(index, value)
    count = max(1, round(kept * len(curves)))
    best_first = sorted(range(len(curves)), key=lambda index: -result.best[index])
    for index, curve in enumerate(curves):
        if max(curve) <= epoch:
            result.completed.append(index)
        elif index in best_first[:count]:
            for value in (value for step, value in curve.items() if step > epoch):
                result.see(index, value)
            result.completed.append(index)
    return result
