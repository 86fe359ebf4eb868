"""What moves a winner is stored with its runs by the worker that has their weights, and said wherever it is chosen."""

import pytest

from blade_tune.report.choice import winner
from blade_tune.report.section import Study
from blade_tune.selection.confirm import confirm
from blade_tune.selection.moves import moves_of, moves_words
from blade_tune.selection.runs import find_runs
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from blade_tune.training.device_data import DeviceData
from blade_tune.training.moves import measure_moves
from blade_tune.trial.files import read_weights
from blade_tune.trial.model import build_study_model
from tests.export.test_export import CPU
from tests.selection.small import own_executor


def test_moves_are_those_of_the_kept_weights(search: StoredStudy):
    """Each run has the moves of its best epoch, the one that is kept; a trial of the search has none."""
    confirmation = confirm(search, 1, 2, own_executor())
    runs = find_runs(search)
    assert runs is not None
    data = search.data(None)
    each = []
    for run in confirmation.winning_runs:
        model = build_study_model(runs.definition, runs.values(run), data.catalog, "test")
        model.load_state_dict(read_weights(runs.files(run)))
        device_data = DeviceData.for_search(
            data, model.max_length, search.definition.objective, CPU
        )
        each.append(measure_moves(model, device_data.evaluator))
        assert TrialRecord(run).moves == pytest.approx(each[-1], abs=1e-6)
    assert len({tuple(moves.values()) for moves in each}) == 2
    assert not any(TrialRecord.moves in TrialRecord(trial) for trial in search.trials)
    # The mean over runs is what is said of the winner
    means = moves_of(runs, confirmation.winner.runs)
    assert means["sets"] == pytest.approx(sum(moves["sets"] for moves in each) / 2, abs=1e-6)
    (section,) = winner(Study(search))
    assert section.facts["moved by its inputs"] == moves_words(means, is_fitted=False)


def test_runs_of_an_earlier_version_are_said_to_be_unmeasured(search: StoredStudy):
    """What was not stored is not made up."""
    assert moves_of(search, (0, 1)) == {}  # whose trials were not measured
    assert moves_words({}, is_fitted=False).startswith("what moves its states was not measured")


def test_the_words_name_what_moved():
    """A fitted model has scores and no dropout; what does not move at all is an exact 0."""
    words = moves_words({"sets": 0.0, "told": 0.0, "order": 0.4142}, is_fitted=True)
    assert (
        words
        == "scores move by: all sets emptied 0, told the rarest behavior 0, order shuffled 0.41"
    )
