"""Runs: each training of a configuration on a seed is made once, whoever wants it, and a failure costs only itself."""

from collections.abc import Mapping

import pytest

from blade_tune.errors import ConfigError, NonFiniteError, RunsMissingError
from blade_tune.models.blade.model import Blade
from blade_tune.parameter import Value
from blade_tune.selection.runs import Run, execute, require, rows, seeds
from blade_tune.spec.fingerprint import shared_seed, training_seed
from blade_tune.storage.trials import Given, num_scored
from blade_tune.study.stored import StoredStudy
from tests.selection.small import num_rows, own_executor

SMALL: Mapping[str, Value] = {
    "model.embedding_size": 8,
    "model.max_length": 6,
    "model.num_experts": 1,
}


def wanted(*alphas: float, num_seeds: int = 1) -> list[Run]:
    return [
        Run({**SMALL, "model.alpha": a}, 100 + s, f"alpha {a}")
        for a in alphas
        for s in range(num_seeds)
    ]


def test_a_run_is_made_once(search: StoredStudy):
    """What was trained before is found, also where it is wanted beside others, or with its defaults written out."""
    executor = own_executor()
    runs = execute(search, wanted(0.0, 0.5), executor)
    assert executor.worked == [("tiny.runs", 2)]
    (first, second) = require(runs, wanted(0.0, 0.5))
    execute(search, wanted(0.5, 1.0), executor)
    assert executor.worked[1:] == [("tiny.runs", 3)]
    assert [trial.number for trial in require(runs, wanted(0.0, 0.5))] == [
        first.number,
        second.number,
    ]
    # Alpha is 0.5 by default, tau 0.3
    spelled_out = Run({**SMALL, "model.tau": 0.3}, 100, "alpha by default")
    execute(search, [spelled_out, spelled_out], executor)
    assert num_rows(search) == 3


def test_a_run_trains_what_it_was_given(search: StoredStudy):
    """Configuration and seed are those that were asked for, also outside the search space; nothing is drawn."""
    runs = execute(search, [Run({**SMALL, "model.lambda_": 0.0}, 7, "no contrast")], own_executor())
    (trial,) = require(runs, [Run({**SMALL, "model.lambda_": 0.0}, 7, "")])
    assert trial.user_attrs["seed"] == 7
    assert trial.params == {}
    assert Given.of(trial) == Given({**SMALL, "model.lambda_": 0.0}, 7)
    assert trial.user_attrs["tag"] == "no contrast"
    assert trial.user_attrs["num_parameters"] > 0


def test_the_search_is_left_alone(search: StoredStudy):
    """Runs add no row to the search, and cost nothing of its budget."""
    before = [(trial.number, trial.value) for trial in search.trials]
    execute(search, wanted(0.0), own_executor())
    assert [(trial.number, trial.value) for trial in search.trials] == before
    assert num_scored(search.trials) == search.budget


def test_equal_seeds_give_equal_runs(search: StoredStudy):
    """On a CPU the same run in another study of runs has the same value to the last bit; another seed has another."""
    runs = execute(search, wanted(0.5, num_seeds=2), own_executor())
    one, other = require(runs, wanted(0.5, num_seeds=2))
    best = search.trials[0]
    again = Run(search.values(best), best.user_attrs["seed"], "as the search did")
    execute(search, [again], own_executor())
    (trial,) = require(runs, [again])
    assert trial.value == best.value
    assert one.value != other.value


def test_fresh_seeds_are_nobody_elses(search: StoredStudy):
    """Seeds that candidates share differ from each other and from those of any trial of the search."""
    fresh = seeds(search.definition, 50)
    assert len(set(fresh)) == 50
    assert fresh[:5] == seeds(search.definition, 5)
    assert not {trial.user_attrs["seed"] for trial in search.trials} & set(fresh)
    assert training_seed(2026, {}, 0) != shared_seed(2026, 0)


def test_a_failed_run_costs_only_itself(search: StoredStudy, monkeypatch: pytest.MonkeyPatch):
    """Others go on; whoever needs it is told which; the same call again tries it again, and it alone."""
    losses = Blade.losses

    def broken(self, batch):
        if self.config.alpha == 0.25:
            raise NonFiniteError("on purpose")
        return losses(self, batch)

    monkeypatch.setattr(Blade, "losses", broken)
    runs = execute(search, wanted(0.0, 0.25, 0.5), own_executor())
    assert [
        trial.state.name if trial else None for trial in rows(runs, wanted(0.0, 0.25, 0.5))
    ] == [
        "COMPLETE",
        "FAIL",
        "COMPLETE",
    ]
    with pytest.raises(RunsMissingError, match=r"1 of 3 runs are not complete \(alpha 0\.25\)"):
        require(runs, wanted(0.0, 0.25, 0.5))
    monkeypatch.setattr(Blade, "losses", losses)
    execute(search, wanted(0.0, 0.25, 0.5), own_executor())
    assert len(require(runs, wanted(0.0, 0.25, 0.5))) == 3
    assert num_rows(search) == 4


def test_a_run_must_be_a_configuration(search: StoredStudy):
    """A name or value that the settings do not know is refused before anything is stored."""
    with pytest.raises(ConfigError, match=r"alpha must be less than or equal to 1"):
        execute(search, wanted(1.5), own_executor())
    assert num_rows(search) == 0


def test_who_finds_no_run_left_adds_none(search: StoredStudy):
    """A worker that comes to a study of runs without a waiting row trains nothing and leaves no scored row."""
    runs = execute(search, wanted(0.0), own_executor())
    runs.study.set_user_attr("budget", 9)  # as if eight others had failed
    own_executor().work(runs)
    assert num_scored(runs.trials) == 1
    assert num_rows(search) == 1
