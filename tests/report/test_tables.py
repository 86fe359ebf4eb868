"""Studies as plain rows."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from blade_tune.report import tables
from blade_tune.study.definition import StudyDefinition
from blade_tune.study.folder import StudyFolder
from blade_tune.study.stored import StoredStudy
from tests.cli.program import TINY

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "model.alpha": FloatDistribution(0.0, 1.0, step=0.1),
    "model.augmentation": CategoricalDistribution(["add", "mask"]),
    "model.mask_exponent": CategoricalDistribution([0.5, 1.0]),
    "train.learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
}
ADD = {"model.alpha": 0.1 + 0.2, "model.augmentation": "add", "train.learning_rate": 0.002}
MASK = {"model.alpha": 0.5, "model.augmentation": "mask", "model.mask_exponent": 0.5, "train.learning_rate": 0.003}


def trial(state: TrialState, params: dict[str, Any] = ADD, **given: Any) -> optuna.trial.FrozenTrial:
    return create_trial(
        state=state, params=params, distributions={name: DISTRIBUTIONS[name] for name in params}, **given
    )


@pytest.fixture
def stored(tmp_path: Path) -> StoredStudy:
    """A study with a row of every kind: completed, interrupted, its continuation, failed, pruned, waiting."""
    study = optuna.create_study(study_name="tiny", direction="maximize")
    study.set_user_attr("budget", 4)
    facts = {"best_epoch": 1, "valid.ndcg@10": 0.2}
    study.add_trials(
        [
            trial(TrialState.COMPLETE, value=0.2, user_attrs=facts, intermediate_values={2: 0.1, 1: 0.2}),
            trial(TrialState.FAIL, MASK, user_attrs={"reason": "interrupted"}),
            trial(TrialState.COMPLETE, MASK, value=0.3, user_attrs={"root": 1}, intermediate_values={1: 0.3}),
            trial(TrialState.FAIL, user_attrs={"reason": "nan", "message": "epoch 1, step 2"}),
            trial(TrialState.PRUNED, intermediate_values={1: 0.01}),
            create_trial(state=TrialState.WAITING),
        ]
    )
    return StoredStudy(study, StudyDefinition.from_mapping("tiny", TINY, "test"), StudyFolder(tmp_path, "tiny"))


def read(text: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(text))


def test_csv_has_the_union_of_columns():
    """Rows with different columns share a header, in order of first appearance; what a row lacks is empty."""
    assert tables.as_csv([{"a": 1}, {"b": 2, "a": 3}]) == "a,b\n1,\n3,2\n"


def test_csv_writes_none_as_nothing():
    """None is an empty field, which 0, False and an empty text do not differ from by accident."""
    assert tables.as_csv([{"a": None, "b": 0, "c": False, "d": 0.0}]) == "a,b,c,d\n,0,False,0.0\n"


def test_csv_keeps_any_text():
    """Commas, quotes and line ends of a message come back as they were."""
    message = 'a loss, "next",\nis not finite'
    assert [row["message"] for row in read(tables.as_csv([{"message": message}]))] == [message]


def test_csv_keeps_every_digit():
    """A float is written so that reading it gives the same float."""
    value = 0.1 + 0.2
    (row,) = read(tables.as_csv([{"value": value}]))
    assert float(row["value"]) == value


def test_status_counts_each_row_once(stored):
    """Continued attempts stand apart from failures, and the scored ones are those charged to the budget."""
    facts = tables.status(stored)
    assert facts["trials"] == {
        "complete": 2,
        "pruned": 1,
        "failed": 1,
        "running": 0,
        "waiting": 1,
        "continued": 1,
    }
    assert (facts["budget"], facts["scored"]) == (4, 3)


def test_status_names_the_best(stored):
    """The best is the completed trial of the highest value, with the parameters that it has."""
    assert tables.status(stored)["best"] == {"number": 2, "value": 0.3, "params": MASK}


def test_status_without_a_completed_trial_has_no_best(stored):
    """Where nothing has completed, best is None."""
    empty = optuna.create_study(study_name="empty")
    empty.set_user_attr("budget", 4)
    assert tables.status(StoredStudy(empty, stored.definition, stored.folder))["best"] is None


def test_trial_rows_share_their_columns(stored):
    """Every row of a study has the free parameters, whatever became of the trial; a value it lacks is None."""
    rows = tables.trial_rows(stored)
    shared = [name for name in rows[0] if not name.startswith("valid.")]
    assert all([name for name in row if not name.startswith("valid.")] == shared for row in rows)
    assert [name for name in shared if "." in name] == list(DISTRIBUTIONS)
    assert (rows[0]["model.mask_exponent"], rows[1]["model.mask_exponent"]) == (None, 0.5)
    assert [rows[-1][name] for name in DISTRIBUTIONS] == [None] * len(DISTRIBUTIONS)


def test_trial_rows_tell_what_became_of_each(stored):
    """A row has its state, its reason, its root and, where there is one, its message."""
    rows = tables.trial_rows(stored)
    assert [row["state"] for row in rows] == ["complete", "fail", "complete", "fail", "pruned", "waiting"]
    assert [row["reason"] for row in rows] == [None, "interrupted", None, "nan", None, None]
    assert [row["root"] for row in rows] == [0, 1, 1, 3, 4, 5]
    assert rows[3]["message"] == "epoch 1, step 2"


def test_trial_rows_have_no_dust(stored):
    """A parameter is the value that was trained on: 0.3, not 0.1 + 0.2."""
    assert tables.trial_rows(stored)[0]["model.alpha"] == 0.3 != ADD["model.alpha"]


def test_times_are_utc(stored):
    """Start and end are UTC to the second; a waiting row has neither."""
    first, *_, last = tables.trial_rows(stored)
    start = stored.trials[0].datetime_start
    assert start is not None
    assert first["started"] == start.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (last["started"], last["ended"]) == (None, None)


def test_brief_rows_fit_a_screen(stored):
    """A brief row keeps what matters on a screen, its parameters without their group."""
    assert tables.brief(tables.trial_rows(stored)[:1]) == [
        {
            "number": 0,
            "state": "complete",
            "reason": None,
            "value": 0.2,
            "alpha": 0.3,
            "augmentation": "add",
            "mask_exponent": None,
            "learning_rate": 0.002,
            "best_epoch": 1,
            "epochs": None,
            "seconds": None,
            "tag": None,
        }
    ]


def test_epoch_rows_are_a_row_an_epoch(stored):
    """A trial's metrics.jsonl becomes rows under trial and epoch, losses prefixed; trials without one have none."""
    path = stored.folder.trial(2).metrics
    path.parent.mkdir(parents=True)
    first = {"epoch": 1, "losses": {"next": 0.7}, "learning_rate": 1e-3, "seconds": 0.1, "metrics": {}}
    second = {**first, "epoch": 2, "metrics": {"ndcg@10": 0.3}}
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    assert tables.epoch_rows(stored) == [
        {"trial": 2, "epoch": 1, "loss.next": 0.7, "learning_rate": 1e-3, "seconds": 0.1},
        {"trial": 2, "epoch": 2, "loss.next": 0.7, "ndcg@10": 0.3, "learning_rate": 1e-3, "seconds": 0.1},
    ]


def test_facts_of_a_trial_are_all_of_it(stored):
    """They have the configuration with what the study fixes, the curve in order of epoch, and its root's folder."""
    facts = tables.trial_facts(stored, stored.trials[0])
    assert facts["configuration"] == {**stored.definition.space.fixed, **ADD, "model.alpha": 0.3}
    assert list(facts["curve"].items()) == [("1", 0.2), ("2", 0.1)]
    continued = tables.trial_facts(stored, stored.trials[2])
    assert continued["folder"] == str(stored.folder.trial(1).path)


def test_tables_are_written_anew(stored):
    """trials.csv and epochs.csv are derived: what stood in them is gone."""
    stored.folder.path.mkdir(parents=True)
    for name in ("trials.csv", "epochs.csv"):
        (stored.folder.path / name).write_text("old")
    tables.write_tables(stored)
    written = list(read((stored.folder.path / "trials.csv").read_text()))
    assert [row["number"] for row in written] == ["0", "1", "2", "3", "4", "5"]
    assert (stored.folder.path / "epochs.csv").read_text().strip() == ""
