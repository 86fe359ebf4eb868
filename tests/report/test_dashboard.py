"""What the dashboard shows of a study beside its trials."""

import csv
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import pytest
from optuna.artifacts import get_all_artifact_meta

from blade_tune.report import dashboard, notes
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.selection.out_of_bag import Expected
from blade_tune.selection.statistics import estimate
from blade_tune.storage.trials import ranked
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict
from tests import tiny
from tests.report import made_up

SCORES = (0.2, 0.21, 0.22)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of 15 trials."""
    results = tmp_path_factory.mktemp("made")
    made_up.study(results, 15)
    return results


@pytest.fixture
def stored(made: Path, tmp_path: Path) -> StoredStudy:
    """A study of 15 trials, each test's own."""
    return tiny.stored(shutil.copytree(made, tmp_path / "results"))


def add(stored: StoredStudy, value: float, params: dict[str, Any]) -> int:
    """Add a completed trial; gives its number."""
    distributions = {name: made_up.DISTRIBUTIONS[name] for name in params}
    stored.study.add_trial(
        optuna.create_trial(value=value, params=params, distributions=distributions)
    )
    return stored.trials[-1].number


def confirmed(stored: StoredStudy) -> Confirmation:
    """The third of the leaders, confirmed to be the best."""
    trial = dashboard.leaders(stored, 3)[2]
    values = stored.values(trial)
    winner = Candidate(
        trial.number,
        values,
        trial.value or 0.0,
        (0, 1, 2),
        SCORES,
        estimate(SCORES),
        0.75,
        100,
        1.0,
    )
    return Confirmation(
        "ndcg@10",
        "fresh seed",
        (1, 2, 3),
        (winner,),
        (0.18, 0.23),
        Verdict("item_knn", 0.1, -0.1, 0.3),
        expected=Expected(0.201, 0.172, 0.229, 0.009, 11),
        runs=stored,
    )


def facts(stored: StoredStudy) -> dict[str, str]:
    """The rows of the note's table."""
    lines = [
        line
        for line in optuna_dashboard.get_note(stored.study).splitlines()
        if line.startswith("| ")
    ]
    rows = [line.strip("| ").split(" | ") for line in lines]
    assert rows[1] == ["---", "---"]
    return dict([rows[0], *rows[2:]])


def board(stored: StoredStudy) -> tuple[str, list[dict[str, str]]]:
    """The one leaderboard that the dashboard has, and the id of its file."""
    (meta,) = get_all_artifact_meta(stored.study)
    assert (meta.filename, meta.mimetype) == ("leaderboard.csv", "text/csv")
    text = (stored.folder.results / "artifacts" / meta.artifact_id).read_text()
    return meta.artifact_id, list(csv.DictReader(text.splitlines()))


def figures(stored: StoredStudy) -> dict[str, dict]:
    """The figures that the dashboard has, by id."""
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

    attrs = stored.storage.get_study_system_attrs(stored.study_id)
    return {name: json.loads(text) for name, text in get_plotly_graph_objects(attrs).items()}


def test_the_note_says_what_the_study_is_and_found(stored, monkeypatch):
    """It is a table of question, budget, best trial, noise and, once there is one, the confirmed winner."""
    dashboard.publish(stored)
    best = ranked(stored.trials)[0]
    shown = facts(stored)
    assert shown["Study"] == "tiny"
    assert shown["Model"] == "blade"
    assert shown["Metric"] == "NDCG@10 on validation rows"
    assert shown["Untuned baselines"] == "popularity 0.0800, item_knn 0.1000"
    assert shown["Trials"] == "14 of 40 scored: 11 complete, 3 pruned, 1 failed, 1 continued"
    assert shown["Search"] == "sampler tpe, pruner percentile"
    assert shown["Best trial"] == f"{best.number}: {best.value:.4f} on one seed"
    assert shown["Baseline passed"].startswith("item_knn's 0.1000 was first passed ")
    assert shown["Noise"].endswith(" what another seed changes (1 df)")
    assert shown["Test openings"] == "0"
    assert "Winner" not in shown
    found = confirmed(stored)
    monkeypatch.setattr(dashboard, "load_confirmation", lambda _: found)
    dashboard.publish(stored)
    winner = found.winner.trial
    assert facts(stored)["Winner"] == (
        f"trial {winner}: expect 0.2010 (0.1720 to 0.2290) for other users; 0.2100 (0.1800 to 0.2300) over 3 fresh "
        "seeds for these users; the best of the confirmed with probability 0.75; not above item_knn: +0.1000 (-0.1000 "
        "to +0.3000)"
    )


