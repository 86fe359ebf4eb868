"""Sources of warm starts: what a user may name, in which order its configurations come, and what is refused."""

import json
from pathlib import Path

import pytest
import torch

from blade_tune.cli.output import print_rows
from blade_tune.data.store import prepare
from blade_tune.errors import BladeTuneError, ConfigError, StorageError
from blade_tune.export.final import ExportOptions, export_best
from blade_tune.report.tables import trial_rows
from blade_tune.selection.confirm import confirm
from blade_tune.selection.warm_sources import read_source, read_sources
from blade_tune.storage.trials import ranked
from blade_tune.study.create import open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.warm_start import WarmSource
from blade_tune.study.workspace import Workspace
from tests.selection.small import own_executor
from tests.tiny import define, stored


def trials_of(source: WarmSource) -> list[int]:
    return [known.origin["trial"] for known in source.best]


def place_of(results: Path) -> Workspace:
    return Workspace.at(None, results)


def test_a_study_gives_its_best_configurations(searched: Path):
    """Three of them unless a number is named, the best first, whole, each with where and when it was measured."""
    study = stored(searched)
    best = ranked(study.trials)
    source = read_source("tiny", place_of(searched))
    assert (source.count, source.model) == (3, "blade")
    assert trials_of(source) == [trial.number for trial in best[:3]]
    first = source.best[0]
    assert first.values == study.definition.complete(study.values(best[0]), "x")
    assert first.origin["value"] == best[0].value
    assert first.origin["source"] == f"trial {best[0].number} of study tiny"
    assert (first.origin["metric"], first.origin["data"]) == ("ndcg@10", "tiny")
    assert first.origin["data_hash"] == study.data(None).data_hash
    assert first.origin["ended"].startswith(f"{best[0].datetime_complete.astimezone():%Y}")
    assert trials_of(read_source("tiny:1", place_of(searched))) == [best[0].number]
    assert len(read_source("tiny:99", place_of(searched)).best) == 4


@pytest.mark.parametrize("form", ["RESULTS/STUDY", "URL#STUDY", "a file.yaml"])
def test_a_study_elsewhere_is_named_by_its_place(searched: Path, tmp_path: Path, form: str):
    """By its results folder or the URL of its database; a study file's path means the study of its name here."""
    texts = {
        "RESULTS/STUDY": (f"{searched}/tiny:2", tmp_path),
        "URL#STUDY": (f"sqlite:///{searched}/studies.db#tiny:2", tmp_path),
        "a file.yaml": ("studies/tiny.yaml:2", searched),
    }
    text, results = texts[form]
    expected = read_source("tiny:2", place_of(searched))
    assert trials_of(read_source(text, place_of(results))) == trials_of(expected)


def test_a_confirmed_order_comes_first(search: StoredStudy):
    """The winner of a confirmation is the best, with the mean of its runs, wherever it stood in the search."""
    raw = [trial.number for trial in ranked(search.trials)]
    confirmation = confirm(search, 3, 2, own_executor())
    order = [candidate.trial for candidate in confirmation.candidates]
    source = read_source("tiny:4", place_of(search.folder.results))
    assert trials_of(source) == order + raw[3:]
    winner = source.best[0].origin
    assert winner["value"] == pytest.approx(confirmation.winner.estimate.mean)
    assert (winner["runs"], "runs" in source.best[3].origin) == (2, False)
    # Where the runs are not to be had, the study still remembers who won.
    runs = search.definition.of_runs().name
    elsewhere = search.storage.get_study_id_from_name(runs)
    search.storage.delete_study(elsewhere)
    alone = read_source("tiny:4", place_of(search.folder.results))
    assert trials_of(alone)[0] == order[0]
    assert alone.best[0].origin["value"] == pytest.approx(winner["value"])


