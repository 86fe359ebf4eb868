"""Ensembles of confirmed runs: judged as they are exported, stored as a study, refused where nothing is gained."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from blade_tune.data.store import prepare
from blade_tune.errors import ConfigError, NothingToExportError, RunsMissingError
from blade_tune.export.ensemble import export_ensemble
from blade_tune.export.final import ExportOptions
from blade_tune.export.reading import load_bundle
from blade_tune.models.combination import standardized
from blade_tune.selection.confirm import confirm
from blade_tune.selection.ensemble import (
    ConfirmedRun,
    Ensemble,
    choose_ensemble,
    confirmed_runs,
    require_taken,
    searches_of,
)
from blade_tune.selection.ensemble_study import ENSEMBLE, store_ensemble
from blade_tune.selection.statistics import Comparison
from blade_tune.selection.testing import trained_model
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.create import open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from tests.selection.small import own_executor_in
from tests.tiny import define, work

CPU = torch.device("cpu")
NEURAL: Mapping[str, Any] = {"search__trials": 1, "data__num_users": 80, "train__max_epochs": 1}
FITTED: Mapping[str, Any] = {**NEURAL, "train": {}, "space": {"model": {"max_length": 9}}}


def searched(place: Path, name: str, **changes: Any) -> StoredStudy:
    """A study that has run."""
    workspace = Workspace.at(None, place / "results")
    definition = replace(define(**changes), name=name)
    stored = open_study(definition, prepare(definition.data, None, workspace.results), workspace)
    work(stored)
    return stored


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with confirmed studies of a neural model with two runs, of item_knn and of ials with two runs."""
    place = tmp_path_factory.mktemp("confirmed")
    fitted = {key: value for key, value in FITTED.items() if not key.startswith("train__")}
    for name, changes in (
        ("blade", NEURAL),
        ("knn", {**fitted, "model": "item_knn"}),
        ("ials", {**fitted, "model": "ials"}),
    ):
        confirm(searched(place, name, **changes), 1, 2, own_executor_in(place))
    return place


@pytest.fixture
def copy(confirmed: Path, tmp_path: Path) -> Path:
    """The same for a test that adds to it."""
    return shutil.copytree(confirmed, tmp_path / "copy")


def runs_in(place: Path, *names: str) -> list[ConfirmedRun]:
    workspace = Workspace.at(None, place / "results")
    return confirmed_runs(searches_of(names or ("knn", "ials", "blade"), workspace))


def taken(place: Path, counts: tuple[int, ...] = (2, 0, 3, 1, 0)) -> Ensemble:
    """An ensemble of drawn counts, said to be better beyond chance."""
    found = choose_ensemble(runs_in(place), CPU)
    better = replace(found.expected, comparison=Comparison(0.2, 0.1, 0.3, 0.001))
    return replace(found, counts=counts, expected=better)


def test_candidates_are_the_winners_runs(confirmed: Path):
    """Of each study, in their order, the winner's runs on the first seeds; a model that no seed changes has one."""
    runs = runs_in(confirmed)
    assert [run.name for run in runs] == [
        "knn.runs:0", "ials.runs:0", "ials.runs:1", "blade.runs:0", "blade.runs:1",
    ]  # fmt: skip
    assert [run.model for run in runs] == ["item_knn", "ials", "ials", "blade", "blade"]
    assert len({run.seed for run in runs[1:3]}) == 2
    assert [run.window for run in runs] == [9, 9, 9, 6, 6]


def test_single_runs_have_the_figures_that_were_stored(confirmed: Path):
    """An ensemble of one run of the longest window is that run, to the figure of its training."""
    for name in ("knn", "blade"):
        [run, *_] = runs_in(confirmed, name)
        found = choose_ensemble([run], CPU)
        assert found.counts == (1,)
        assert found.at_hand == found.single_at_hand == pytest.approx(run.trial.value, abs=1e-12)
        assert not found.is_taken
        assert "no sum of runs is above" in found.words


def test_copies_of_a_run_are_not_taken(confirmed: Path):
    """The first is drawn alone, and the difference is 0."""
    [run, *_] = runs_in(confirmed, "knn")
    found = choose_ensemble([run, run, run], CPU)
    assert found.counts == (1, 0, 0)
    assert found.expected.comparison.difference == 0
    with pytest.raises(
        NothingToExportError, match="`blade-tune export-best --study knn` writes the best"
    ):
        require_taken(found)