def test_own_words_in_a_note_are_kept(stored):
    """What a person wrote before the first run, and what is added below the table later, survive every run."""
    optuna_dashboard.save_note(stored.study, "mine, from before")
    dashboard.publish(stored)
    assert optuna_dashboard.get_note(stored.study).endswith(
        f"{notes.END_OF_NOTE}\n\nmine, from before"
    )
    optuna_dashboard.save_note(
        stored.study, optuna_dashboard.get_note(stored.study) + "\n\nand from later"
    )
    add(stored, 0.5, ranked(stored.trials)[0].params)
    dashboard.publish(stored)
    after = optuna_dashboard.get_note(stored.study)
    assert after.endswith(f"{notes.END_OF_NOTE}\n\nmine, from before\n\nand from later")
    assert after.count("| Study |") == 1


def test_an_unchanged_note_is_not_written_again(stored, monkeypatch):
    """Where nothing has changed the note has no new version, so that nobody's editor loses its place."""
    dashboard.publish(stored)
    monkeypatch.setattr(notes, "save_note", pytest.fail)
    dashboard._publish_note(stored)
    dashboard._publish_trial_notes(stored)


def test_the_leaderboard_is_one_file_that_is_replaced(stored):
    """Its rows are the best configurations; after another run the same artifact has the new ones."""
    dashboard.publish(stored)
    first, rows = board(stored)
    best = ranked(stored.trials)[0]
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    assert (int(rows[0]["trial"]), float(rows[0]["value"])) == (best.number, best.value)
    assert set(stored.definition.space.free) <= set(rows[0])
    number = add(stored, 0.5, best.params | {"train.learning_rate": 0.0015})
    dashboard.publish(stored)
    again, rows = board(stored)
    assert (again, int(rows[0]["trial"])) == (first, number)


def test_a_repeated_configuration_is_one_row(stored):
    """A configuration stands once on the leaderboard, under its best trial, with the number of its runs."""
    best = ranked(stored.trials)[0]
    before = {row["trial"]: row["runs"] for row in dashboard.leaderboard(stored)}
    add(stored, 0.0, best.params)
    after = {row["trial"]: row["runs"] for row in dashboard.leaderboard(stored)}
    assert after == before | {best.number: before[best.number] + 1}


def test_the_leaderboard_has_what_fresh_seeds_said(stored, monkeypatch):
    """Confirmed configurations have mean, interval and probability; the others have none."""
    found = confirmed(stored)
    monkeypatch.setattr(dashboard, "load_confirmation", lambda _: found)
    means = {row["trial"]: row["confirmed"] for row in dashboard.leaderboard(stored)}
    assert {trial: mean for trial, mean in means.items() if mean is not None} == {
        found.winner.trial: pytest.approx(0.21)
    }


def test_figures_are_replaced_and_small(stored):
    """Each has its own id, a heading, and at most 100 kB; publishing twice leaves one of each."""
    dashboard.publish(stored)
    dashboard.publish(stored)
    shown = figures(stored)
    assert shown.keys() == {"learning-curves", "expected-best", "cost"}
    assert shown["cost"]["layout"]["title"]["text"].startswith("<b>Cost</b>")


def test_a_figure_that_is_too_large_is_left_out(stored, monkeypatch, caplog):
    """The log names it and its size."""
    monkeypatch.setattr(dashboard, "MAX_FIGURE_BYTES", 1000)
    with caplog.at_level(logging.INFO, "blade_tune"):
        dashboard.publish(stored)
    assert figures(stored) == {}
    assert "figure='Cost' bytes=" in caplog.text


def test_a_part_that_fails_leaves_the_others(stored, caplog):
    """Without a place for files there are note and figures, and one warning; nothing is raised."""
    (stored.folder.results / "artifacts").write_text("in the way")
    dashboard.publish(stored)
    assert facts(stored)["Study"] == "tiny"
    assert figures(stored)
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "study=tiny the dashboard may show an older state of it: FileExistsError"
    )


def test_a_study_without_trials_has_a_note_only(tmp_path, caplog):
    """A study that has just been opened has no leaderboard and no figure, and that is no failure."""
    stored = made_up.empty_study(tmp_path)
    dashboard.publish(stored)
    assert facts(stored)["Trials"] == "0 of 40 scored: none yet"
    assert get_all_artifact_meta(stored.study) == []
    assert figures(stored) == {}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
