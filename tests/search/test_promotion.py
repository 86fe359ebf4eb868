"""Which trials go on at a rung, which wait, and which never will: the rule against a slow twin, and whole searches."""

import random
from collections import Counter
from dataclasses import dataclass, field

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from blade_tune.search.promotion import KEPT_PAUSED, Ladder, Standing
from blade_tune.spec.study_file import PrunerConfig
from blade_tune.storage.trial_record import EndReason, attributes
from blade_tune.storage.trials import (
    is_paused,
    is_promoted,
    logical_trials,
    num_scored,
    root_number,
)
from blade_tune.training.config import FitConfig, TrainConfig

EPOCHS = 8
LADDER = Ladder((2, 4), 2)


def ladder(max_epochs: int = 80, eval_every: int = 2, **settings: object) -> Ladder | None:
    config = PrunerConfig(kind="promote", **settings)
    return Ladder.of(config, TrainConfig(max_epochs=max_epochs, eval_every=eval_every))


def test_rungs_are_evaluations_before_the_last_epoch():
    """A share of the epochs is rounded up to an evaluation; equal rungs are one, and one at the end is none."""
    assert ladder() == Ladder((20,), 3)
    assert ladder(rungs=[0.5, 0.1, 0.11], reduction_factor=2) == Ladder((8, 10, 40), 2)
    assert ladder(rungs=[0.01, 0.02]) == Ladder((2,), 3)
    assert ladder(max_epochs=10, eval_every=5, rungs=[0.3, 0.9]) == Ladder((5,), 3)
    assert ladder(max_epochs=30, eval_every=5, rungs=[1 / 3]) == Ladder((10,), 3)
    assert ladder(max_epochs=2, eval_every=2) is None


def test_only_promote_has_rungs():
    """Other pruners pause nothing, nor does any pruner a model that is fitted at once."""
    train = TrainConfig(max_epochs=80, eval_every=2)
    assert Ladder.of(PrunerConfig(kind="asha"), train) is None
    assert Ladder.of(PrunerConfig(kind="promote"), FitConfig()) is None


@dataclass
class Search:
    """A search whose trials are curves, trained by several workers that take turns at random.

    Args:
        curves: the figures of each trial, an epoch each; a short one ends by patience.
        num_workers: how many trials are trained at a time.
        dice: says who is next, and who is interrupted.
    """

    curves: list[list[float]]
    num_workers: int
    dice: random.Random
    rows: list[FrozenTrial] = field(default_factory=list)

    def standing(self) -> Standing:
        return Standing(LADDER, self.rows, len(self.curves))

    def begin(self, **attrs: int) -> None:
        """Add a row that runs."""
        row = optuna.create_trial(state=TrialState.RUNNING, user_attrs=attributes(**attrs))
        row.number = len(self.rows)
        self.rows.append(row)

    def curve(self, row: FrozenTrial) -> list[float]:
        """The figures of a trial: the curves are taken in order of the trials' first rows."""
        roots = [each.number for each in self.rows if root_number(each) == each.number]
        return self.curves[roots.index(root_number(row))]

    def step(self) -> bool:
        """Do one thing, as a worker would; return False where there is nothing to do."""
        running = [row for row in self.rows if row.state == TrialState.RUNNING]
        if len(running) < self.num_workers and self.next_trial():
            return True
        if not running:
            return False
        row = self.dice.choice(running)
        if self.dice.random() < 0.1:
            self.interrupt(row)
        else:
            self.train(row)
        return True

    def next_trial(self) -> bool:
        paused = self.standing().promotable()
        if paused:
            self.begin(root=root_number(paused), promoted=paused.number)
            return True
        started = len({root_number(row) for row in self.rows})
        if started < len(self.curves):
            self.begin()
        return started < len(self.curves)

    def interrupt(self, row: FrozenTrial) -> None:
        """The row fails, and another begins anew."""
        row.state = TrialState.FAIL
        row.user_attrs["reason"] = EndReason.LOST
        attrs = {name: row.user_attrs[name] for name in ("promoted",) if name in row.user_attrs}
        self.begin(root=root_number(row), **attrs)

    def train(self, row: FrozenTrial) -> None:
        """One epoch more, from the start after an interruption, and the end or the pause that it brings."""
        curve = self.curve(row)
        epoch = len(row.intermediate_values) + 1
        row.intermediate_values[epoch] = curve[epoch - 1]
        if epoch == len(curve):
            row.state = TrialState.COMPLETE
        elif self.standing().pauses(row, epoch):
            row.state = TrialState.PRUNED
            row.user_attrs["reason"] = EndReason.PAUSED