@pytest.mark.parametrize("normalization", ["scores", "ranks"])
def test_the_study_has_the_figure_that_was_chosen(copy: Path, normalization: Any):
    """Its one trial gives what the choice promised for the same users; members and weights are what was drawn."""
    found = choose_ensemble(runs_in(copy), CPU, normalization=normalization)
    assert len(found.members) > 1
    better = replace(found.expected, comparison=Comparison(0.2, 0.1, 0.3, 0.001))
    stored = store_ensemble(replace(found, expected=better), "sum", own_executor_in(copy))
    [trial] = stored.trials
    assert trial.value == pytest.approx(found.at_hand, abs=1e-9)
    values = stored.values(trial)
    assert values["model.normalization"] == normalization
    members = [f"{member.study}:{member.trial}" for member in stored.definition.settled_members]
    weights = [1.0, *(values[f"model.weight_{place}"] for place in range(2, len(members) + 1))]
    largest = max(found.counts)
    assert dict(zip(members, weights, strict=True)) == {
        run.name: count / largest
        for run, count in zip(found.candidates, found.counts, strict=True)
        if count
    }
    assert TrialRecord(trial).metadata[ENSEMBLE]["members"] == {
        run.name: count for run, count in found.members
    }


def test_an_ensemble_is_stored_once(copy: Path):
    """The same one is opened again, and another one of the name gets a number."""
    own = own_executor_in(copy)
    found = taken(copy)
    first = store_ensemble(found, "sum", own)
    again = store_ensemble(found, "sum", own)
    other = store_ensemble(replace(found, counts=(2, 0, 1, 1, 0)), "sum", own)
    assert [each.definition.name for each in (first, again, other)] == ["sum", "sum", "sum-2"]
    assert [len(each.trials) for each in (first, again, other)] == [1, 1, 1]


def test_the_bundle_scores_the_sum_by_hand(copy: Path):
    """It has the drawn runs alone, scores their weighted sum, and its provenance says how they were drawn."""
    found = taken(copy)
    out = copy / "bundle"
    facts = export_ensemble(found, "sum", own_executor_in(copy), ExportOptions(out, CPU))
    assert facts["study"] == "sum"
    data = found.candidates[0].runs.data(None)
    batch = data.windows("valid", 9).rows(torch.arange(20))
    expected_BV = torch.zeros(20, data.num_items)
    for run, count in zip(found.candidates, found.counts, strict=True):
        model = trained_model(run.runs, run.trial, data.catalog).eval()
        with torch.inference_mode():
            scores_BV = model.scores(batch.newest(model.max_length))[:, 1:]
        expected_BV += count / 3 * standardized(scores_BV)
    with torch.inference_mode():
        scores_BV = load_bundle(out).model.scores(batch)[:, 1:]
    torch.testing.assert_close(scores_BV, expected_BV)
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["members"] == ["ials.runs:1", "knn.runs:0", "blade.runs:0"]
    assert provenance["ensemble"]["members"] == {
        "ials.runs:1": 3,
        "knn.runs:0": 2,
        "blade.runs:0": 1,
    }
    card = (out / "README.md").read_text()
    assert "drawn ials.runs:1 3, knn.runs:0 2, blade.runs:0 1 times" in card
    assert not [
        name for name in load_file(out / "weights.safetensors") if name.startswith("members.3")
    ]


# --- what is refused ---


def test_an_ensemble_that_is_not_taken_is_not_stored(copy: Path):
    """Nothing is made, and the error says which study to export."""
    worse = replace(taken(copy), expected=choose_ensemble(runs_in(copy, "knn"), CPU).expected)
    with pytest.raises(NothingToExportError, match=r"no ensemble to export.*does not lie above 0"):
        store_ensemble(worse, "sum", own_executor_in(copy))
    assert Workspace.at(None, copy / "results").find("sum") is None


def test_an_unconfirmed_study_has_no_candidates(copy: Path):
    """The error names the command that confirms it."""
    searched(copy, "fresh", **NEURAL)
    with pytest.raises(ConfigError, match="run `blade-tune confirm --study fresh` first"):
        runs_in(copy, "knn", "fresh")


def test_a_combination_is_no_candidate(copy: Path):
    """The error says to name what it is made of."""
    store_ensemble(taken(copy), "sum", own_executor_in(copy))
    with pytest.raises(ConfigError, match="study sum: is a combination; name the studies"):
        runs_in(copy, "knn", "sum")


@pytest.mark.parametrize(
    "change", [{"data__num_users": 81}, {"objective": {"metric": "hr@5"}}], ids=str
)
def test_other_data_or_protocols_are_refused(copy: Path, change: Mapping[str, Any]):
    """The error names the study and what differs."""
    other = searched(copy, "other", **{**NEURAL, **change})
    confirm(other, 1, 2, own_executor_in(copy))
    with pytest.raises(
        ConfigError, match="study other: must have the data and protocol of knn, got"
    ):
        runs_in(copy, "knn", "other")


def test_a_run_without_weights_is_named(copy: Path):
    """The error says how to make them again."""
    [run, *_] = runs_in(copy, "knn")
    run.runs.files(run.trial).weights.unlink()
    with pytest.raises(RunsMissingError, match=r"reproduce 0 --study knn\.runs"):
        choose_ensemble([run], CPU)


def test_nothing_is_no_candidate():
    """An empty list is refused."""
    with pytest.raises(ConfigError, match="needs a confirmed run, got none"):
        choose_ensemble([], CPU)
