"""Turns of families in a simulated world, in which a second of work is a second on a clock that nobody waits for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from blade_tune.auto.family import (
    COST_S,
    READS_SETS,
    READS_TYPES,
    Family,
    counted,
    in_order,
    searchable,
)
from blade_tune.auto.forecast import Seen, TrialCurve
from blade_tune.auto.schedule import Schedule
from blade_tune.auto.search import Confirming, Search
from blade_tune.errors import BladeTuneError
from blade_tune.spec.definition import is_fitted
from blade_tune.xray.verdict import Finding
from tests.builders import make_catalog, make_model

START_S = 1.0  # of workers, in each turn
LATE = 0.04  # what a model reaches before it has learned the law that it can read
EPOCHS = 20


@dataclass
class World:
    """A clock, and models that train on it."""

    now: float = 0.0

    def clock(self) -> float:
        return self.now


@dataclass
class Simulated(Family):
    """A family whose trials reach a level by a saturating curve; the n-th a little above or below it."""

    world: World = field(default_factory=World)
    level: float = 0.1
    epoch_s: float = 1.0  # of an epoch, or of a fit
    fails: bool = False
    learns_from: int = 0  # the epoch until which it is no better than LATE
    trials: list[list[float]] = field(default_factory=list)
    asked: int = 0

    @property
    def is_fitted(self) -> bool:
        return is_fitted(self.model)

    def refresh(self) -> None:
        curves = [self._curve(figures) for figures in self.trials if figures]
        last = 1 if self.is_fitted else EPOCHS
        ended = tuple(curve for curve in curves if curve.epoch == last)
        self.seen = Seen(ended, tuple(curve for curve in curves if curve.epoch < last))
        self.is_exhausted = self.model == "popularity" and bool(self.trials)

    def ask_for(self, workers: int) -> None:
        self.asked += workers

    def work(self, seconds: float) -> None:
        """Train one trial after another until the time is over, an epoch at a time."""
        end = self.world.now + seconds
        self.world.now += START_S
        if self.fails:
            raise BladeTuneError("worker died")
        last = 1 if self.is_fitted else EPOCHS
        while self.world.now + self.epoch_s <= end and not (
            self.model == "popularity" and self.trials
        ):
            if not self.trials or len(self.trials[-1]) == last:
                self.trials.append([])
            epoch = len(self.trials[-1]) + 1
            luck = 1 + 0.02 * math.sin(7 * len(self.trials))
            rise = 1.0 if self.is_fitted else 1 - math.exp(-4 * epoch / EPOCHS)
            level = self.level if epoch > self.learns_from else LATE
            self.trials[-1].append(level * luck * rise)
            self.world.now += self.epoch_s

    def _curve(self, figures: Sequence[float]) -> TrialCurve:
        return TrialCurve(tuple(enumerate(figures, start=1)), len(figures) * self.epoch_s)


def simulated(
    world: World, levels: Mapping[str, float], seconds: Mapping[str, float] = {}
) -> list[Simulated]:
    nothing: Any = None
    return [
        Simulated(model, nothing, world=world, level=level, epoch_s=seconds.get(model, 0.5))
        for model, level in levels.items()
    ]


def searched(
    world: World, families: Sequence[Simulated], total_s: float, told: list[str] | None = None
) -> Search:
    search = Search(
        families,
        Schedule(total_s, world.clock),
        lambda family, seconds: family.work(seconds),  # type: ignore[attr-defined]
        1,
        Confirming(num_runs=3, num_confirmed=3),
        (told if told is not None else []).append,
    )
    search.run()
    return search


LEVELS = {"popularity": 0.05, "item_knn": 0.1, "sasrec": 0.12, "mbht": 0.06, "blade": 0.11}


@pytest.mark.parametrize("best", ["item_knn", "sasrec", "mbht", "blade"])
def test_the_best_family_gets_the_most_turns(best: str) -> None:
    """Whichever family is best by a quarter, it is found and has the most turns."""
    world = World()
    families = simulated(world, {**LEVELS, best: 0.16})
    search = searched(world, families, 400.0)
    assert search.best is not None
    assert search.best.model == best
    turns = {family.model: family.turns for family in families}
    assert max(turns, key=lambda model: turns[model]) == best


@pytest.mark.parametrize(("counted", "best"), [(0.3, "mbht"), (0.0, "sasrec")])
def test_a_late_learner_is_found_where_its_law_was_counted(counted: float, best: str) -> None:
    """A family that is poor until the middle of its trial gets there if counts say what it may read."""
    world = World()
    families = simulated(world, {**LEVELS, "mbht": 0.3}, {"mbht": 1.5})
    late = families[3]
    late.learns_from, late.counted = 15, counted
    search = searched(world, families, 115.0)
    assert search.best is not None
    assert search.best.model == best


def test_looks_share_the_time_that_cheap_ones_leave() -> None:
    """All looks end within their share of the time, and what fits and hopeless costs leave is had by the rest."""
    world = World()
    families = simulated(world, {**LEVELS, "dymus_plus": 0.1}, {"dymus_plus": 300.0})
    searched(world, families, 400.0)
    looked = {family.model: len(family.trials[0]) for family in families if family.trials}
    assert "dymus_plus" not in looked
    assert looked["blade"] == EPOCHS


def test_a_hopeless_family_is_left_with_a_reason() -> None:
    """A family far below the best has its look and no more, and what it had reached is noted."""
    world = World()
    families = simulated(world, {**LEVELS, "mbht": 0.01})
    searched(world, families, 100.0)
    hopeless = next(family for family in families if family.model == "mbht")
    assert hopeless.turns == 1
    assert "likely to pass" in hopeless.left
    assert f"after {len(hopeless.trials[0])} epochs" in hopeless.left


def test_an_exhausted_space_gets_no_more_turns() -> None:
    """Where every configuration was tried, time goes elsewhere, and the reason says so."""
    world = World()
    families = simulated(world, {"popularity": 0.2, "sasrec": 0.1})
    searched(world, families, 100.0)
    assert families[0].turns == 1
    assert families[0].left == "every configuration of its space was tried"


@pytest.mark.parametrize("total_s", [20.0, 60.0, 300.0, 3000.0])
def test_time_is_kept_for_what_follows(total_s: float) -> None:
    """When the search ends, the time that the confirmation was planned to take is left, but for one epoch."""
    world = World()
    families = simulated(world, LEVELS, {"blade": 3.0})
    search = searched(world, families, total_s)
    reserve = search.schedule.left_s - search.left_s
    assert search.schedule.left_s >= reserve - 3.0 - START_S
    assert reserve >= 5.0


def test_a_family_that_fails_is_left_and_the_rest_goes_on() -> None:
    """An error of one model ends its turns only."""
    world = World()
    families = simulated(world, LEVELS)
    families[3].fails = True
    search = searched(world, families, 200.0)
    assert families[3].left == "failed: worker died"
    assert families[3].turns == 1
    assert search.best is families[2]


def test_what_there_is_no_time_for_is_named() -> None:
    """In a short time the last families are not looked at, and say so."""
    world = World()
    families = simulated(world, LEVELS)
    searched(world, families, 22.0)
    assert families[-1].left == "there was no time to look at it"
    assert families[0].turns


def test_every_turn_is_told() -> None:
    """A line a turn, with what the family reached and who leads."""
    world = World()
    told: list[str] = []
    families = simulated(world, LEVELS)
    searched(world, families, 100.0, told)
    assert len(told) == sum(family.turns for family in families)
    assert told[0].startswith("popularity: 0.05")
    assert "best so far sasrec" in told[-1]


def test_every_model_has_a_place() -> None:
    """A cost is known of each model that can be searched."""
    assert sorted(COST_S) == sorted(searchable())


def test_a_family_of_which_a_look_has_no_epochs_is_left() -> None:
    """A family of whose epochs a look has too few is left with the reason; given more time it is looked at."""
    for total_s, is_left in ((110.0, True), (3000.0, False)):
        world = World()
        families = simulated(world, {**LEVELS, "dymus_plus": 0.3}, {"dymus_plus": 30.0})
        searched(world, families, total_s)
        assert ("too few of its epochs" in families[-1].left) == is_left
        assert bool(families[-1].turns) != is_left


def test_what_models_read_is_what_they_declare() -> None:
    """Of those that train, READS_SETS and READS_TYPES have the models that read whole sets and types of them."""
    read = {"sets": set(READS_SETS), "behavior_types": set(READS_TYPES)}
    for name in filter(lambda name: not is_fitted(name), searchable()):
        declared = make_model(name, make_catalog()).reads
        assert {kind for kind, names in read.items() if name in names} == {declared} - {"items"}


def finding(low: float) -> Finding:
    return Finding(0.1, 0.1 - low, low, low, low + 0.01, 0.001, 1000)


def test_what_is_counted_is_that_of_readers_in_the_same_metric() -> None:
    """Readers of sets are expected near the counts of sets where those matter and have the search's metric."""
    matters, shows_not = {"sets": finding(0.01)}, {"sets": finding(-0.01)}
    assert counted("mbht", "ndcg@10", matters) == counted("blade", "ndcg@10", matters) == 0.1
    assert counted("sasrec", "ndcg@10", matters) == counted("ease", "ndcg@10", matters) == 0.0
    assert counted("blade", "hr@10", matters) == counted("blade", "ndcg@10", shows_not) == 0.0
    assert counted("blade", "ndcg@10", {}) == 0.0


def test_models_that_read_sets_come_first_where_sets_matter() -> None:
    """Where sets matter, the cheapest is the reference; then come readers of whole sets, of types, and others."""
    models = ["sasrec", "cl4srec", "blade", "mbht", "eidp", "popularity"]
    assert in_order(models, {"sets": finding(0.01)}) == [
        *("popularity", "sasrec", "eidp", "blade", "mbht", "cl4srec")
    ]
    assert in_order(models, {"sets": finding(-0.01)}) == [
        *("popularity", "sasrec", "mbht", "cl4srec", "eidp", "blade")
    ]
    assert in_order(["ials", "popularity"], {"sets": finding(0.01)}) == ["popularity", "ials"]
    assert in_order(models, {}) == in_order(models, {"sets": finding(-0.01)})
