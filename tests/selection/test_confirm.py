"""Confirmation: chosen by the mean on fresh shared seeds, with what was chosen said beside it."""

import json
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from blade_tune.data.store import prepare
from blade_tune.errors import (
    InterruptedStudyError,
    NonFiniteError,
    NothingToExportError,
    RunsMissingError,
)
from blade_tune.fleet.settings import RunSettings
from blade_tune.models.blade.model import Blade
from blade_tune.selection.confirm import confirm, leaders, load_confirmation
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.selection.runs import seeds
from blade_tune.selection.statistics import estimate, winner_interval
from blade_tune.selection.testing import Opening
from blade_tune.selection.testing import test_runs as open_test_rows
from blade_tune.storage.trials import ranked
from blade_tune.study.create import open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.trial.callback import Callback
from tests.export.test_export import CPU
from tests.selection.small import IdleExecutor, num_rows, own_executor
from tests.tiny import define, run, stored, work


def test_all_candidates_share_fresh_seeds(search: StoredStudy):
    """The top configurations are trained on the same seeds, none of which any trial of the search had."""
    found = confirm(search, 3, 2, own_executor())
    assert found.seeds == seeds(search.definition, 2)
    assert {candidate.trial for candidate in found.candidates} == {
        trial.number for trial in ranked(search.trials)[:3]
    }
    for candidate in found.candidates:
        rows = [found.runs.trials[number] for number in candidate.runs]
        assert tuple(row.user_attrs["seed"] for row in rows) == found.seeds
        assert tuple(row.value for row in rows) == candidate.scores
        assert all(row.user_attrs["given"]["values"] == candidate.values for row in rows)


def test_the_winner_has_the_highest_confirmed_mean(search: StoredStudy):
    """What the search thought of it plays no part; figures are those of the statistics."""
    found = confirm(search, 4, 2, own_executor())
    means = [np.mean(candidate.scores) for candidate in found.candidates]
    assert means == sorted(means, reverse=True)
    assert found.winner.estimate == estimate(found.winner.scores)
    assert found.winner_interval == winner_interval(found.winner.scores, 4)
    assert found.winner.inflation == found.winner.search_value - found.winner.estimate.mean
    assert sum(candidate.prob_best for candidate in found.candidates) == pytest.approx(1.0)
    assert load_confirmation(search) == found


def test_a_longer_confirmation_trains_only_what_is_new(search: StoredStudy):
    """More seeds or more candidates go on from the runs that are there."""
    confirm(search, 2, 2, own_executor())
    assert num_rows(search) == 4
    confirm(search, 2, 3, own_executor())
    assert num_rows(search) == 6
    confirm(search, 3, 2, own_executor())
    assert num_rows(search) == 8
    confirm(search, 3, 2, own_executor())
    assert num_rows(search) == 8


def test_repeats_of_a_configuration_are_one_candidate(tmp_path: Path):
    """Of replicates the best stands for its configuration, and the next configuration follows."""
    run(
        tmp_path,
        search__trials=4,
        space__model__num_heads=1,
        space__model__alpha=0.5,
        space__model__lambda_={"choice": [0.1, 0.2]},
    )
    found = leaders(stored(tmp_path), 5)
    assert len(found) == 2
    assert len({trial.params["model.lambda_"] for trial in found}) == 2
    assert found[0] == ranked(stored(tmp_path).trials)[0]


class _Stops(Callback):
    """Ctrl-C after some trials have ended."""

    def __init__(self, after: int) -> None:
        self.left = after

    def trial_ended(self, *_) -> None:
        self.left -= 1
        if not self.left:
            raise InterruptedStudyError("on purpose")


def test_an_unfinished_confirmation_is_none(search: StoredStudy):
    """Stopped half-way nobody is chosen; the same call goes on, and ends as if it had never been stopped."""
    with pytest.raises(InterruptedStudyError):
        confirm(search, 2, 2, own_executor(_Stops(after=3)))
    assert load_confirmation(search) is None
    confirm(search, 2, 2, own_executor())
    assert num_rows(search) == 4


def test_a_configuration_that_fails_is_no_candidate(
    search: StoredStudy, monkeypatch: pytest.MonkeyPatch
):
    """Where a run of a configuration fails, the others are compared without it."""
    first, second = leaders(search, 2)
    values, losses = search.values(first), Blade.losses

    def broken(self, batch):
        if (self.config.alpha, self.config.lambda_) == (
            values["model.alpha"],
            values["model.lambda_"],
        ):
            raise NonFiniteError("on purpose")
        return losses(self, batch)

    monkeypatch.setattr(Blade, "losses", broken)
    found = confirm(search, 2, 2, own_executor())
    assert [candidate.trial for candidate in found.candidates] == [second.number]


