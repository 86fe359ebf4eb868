"""Studies as plain rows."""

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from blade_tune.report import tables
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.attempts import ATTEMPTS, Attempts, Claimant
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.storage.folder import StudyFolder
from blade_tune.storage.process import Owner
from blade_tune.study.stored import StoredStudy
from tests.cli.program import TINY

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "model.alpha": FloatDistribution(0.0, 1.0, step=0.1),
    "model.augmentation": CategoricalDistribution(["add", "mask"]),
    "model.mask_exponent": CategoricalDistribution([0.5, 1.0]),
    "train.learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
}
ADD = {"model.alpha": 0.1 + 0.2, "model.augmentation": "add", "train.learning_rate": 0.002}
MASK = {
    "model.alpha": 0.5,
    "model.augmentation": "mask",
    "model.mask_exponent": 0.5,
    "train.learning_rate": 0.003,
}


def trial(
    state: TrialState, params: dict[str, Any] = ADD, **given: Any
) -> optuna.trial.FrozenTrial:
    return create_trial(
        state=state,
        params=params,
        distributions={name: DISTRIBUTIONS[name] for name in params},
        **given,
    )


@pytest.fixture
def stored(tmp_path: Path) -> StoredStudy:
    """A study with a row of every kind: completed, interrupted, its continuation, failed, pruned, waiting."""
    stored = empty_study(tmp_path)
    facts = {"best_epoch": 1, "valid.ndcg@10": 0.2}
    stored.study.add_trials(
        [
            trial(
                TrialState.COMPLETE,
                value=0.2,
                user_attrs=facts,
                intermediate_values={2: 0.1, 1: 0.2},
            ),
            trial(TrialState.FAIL, MASK, user_attrs={"reason": "interrupted"}),
            trial(
                TrialState.COMPLETE,
                MASK,
                value=0.3,
                user_attrs={"root": 1},
                intermediate_values={1: 0.3},
            ),
            trial(TrialState.FAIL, user_attrs={"reason": "nan", "message": "epoch 1, step 2"}),
            trial(TrialState.PRUNED, intermediate_values={1: 0.01}),
            create_trial(state=TrialState.WAITING),
        ]
    )
    return stored


def empty_study(results: Path) -> StoredStudy:
    """A study of four trials, none of which was asked for."""
    storage = open_storage(resolve_url(None, results), create=True)
    Attempts.create_table(storage)
    study = optuna.create_study(storage=storage, study_name="tiny", direction="maximize")
    study.set_user_attr("budget", 4)
    definition = StudyDefinition.from_mapping("tiny", TINY, "test")
    return StoredStudy(study, definition, StudyFolder(results, "tiny"), storage)


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
        "paused": 0,
        "failed": 1,
        "running": 0,
        "waiting": 1,
        "continued": 1,
    }
    assert (facts["budget"], facts["scored"]) == (4, 3)


def test_status_names_the_best(stored):
    """The best is the completed trial of the highest value, with the parameters that it has."""
    assert tables.status(stored)["best"] == {"number": 2, "value": 0.3, "params": MASK}


def test_status_of_a_new_study_is_empty(tmp_path):
    """Where nothing was run there is no best, no baseline, no noise, no failure, no cost, and nobody at work."""
    facts = tables.status(empty_study(tmp_path))
    assert [facts[name] for name in ("best", "baselines", "verdict", "noise")] == [None] * 4
    assert [facts[name] for name in ("failures", "gpu_hours", "workers")] == [{}, 0.0, []]


def test_failures_stand_by_reason(stored):
    """Failed trials, and those that were invalid or out of memory before a report; not continued or pruned ones."""
    for reason in ("invalid", "oom"):
        stored.study.add_trial(trial(TrialState.PRUNED, user_attrs={"reason": reason}))
    scored = {"user_attrs": {"reason": "oom"}, "intermediate_values": {1: 0.1}}
    stored.study.add_trial(trial(TrialState.PRUNED, **scored))
    assert tables.status(stored)["failures"] == {"nan": 1, "invalid": 1, "oom": 1}


def test_status_tells_what_values_are_judged_by(stored):
    """It has the baselines, and the noise between runs of one configuration on other seeds."""
    found = {
        "max_length": 6,
        "metrics": {"popularity": {"ndcg@10": 0.125}},
        "left_out": {"item_knn": "too many items"},
    }
    stored.study.set_user_attr("baselines", found)
    for seed, value in ((1, 0.25), (2, 0.27)):
        stored.study.add_trial(
            trial(
                TrialState.COMPLETE,
                {**MASK, "model.alpha": 1.0},
                value=value,
                user_attrs={"seed": seed},
            )
        )
    facts = tables.status(stored)
    assert facts["baselines"] == {"popularity": 0.125, "item_knn": "too many items"}
    assert facts["noise"] == {"deviation": pytest.approx(0.02 / 2**0.5), "degrees_of_freedom": 1}