figures = st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5])
searches = st.builds(
    Search,
    st.lists(st.lists(figures, min_size=1, max_size=EPOCHS), min_size=1, max_size=9),
    st.integers(1, 4),
    st.integers(0, 2**32).map(random.Random),
)


def reports(rows: list[FrozenTrial], root: int) -> dict[int, float]:
    mine = [row.intermediate_values for row in rows if root_number(row) == root]
    return {epoch: value for values in mine for epoch, value in values.items()}


class Twin:
    """The rule, written from its words: a count for every trial, no order, no place."""

    def __init__(self, rows: list[FrozenTrial], num_trials: int) -> None:
        self.rows = rows
        self.num_trials = num_trials
        self.roots = sorted({root_number(row) for row in rows})
        self.latest = {root: [r for r in rows if root_number(r) == root][-1] for root in self.roots}

    def figure(self, root: int, rung: int) -> float | None:
        values = reports(self.rows, root)
        beyond = [epoch for epoch in values if epoch >= rung]
        return max(values[e] for e in values if e <= min(beyond)) if beyond else None

    def reached(self, rung: int) -> list[int]:
        return [root for root in self.roots if self.figure(root, rung) is not None]

    def num_better(self, root: int, rung: int) -> int:
        mine = self.figure(root, rung)
        figures = [(self.figure(other, rung), other) for other in self.reached(rung)]
        return sum(figure > mine or (figure == mine and other < root) for figure, other in figures)

    def is_paused_at(self, root: int, rung: int) -> bool:
        return is_paused(self.latest[root]) and rung == max(
            other for other in LADDER.rungs if root in self.reached(other)
        )

    def may_reach(self, root: int, rung: int) -> bool:
        if self.latest[root].state == TrialState.RUNNING:
            return True
        return any(
            self.is_paused_at(root, below) and self.may_go_on(root, below)
            for below in LADDER.rungs
            if below < rung
        )

    def num_to_come(self, rung: int) -> int:
        unstarted = self.num_trials - len(self.roots)
        known = [root for root in self.roots if root not in self.reached(rung)]
        return unstarted + sum(self.may_reach(root, rung) for root in known)

    def may_go_on(self, root: int, rung: int) -> bool:
        most = len(self.reached(rung)) + self.num_to_come(rung)
        return self.num_better(root, rung) < max(1, most // LADDER.reduction_factor)

    def goes_on(self, root: int, rung: int) -> bool:
        quota = len(self.reached(rung)) // LADDER.reduction_factor
        if self.num_to_come(rung) == 0:
            quota = max(1, quota)
        return self.num_better(root, rung) < quota

    def promotable(self) -> int | None:
        for rung in reversed(LADDER.rungs):
            ready = [r for r in self.roots if self.is_paused_at(r, rung) and self.goes_on(r, rung)]
            if ready:
                return min(ready, key=lambda root: self.num_better(root, rung))
        return None

    def hopeful(self) -> set[int]:
        return {
            root
            for root in self.roots
            for rung in LADDER.rungs
            if root in self.reached(rung)
            and self.is_paused_at(root, rung)
            and self.may_go_on(root, rung)
        }


@given(searches)
@settings(max_examples=30)
def test_the_rule_is_that_of_its_slow_twin(search: Search):
    """At every moment of every search the same trial is promotable, and the same ones may be in the end."""
    while search.step():
        standing, twin = search.standing(), Twin(search.rows, len(search.curves))
        row = standing.promotable()
        assert (None if row is None else root_number(row)) == twin.promotable()
        assert standing.hopeful == twin.hopeful()
        for row in search.rows:
            epoch = max(row.intermediate_values, default=0)
            if row.state == TrialState.RUNNING and epoch in LADDER.rungs:
                beaten = twin.num_better(root_number(row), epoch)
                assert standing.place(root_number(row), epoch)[0] == beaten + 1
                assert not (standing.pauses(row, epoch) and twin.goes_on(root_number(row), epoch))


@given(searches)
@settings(max_examples=40)
def test_a_search_ends_with_every_trial_charged_once_and_a_winner(search: Search):
    """It comes to an end, has a complete trial, promotes each pause at most once, and leaves nobody with hope."""
    while search.step():
        assert len(search.rows) < 1000
    rows = logical_trials(search.rows)
    assert {row.state for row in rows} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert TrialState.COMPLETE in {row.state for row in rows}
    assert len(rows) == num_scored(search.rows) == len(search.curves)
    assert search.standing().hopeful == set()
    successors = Counter(row.user_attrs["promoted"] for row in search.rows if is_promoted(row))
    lost = sum(row.state == TrialState.FAIL and is_promoted(row) for row in search.rows)
    assert sum(successors.values()) - len(successors) == lost


@given(searches)
@settings(max_examples=40)
def test_what_is_without_hope_never_goes_on(search: Search):
    """A trial whose checkpoint is removed is never promoted, whatever comes after."""
    hopeless: set[int] = set()
    while search.step():
        paused = {root_number(row) for row in logical_trials(search.rows) if is_paused(row)}
        hopeless |= paused - search.standing().hopeful
        assert hopeless <= paused


@given(searches)
@settings(max_examples=40)
def test_no_trial_pauses_twice_at_a_rung(search: Search):
    """Not even one that was interrupted and begins anew: it passes where it has passed."""
    while search.step():
        pass
    pauses = Counter(
        (root_number(row), max(row.intermediate_values)) for row in search.rows if is_paused(row)
    )
    assert set(pauses.values()) <= {1}


def paused_rows(values: list[float]) -> list[FrozenTrial]:
    """Trials that paused at the first rung with these figures."""
    rows = []
    for number, value in enumerate(values):
        row = optuna.create_trial(
            state=TrialState.PRUNED,
            intermediate_values={1: 0.0, 2: value},
            user_attrs=attributes(reason=EndReason.PAUSED),
        )
        row.number = number
        rows.append(row)
    return rows


def test_the_best_half_goes_on_the_best_first_and_of_equals_the_earlier():
    """Of five, two: the best, then of two equal ones the earlier."""
    rows = paused_rows([0.1, 0.3, 0.5, 0.3, 0.2])
    standing = Standing(LADDER, rows, None)
    assert standing.promotable().number == 2
    rows.append(
        optuna.create_trial(state=TrialState.WAITING, user_attrs={"root": 2, "promoted": 2})
    )
    assert Standing(LADDER, rows, None).promotable().number == 1


def test_the_only_trial_goes_on():
    """Where no other trial is to come, one at least goes on; where more may come, it waits for them."""
    rows = paused_rows([0.1])
    assert Standing(LADDER, rows, 1).promotable().number == 0
    assert Standing(LADDER, rows, 2).promotable() is None
    assert Standing(LADDER, rows, None).promotable() is None


def test_a_figure_at_a_rung_is_the_best_up_to_there():
    """A trial whose figure has fallen since its best epoch is judged by that epoch, as its value is."""
    rows = paused_rows([0.3, 0.2])
    rows[1].intermediate_values[1] = 0.4
    assert Standing(LADDER, rows, 2).promotable().number == 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_of_an_unlimited_search_the_best_that_wait_are_kept(share: float):
    """Where nobody knows how many trials come, so many of the paused ones of a rung keep their checkpoints."""
    values = [index / 100 for index in range(60)]
    rows = paused_rows(values)
    num_promoted = int(share * 10)
    for number in sorted(range(60), key=values.__getitem__)[-num_promoted:] if share else []:
        attrs = {"root": number, "promoted": number}
        row = optuna.create_trial(state=TrialState.WAITING, user_attrs=attrs)
        row.number = len(rows)
        rows.append(row)
    first = 60 - num_promoted
    assert Standing(LADDER, rows, None).hopeful == set(range(first - KEPT_PAUSED, first))


def test_a_trial_below_all_rungs_goes_on_at_once():
    """Where the rungs were raised since it paused, nothing holds it."""
    rows = paused_rows([0.1, 0.2])
    higher = Ladder((4, 6), 2)
    assert Standing(higher, rows, 5).promotable().number == 0
    assert Standing(higher, rows, 5).hopeful == {0, 1}