def test_without_a_completed_trial_there_is_nothing_to_confirm(
    search: StoredStudy, monkeypatch: pytest.MonkeyPatch
):
    """It is an error that says so, and nothing is trained."""
    monkeypatch.setattr(type(search), "trials", [])
    with pytest.raises(NothingToExportError, match="no completed trial"):
        confirm(search, 2, 2, own_executor())


def candidate(
    trial: int, scores: tuple[float, ...], num_parameters: int, seconds: float = 1.0
) -> Candidate:
    return Candidate(trial, {}, 0.0, (), scores, estimate(scores), 0.5, num_parameters, seconds)


def test_the_smallest_that_cannot_be_told_apart():
    """Within one standard error of the winner's mean the fewest parameters win, then the fewest seconds."""
    best = candidate(0, (0.30, 0.34, 0.32), 900)  # one standard error below its mean is 0.3085
    close, as_small = (
        candidate(1, (0.31, 0.31, 0.31), 500, 2.0),
        candidate(2, (0.309, 0.309, 0.309), 500, 1.0),
    )
    far = candidate(3, (0.308, 0.308, 0.308), 100)
    found = Confirmation(
        "ndcg@10", "fresh seed", (1, 2, 3), (best, close, as_small, far), (0.0, 1.0), runs=None
    )
    assert found.smallest is as_small
    assert (
        Confirmation(
            "ndcg@10", "fresh seed", (1, 2, 3), (best, far), (0.0, 1.0), runs=None
        ).smallest
        is best
    )


def test_test_rows_are_opened_for_the_winner_once(search: StoredStudy):
    """Each run of the winner is a line of the ledger; asked again, nothing is opened."""
    found = confirm(search, 2, 2, own_executor())
    assert search.ledger.entries() == []
    runs = found.winning_runs
    for _ in range(2):
        open_test_rows(search, found, Opening("confirm --test", CPU, None))
        entries = search.ledger.entries()
        assert [(entry["trial"], entry["seed"]) for entry in entries] == [
            (row.number, row.user_attrs["seed"]) for row in runs
        ]
        assert {entry["command"] for entry in entries} == {"confirm --test"}


def test_test_figures_are_those_of_the_kept_weights(search: StoredStudy):
    """A run ranks the test rows as an export of it does, and its validation ranks are those of its best epoch."""
    from blade_tune.export.final import ExportOptions, export_best

    found = confirm(search, 2, 2, own_executor())
    first = found.winning_runs[0]
    open_test_rows(search, found, Opening("confirm --test", CPU, None))
    said = json.loads(found.runs.files(first).test.read_text())
    exported = export_best(search, ExportOptions(search.folder.best, CPU))
    assert (exported["rule"], exported["trial"]) == ("confirmed", found.winner.trial)
    assert {name: said[name] for name in exported["test"]} == exported["test"]
    assert said["baselines"] == exported["baselines"]
    assert exported["valid"]["ndcg@10"] == first.value


def test_weights_that_are_elsewhere_open_nothing(search: StoredStudy):
    """Where a run's weights are not here, the ledger has no line for it."""
    found = confirm(search, 2, 2, own_executor())
    found.runs.files(found.winning_runs[0]).weights.unlink()
    with pytest.raises(RunsMissingError, match="weights of run"):
        open_test_rows(search, found, Opening("confirm --test", CPU, None))
    assert search.ledger.entries() == []


def test_a_confirmation_on_each_database(tmp_path: Path, database_url: str):
    """SQLite and PostgreSQL hold search, runs and what was found alike; asked for at once, runs are planned once."""
    definition = define(search__trials=2)
    place = Workspace.at(database_url, tmp_path)
    search = open_study(definition, prepare(definition.data, None, tmp_path), place)
    work(search)

    def ask() -> None:
        with pytest.raises(RunsMissingError, match="runs are not complete"):
            confirm(search, 2, 2, IdleExecutor(RunSettings(), [], Callback()))

    asked = [Thread(target=ask) for _ in range(3)]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    assert num_rows(search) == 4
    found = confirm(search, 2, 2, own_executor())
    assert num_rows(search) == 4
    assert load_confirmation(place.study("tiny")) == found