def test_status_has_a_row_a_worker(stored):
    """Whoever holds a slot: on which trial, how far and how good that is, where, since when, last heard of when."""
    running = trial(TrialState.RUNNING, intermediate_values={1: 0.1, 2: 0.3, 3: 0.2})
    stored.study.add_trial(running)
    here = Owner.here()
    for number, device in ((6, "cuda"), (None, "cpu")):
        attempt = stored.attempts.claim(9, Claimant(here, device, 0.5))
        assert attempt
        if number is not None:
            stored.attempts.link(attempt, number)
    trains, asks = tables.status(stored)["workers"]
    assert {name: trains[name] for name in ("trial", "epochs", "best")} == {
        "trial": 6,
        "epochs": 3,
        "best": 0.3,
    }
    assert {name: asks[name] for name in ("trial", "epochs", "best")} == {
        "trial": None,
        "epochs": 0,
        "best": None,
    }
    assert (trains["device"], asks["device"]) == ("cuda", "cpu")
    assert trains["pid"] == here.pid
    assert trains["who"] == here.who
    since = datetime.strptime(trains["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(since.timestamp() - time.time()) < 60
    assert 0 <= trains["heard_s"] < 60


def test_gpu_hours_are_those_of_all_attempts(stored):
    """Ended attempts count too, each with its share of the device; the CPU is free."""
    for device, share in (("cuda", 0.5), ("cuda", 1.0), ("cpu", 1.0)):
        attempt = stored.attempts.claim(9, Claimant(Owner.here(), device, share))
        assert attempt
        stored.attempts.release(attempt)
    with stored.storage.engine.begin() as connection:
        connection.execute(ATTEMPTS.update().values(renewed=ATTEMPTS.c.claimed + 7200))
    assert tables.status(stored)["gpu_hours"] == 3.0


def test_trial_rows_share_their_columns(stored):
    """Every row of a study has the free parameters, whatever became of the trial; a value it lacks is None."""
    rows = tables.trial_rows(stored)
    shared = [name for name in rows[0] if not name.startswith("valid.")]
    assert all([name for name in row if not name.startswith("valid.")] == shared for row in rows)
    assert [name for name in shared if "." in name] == list(DISTRIBUTIONS)
    assert (rows[0]["model.mask_exponent"], rows[1]["model.mask_exponent"]) == (None, 0.5)
    assert [rows[-1][name] for name in DISTRIBUTIONS] == [None] * len(DISTRIBUTIONS)


def test_trial_rows_tell_what_became_of_each(stored):
    """A row has its state, its reason, its root and its message; what was continued is no failure."""
    rows = tables.trial_rows(stored)
    assert [row["state"] for row in rows] == [
        "complete",
        "continued",
        "complete",
        "fail",
        "pruned",
        "waiting",
    ]
    assert [row["reason"] for row in rows] == [None, "interrupted", None, "nan", None, None]
    assert [row["root"] for row in rows] == [0, 1, 1, 3, 4, 5]
    assert rows[3]["message"] == "epoch 1, step 2"


def test_trial_rows_have_no_dust(stored):
    """A parameter is the value that was trained on: 0.3, not 0.1 + 0.2."""
    assert tables.trial_rows(stored)[0]["model.alpha"] == 0.3 != ADD["model.alpha"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_times_are_utc(tmp_path, monkeypatch, zone):
    """Start and end are UTC to the second, wherever the trial ran; a waiting row has neither."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        stored = empty_study(tmp_path)
        stored.study.tell(stored.study.ask(), 0.1)
        stored.study.enqueue_trial({})
        first, last = tables.trial_rows(stored)
    finally:
        monkeypatch.undo()
        time.tzset()
    for name in ("started", "ended"):
        told = datetime.strptime(first[name], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert abs(told.timestamp() - time.time()) < 60
    assert (last["started"], last["ended"]) == (None, None)


def test_brief_rows_fit_a_screen(stored):
    """A brief row keeps what matters on a screen, its parameters without their group, a root that is another row."""
    rows = tables.brief(tables.trial_rows(stored))
    assert [row["root"] for row in rows] == [None, None, 1, None, None, None]
    assert rows[:1] == [
        {
            "number": 0,
            "state": "complete",
            "reason": None,
            "root": None,
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
    """A trial's metrics.jsonl becomes rows under the number of its first row and the epoch, losses prefixed."""
    path = stored.folder.trial(1).metrics
    path.parent.mkdir(parents=True)
    first = {
        "epoch": 1,
        "losses": {"next": 0.7},
        "learning_rate": 1e-3,
        "seconds": 0.1,
        "metrics": {},
    }
    second = {**first, "epoch": 2, "metrics": {"ndcg@10": 0.3}}
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    assert tables.epoch_rows(stored) == [
        {"trial": 1, "epoch": 1, "loss.next": 0.7, "learning_rate": 1e-3, "seconds": 0.1},
        {
            "trial": 1,
            "epoch": 2,
            "loss.next": 0.7,
            "ndcg@10": 0.3,
            "learning_rate": 1e-3,
            "seconds": 0.1,
        },
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
