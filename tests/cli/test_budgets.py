"""`compare --budget UNIT:N`: what it takes, and what is no budget."""

import click
import pytest
from click.testing import CliRunner

from blade_tune.cli.program import blade_tune
from blade_tune.selection import compare as comparing
from blade_tune.selection.compare import FITS, Budget
from blade_tune.storage.spending import Limit


def asked(monkeypatch: pytest.MonkeyPatch, *flags: str) -> Budget | str:
    """The budget that the flags give the definitions, or what is said against them."""
    budgets: list[Budget] = []

    def define(_: str, __: object, budget: Budget, *___: object) -> None:
        budgets.append(budget)
        raise click.ClickException("seen")

    monkeypatch.setattr(comparing, "define", define)
    ended = CliRunner().invoke(
        blade_tune, ["compare", "--study", "tiny", "--models", "all", *flags]
    )
    return budgets[0] if budgets else ended.output


@pytest.mark.parametrize(
    ("flags", "budget"),
    [
        ((), Budget(60, 3, 5)),
        (("--trials", "8"), Budget(8, 3, 5)),
        (("--budget", "trials:8"), Budget(8, 3, 5)),
        (("--budget", "steps:36000"), Budget(FITS, 3, 5, None, Limit("steps", 36000))),
        (("--budget", "hours:1.5"), Budget(FITS, 3, 5, None, Limit("hours", 1.5))),
        (("--budget", "cpu_hours:1.5"), Budget(FITS, 3, 5, None, Limit("cpu_hours", 1.5))),
    ],
)
def test_budgets_that_may_be_asked_for(monkeypatch: pytest.MonkeyPatch, flags, budget):
    """A number of trials, which has a flag of its own, of steps, or of hours."""
    assert asked(monkeypatch, *flags) == budget


@pytest.mark.parametrize(
    "flags",
    [
        ("--budget", "epochs:5"),
        ("--budget", "steps"),
        ("--budget", "steps:0"),
        ("--budget", "steps:1.5"),
        ("--budget", "hours:inf"),
        ("--budget", "hours:nan"),
        ("--budget", "36000"),
    ],
)
def test_what_is_no_budget_is_refused_with_its_form(monkeypatch: pytest.MonkeyPatch, flags):
    """The message says what a budget looks like and what was given."""
    said = asked(monkeypatch, *flags)
    assert "trials:N, steps:N, hours:N or cpu_hours:N" in said
    assert f"got {flags[1]}." in said


def test_two_numbers_of_trials_are_one_too_many(monkeypatch: pytest.MonkeyPatch):
    """`--trials` is the short form of a budget, not a second one."""
    said = asked(monkeypatch, "--trials", "8", "--budget", "steps:9")
    assert "give one of the two" in said
