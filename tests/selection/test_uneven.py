"""Budgets of a comparison's searches that differ by more than 5%."""

import copy
from typing import Any

from optuna.trial import FrozenTrial

from blade_tune.selection.compare import uneven
from blade_tune.study.stored import StoredStudy


class _Other:
    """A study as far as `uneven` looks at one."""

    def __init__(self, label: str, trials: list[Any]) -> None:
        self.label, self.trials = label, trials
        self.definition = type("Definition", (), {"is_fitted": False})
        self.attempts = type(
            "Attempts", (), {"gpu_seconds": staticmethod(lambda: 3600.0 * len(trials))}
        )


def _many(trial: FrozenTrial, count: int) -> list[FrozenTrial]:
    """So many trials, all like one."""
    trials = [copy.copy(trial) for _ in range(count)]
    for number, each in enumerate(trials):
        each.number = number
    return trials


def test_uneven_budgets_are_named(search: StoredStudy) -> None:
    """Over 5% apart, the amounts are said; what was not limited is not held against anybody."""
    trial = search.trials[0]
    some: list[Any] = [
        _Other("blade", _many(trial, 20)),
        _Other("blade_released", _many(trial, 19)),
    ]
    assert uneven(some, None) == []
    some.append(_Other("third", _many(trial, 18)))
    assert uneven(some, None) == ["trials of blade 20, blade_released 19, third 18"]
    assert len(uneven(some, 1.0)) == 2