def test_a_bundle_gives_its_configuration(search: StoredStudy, tmp_path: Path):
    """The one that was exported, with the study, trial and data that its provenance names."""
    out = tmp_path / "best"
    export_best(search, ExportOptions(out, torch.device("cpu")))
    best = ranked(search.trials)[0]
    source = read_source(f"{out}", place_of(tmp_path / "nothing"))
    [known] = source.best
    assert source.model == "blade"
    expected = search.definition.complete(search.values(best), "x")
    assert {name: known.values[name] for name in expected} == expected
    assert (known.origin["study"], known.origin["trial"]) == ("tiny", best.number)
    assert known.origin["value"] == pytest.approx(best.value)
    # Damage is one line
    facts = json.loads((out / "provenance.json").read_text())
    (out / "provenance.json").write_text(json.dumps({**facts, "trial": 99}))
    with pytest.raises(ConfigError, match=r"provenance\.json was changed, so this is not what"):
        read_source(f"{out}", place_of(tmp_path))
    (out / "checksums.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"^--warm-start \S+/best: cannot be read \(TypeError"):
        read_source(f"{out}", place_of(tmp_path))


def test_a_printed_table_gives_what_was_searched(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A CSV file of `trials` has the free parameters of each trial, in their types, and no model."""
    study = stored(searched)
    print_rows(trial_rows(study), "csv")
    path = tmp_path / "trials.csv"
    path.write_text(capsys.readouterr().out)
    source = read_source(f"{path}:2", place_of(tmp_path))
    best = ranked(study.trials)[:2]
    assert source.model is None
    assert trials_of(source) == [trial.number for trial in best]
    for known, trial in zip(source.best, best, strict=True):
        free = {name: study.values(trial)[name] for name in trial.params}
        assert known.values == free
        assert [type(known.values[name]) for name in free] == [type(v) for v in free.values()]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("nope", ConfigError, "no study 'nope' is stored. Known: tiny."),
        ("tiny:0", ConfigError, "the number of configurations must be at least 1, got 0."),
        ("tiny:-2", ConfigError, "the number of configurations must be at least 1, got -2."),
        ("nowhere/tiny", StorageError, "has no studies; a source is STUDY, RESULTS_DIR/STUDY, "),
        ("sqlite:///x.db", ConfigError, "the URL of a database must end with #STUDY."),
        ("mysql://u:secret@h/d#s", ConfigError, "got one of scheme 'mysql'."),
        ("gone.csv", ConfigError, "cannot be read (FileNotFoundError"),
        ("broken/tiny", StorageError, "file is not a database"),
        ("empty.csv", ConfigError, "has no completed trial with parameters."),
        ("other.csv", ConfigError, "cannot be read (KeyError: 'state')."),
    ],
)
def test_what_cannot_be_read_is_one_line(
    searched: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    error: type[BladeTuneError],
    words: str,
):
    """Every refusal begins with the source as it was typed, without secrets, and says what is wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "studies.db").write_text("no database" * 100)
    (tmp_path / "empty.csv").write_text("number,state,value\n0,fail,\n")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(error) as raised:
        read_source(text, place_of(searched))
    message = str(raised.value)
    assert message.startswith("--warm-start ")
    assert words in message
    assert "\n" not in message
    assert "secret" not in message


def test_a_study_is_no_source_for_itself(searched: Path):
    """Under whatever name."""
    for name in ("tiny", f"{searched}/tiny"):
        with pytest.raises(
            ConfigError, match=r"^--warm-start \S+: is the study itself; name another"
        ):
            read_sources([name], "tiny", place_of(searched))


def test_a_study_without_a_completed_trial_is_no_source(tmp_path: Path):
    """The line says to run it first."""
    definition = define()
    data = prepare(definition.data, None, tmp_path)
    open_study(definition, data, place_of(tmp_path))
    with pytest.raises(ConfigError) as error:
        read_source("tiny", place_of(tmp_path))
    assert str(error.value) == (
        "--warm-start tiny: study tiny has no completed trial; run it first."
    )


def test_runs_are_no_source(search: StoredStudy):
    """The runs of a study are of its own configurations; the line says to name the study."""
    confirm(search, 1, 2, own_executor())
    with pytest.raises(ConfigError, match="has the runs of a study; name the study itself"):
        read_source("tiny.runs", place_of(search.folder.results))


def test_a_source_that_was_taken_is_not_read_again(searched: Path, tmp_path: Path):
    """So the same command goes on where the source is gone; a larger number asks for it."""
    text = f"{searched}/tiny"
    place = place_of(tmp_path)
    definition = define(data__seed=3)
    data = prepare(definition.data, None, tmp_path)
    open_study(definition, data, place, warm=read_sources([text], "tiny", place))
    assert read_sources([text, f"{text}:2"], "tiny", place) == []
    [source] = read_sources([f"{text}:4"], "tiny", place)
    assert source.count == 4
