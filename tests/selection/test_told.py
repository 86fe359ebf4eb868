"""Winners under another target set: the same runs ranked again, and each opening of test rows a line of the ledger."""

import json

import numpy as np
import pytest
import torch

from blade_tune.data.sequences import rows_with
from blade_tune.doctor.damaged_files import Damage
from blade_tune.errors import ConfigError, RunsMissingError
from blade_tune.report.text_tables import markdown
from blade_tune.report.told_tables import told_facts, told_table
from blade_tune.selection import testing
from blade_tune.selection.confirm import confirm
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.scores import load_scores
from blade_tune.selection.testing import Opening
from blade_tune.selection.told import target_sets, told_scores, told_winner
from blade_tune.study.stored import StoredStudy
from blade_tune.training.evaluation import Evaluator
from blade_tune.trial.files import read_told, read_weights, write_told
from blade_tune.trial.model import build_study_model
from tests.selection.small import own_executor

OPENING = Opening("confirm --told", torch.device("cpu"), None)
Confirmed = tuple[StoredStudy, Confirmation]


@pytest.fixture
def confirmed(search: StoredStudy) -> Confirmed:
    """A search with a winner over two seeds."""
    return search, confirm(search, 2, 2, own_executor())


def ranked_by_hand(confirmed: Confirmed, target_set: str) -> np.ndarray:
    """The validation ranks of the winner's runs under a target set, from their weights."""
    search, confirmation = confirmed
    study, data = confirmation.runs, search.data(None)
    protocol = study.definition.objective.model_copy(update={"target_set": target_set})
    ranks = []
    for run in confirmation.winning_runs:
        model = build_study_model(study.definition, study.values(run), data.catalog, "a twin")
        model.load_state_dict(read_weights(study.files(run)))
        windows = data.windows("valid", model.max_length)
        evaluate = Evaluator(windows, rows_with(data.valid), data.catalog, protocol)
        ranks.append(evaluate(model).ranks_U.numpy())
    return np.stack(ranks)


@pytest.mark.parametrize("target_set", ["mode", "constant"])
def test_stored_weights_are_ranked_again(confirmed: Confirmed, target_set):
    """Scores are those of the runs' weights under the other protocol, and nothing is trained or opened for them."""
    search, confirmation = confirmed
    before = len(confirmation.runs.trials)
    found = told_scores(search, confirmation, target_set, "valid", OPENING)
    assert np.array_equal(found.ranks_SU, ranked_by_hand(confirmed, target_set))
    own = load_scores(confirmation.runs, "own", confirmation.winning_runs, "valid")
    assert not np.array_equal(found.ranks_SU, own.ranks_SU)
    assert len(confirmation.runs.trials) == before
    assert search.ledger.entries() == []


def test_the_own_target_set_is_the_runs_own_ranks(confirmed: Confirmed):
    """Asked for, it costs nothing and leaves no file."""
    search, confirmation = confirmed
    found = told_scores(search, confirmation, "truth", "valid", OPENING)
    own = load_scores(confirmation.runs, "own", confirmation.winning_runs, "valid")
    assert np.array_equal(found.ranks_SU, own.ranks_SU)
    assert not confirmation.runs.files(confirmation.winning_runs[0]).all_told


def test_each_ranking_of_test_rows_is_a_line_once(confirmed: Confirmed):
    """A run's own test figures and those of each target set are lines of their own; once more, none."""
    search, confirmation = confirmed
    for _ in range(2):
        told_scores(search, confirmation, "mode", "test", OPENING)
    assert [entry["target_set"] for entry in search.ledger.entries()] == ["mode"] * 2
    for _ in range(2):
        testing.test_runs(search, confirmation, OPENING)
    assert len(search.ledger.entries()) == 4
    told_winner(search, confirmation, target_sets("truth,mode,constant"), OPENING, test=True)
    lines = [entry.get("target_set") for entry in search.ledger.entries()]
    assert lines == ["mode", "mode", None, None, "constant", "constant"]


def test_ranks_without_their_line_are_made_again(confirmed: Confirmed):
    """Files that another ledger knows of are no figures of this one."""
    search, confirmation = confirmed
    told_scores(search, confirmation, "mode", "test", OPENING)
    search.study.set_user_attr("ledger", None)
    search.folder.ledger.unlink()
    told_scores(search, confirmation, "mode", "test", OPENING)
    assert len(search.ledger.entries()) == 2


@pytest.mark.parametrize("change", ["figures", "ranks", "weights"])
def test_damaged_ranks_are_made_again(confirmed: Confirmed, change):
    """Figures, ranks or weights that are not those of the ranking: it is made anew; `doctor` names what was damaged."""
    search, confirmation = confirmed
    found = told_scores(search, confirmation, "mode", "valid", OPENING)
    files = confirmation.runs.files(confirmation.winning_runs[0])
    (told,) = files.all_told
    if change == "figures":
        facts = json.loads(told.figures.read_text())
        told.figures.write_text(json.dumps({**facts, "ndcg@10": 0.9}))
    elif change == "ranks":
        told.ranks.write_bytes(b"no ranks")
    else:  # figures of other weights, whole as such
        facts, ranks_2U = read_told(files, told)
        write_told(told, {**facts, "weights": "0" * 64}, ranks_2U)
    names = [finding.what for finding in Damage(confirmation.runs).findings()]
    assert [str(told.figures) in name for name in names] == [True] * (change != "weights")
    again = told_scores(search, confirmation, "mode", "valid", OPENING)
    assert np.array_equal(again.ranks_SU, found.ranks_SU)
    assert not list(Damage(confirmation.runs).findings())


def test_missing_weights_cost_no_line(confirmed: Confirmed):
    """The model is built before anything is opened, and the error says how to make it again."""
    search, confirmation = confirmed
    confirmation.runs.files(confirmation.winning_runs[0]).weights.unlink()
    with pytest.raises(RunsMissingError, match=r"blade-tune reproduce \d+ --study tiny\.runs"):
        told_scores(search, confirmation, "mode", "test", OPENING)
    assert search.ledger.entries() == []


def test_a_winner_is_shown_under_each_target_set(confirmed: Confirmed):
    """The table has a row for each, and says what was told."""
    search, confirmation = confirmed
    found = told_winner(search, confirmation, target_sets("mode, truth"), OPENING, test=False)
    assert list(found) == ["valid"]
    table = told_table(confirmation, "valid", found["valid"])
    assert [label for label, _ in table.rows] == ["told truth", "told mode"]
    catalog = search.data(None).catalog
    names = ", ".join(catalog.names_of(catalog.told_set("mode")))
    assert f"is told the same for every item to predict, \\{{{names}\\}}" in markdown(table)
    facts = told_facts(found["valid"])
    assert facts["truth"]["ndcg@10"]["mean"] == pytest.approx(confirmation.winner.estimate.mean)


def test_target_sets_are_named_as_in_study_files():
    """In whatever order and how often they are named; an unknown one is refused with what was meant."""
    assert target_sets("constant,truth,mode,truth") == ("truth", "mode", "constant")
    with pytest.raises(ConfigError, match=r"--told: unknown target set 'mod'. Did you mean mode"):
        target_sets("truth,mod")
