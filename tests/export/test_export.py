"""The final model: trained as the trial was, tested once under a line in the ledger, replaced as a whole."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blade_tune.config import read_yaml
from blade_tune.data.ledger import Ledger
from blade_tune.data.sealed import SealedData, open_for_evaluation
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import prepare
from blade_tune.errors import (
    BladeTuneError,
    ConfigError,
    DataError,
    NothingToExportError,
    StudyDiffersError,
)
from blade_tune.export import final
from blade_tune.export.final import ExportOptions, export_best
from blade_tune.export.reading import load_bundle
from blade_tune.metrics import METRICS, summarize
from blade_tune.space import Space
from blade_tune.spec.space_check import check_space
from blade_tune.storage.trials import best_trial
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial import objective
from tests.data.examples import SPLIT_FILES, write_split
from tests.tiny import content, define, run, stored, work

CPU = torch.device("cpu")
FILES = {
    "weights.safetensors",
    "best.yaml",
    "catalog.json",
    "users.csv",
    "items.csv",
    "metrics.json",
    "ranks.npy",
    "provenance.json",
    "README.md",
    "checksums.json",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two trials."""
    results = tmp_path_factory.mktemp("results")
    run(results, search__trials=2, train={"max_epochs": 4, "eval_every": 1, "patience": 9})
    return results


def export(results: Path, out: Path, **options: Any) -> dict[str, Any]:
    return export_best(stored(results), ExportOptions(out, CPU, **options))


@pytest.fixture(scope="module")
def exported(results: Path) -> Path:
    """Its bundle."""
    export(results, results / "tiny" / "best")
    return results / "tiny" / "best"


def sealed_data(results: Path, tmp_path: Path) -> SealedData:
    """The test rows, opened under another ledger."""
    return open_for_evaluation(stored(results).data(None), None, Ledger(tmp_path / "ledger"), {})


# --- what is written ---


def test_the_bundle_is_whole(exported: Path):
    """An export is these files, and leaves nothing else beside them."""
    assert {path.name for path in exported.iterdir()} == FILES
    assert not [path.name for path in exported.parent.iterdir() if path.name.startswith(".")]


def test_retraining_reproduces_the_trial(results: Path, exported: Path):
    """On a CPU the final model has exactly the validation figures of the best trial."""
    trial = best_trial(stored(results).trials)
    metrics = json.loads((exported / "metrics.json").read_text())
    assert metrics["valid"] == {name: trial.user_attrs[f"valid.{name}"] for name in METRICS}
    assert metrics["valid"]["ndcg@10"] == trial.value


def test_the_loaded_model_gives_the_tested_scores(results: Path, exported: Path, tmp_path: Path):
    """Read back, the model ranks every test item as the bundle says, and its figures are the metrics."""
    model = load_bundle(exported).model
    assert not model.training
    sealed = sealed_data(results, tmp_path)
    evaluation, metrics = final.test(model, sealed, stored(results).definition.objective, CPU)
    assert np.load(exported / "ranks.npy").tolist() == evaluation.ranks_U.tolist()
    assert json.loads((exported / "metrics.json").read_text()) == {
        "valid": metrics_of(exported)["valid"],
        **metrics,
    }
    assert metrics["test"] == summarize(evaluation.ranks_U)


def metrics_of(bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle / "metrics.json").read_text(encoding="utf-8"))
    return content


def test_metrics_hold_all_protocols_and_baselines(results: Path, exported: Path, tmp_path: Path):
    """Beside the study's figures stand the other five protocols, three baselines and the users that cannot be hit."""
    metrics = metrics_of(exported)
    protocols = {(row["exclude"], row["target_set"]): row for row in metrics["protocols"]}
    assert set(protocols) == {
        (exclude, told)
        for exclude in ("window", "full", "none")
        for told in ("truth", "mode", "constant")
    }
    assert {name: protocols["window", "truth"][name] for name in METRICS} == metrics["test"]
    assert set(metrics["baselines"]) == {"popularity", "popularity_told", "item_knn"}
    assert all(set(figures) == set(METRICS) for figures in metrics["baselines"].values())
    sealed = sealed_data(results, tmp_path)
    windows = sealed.windows(6).rows(rows_with(sealed.test))
    in_window_U = (windows.items_BL == windows.target_items_BL[:, -1:]).any(dim=1)
    assert metrics["unhittable"] == int(in_window_U.sum())
    assert metrics["test_users"] == len(sealed.test)
    assert metrics["told_target_set"] is True


def test_the_configuration_is_a_space_with_nothing_free(results: Path, exported: Path):
    """best.yaml fits the study's model, frees nothing, and is the best trial's configuration."""
    study = stored(results)
    space = Space.load(exported / "best.yaml")
    check_space(space, study.definition.configs)
    assert space.count() == 1
    assert space.fixed == study.definition.space.values(best_trial(study.trials).params)


def test_ids_lead_back_to_the_data(results: Path, exported: Path):
    """Each number of the model has its id in the data."""
    data = stored(results).data(None)
    for name, ids in (("user", data.user_ids_U), ("item", data.item_ids_V)):
        header, *lines = (exported / f"{name}s.csv").read_text(encoding="utf-8").splitlines()
        assert header == f"number,{name}"
        assert lines == [f"{number},{ids[number]}" for number in range(1, len(ids))]


def test_provenance_says_what_made_it(results: Path, exported: Path):
    """The bundle knows its study, trial, seeds, data and versions."""
    study, provenance = stored(results), json.loads((exported / "provenance.json").read_text())
    trial = best_trial(study.trials)
    assert (provenance["study"], provenance["trial"]) == ("tiny", trial.number)
    assert (provenance["training_seed"], provenance["epochs"]) == (
        trial.user_attrs["seed"],
        trial.user_attrs["best_epoch"],
    )
    assert provenance["fingerprint"] == study.study.user_attrs["fingerprint"]
    assert provenance["data_hash"] == study.data(None).data_hash
    assert set(provenance["versions"]) >= {"python", "blade-tune", "torch", "optuna"}


# --- the ledger ---


@pytest.mark.usefixtures("exported")
def test_every_export_is_a_line_of_the_ledger(results: Path, tmp_path: Path):
    """Opening the test rows is written down, each time, with study, trial, seed and command."""
    before = Ledger(stored(results).folder.ledger).entries()
    assert len(before) >= 1
    export(results, tmp_path / "again")
    *old, new = Ledger(stored(results).folder.ledger).entries()
    assert old == before
    trial = best_trial(stored(results).trials)
    assert {k: v for k, v in new.items() if k != "when"} == {
        "study": "tiny",
        "trial": trial.number,
        "seed": trial.user_attrs["seed"],
        "command": "export-best",
    }


def test_a_tampered_ledger_is_refused(tmp_path: Path):
    """Where the ledger was edited, test rows are not opened and nothing is exported."""
    run(tmp_path, search__trials=1)
    for name in ("one", "two"):
        export(tmp_path, tmp_path / name)
    ledger = stored(tmp_path).folder.ledger
    ledger.write_text(ledger.read_text().replace('"trial": 0', '"trial": 1', 1))
    with pytest.raises(DataError, match="the ledger of test evaluations was edited or cut"):
        export(tmp_path, tmp_path / "three")
    assert not (tmp_path / "three").exists()


def test_a_search_never_opens_test_rows(tmp_path: Path):
    """A run makes no sealed store and no ledger."""
    run(tmp_path, search__trials=1)
    assert not (tmp_path / ".sealed").exists()
    assert not stored(tmp_path).folder.ledger.exists()


# --- training on validation rows ---


def test_with_valid_rows_there_are_no_valid_figures(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Trained on more targets, for the best epoch count, the model is another one and has no validation figures."""
    trained: list[int] = []
    records: list[EpochRecord] = []
    build = objective.build_training

    def spy(*args: Any) -> Any:
        training = build(*args)
        trained.append(int(training.windows.lengths_U.sum()))
        return training

    monkeypatch.setattr(final, "build_training", spy)
    plain = export(results, tmp_path / "plain")
    full = export(results, tmp_path / "full", with_valid=True, on_epoch=records.append)
    assert trained[1] > trained[0]
    assert plain["valid"] is not None
    assert full["valid"] is None
    assert metrics_of(tmp_path / "full")["valid"] is None
    assert full["test"] != plain["test"]
    assert len(records) == best_trial(stored(results).trials).user_attrs["best_epoch"]
    assert json.loads((tmp_path / "full" / "provenance.json").read_text())["with_valid"] is True


# --- what is refused ---


def test_an_empty_study_has_nothing_to_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a completed trial there is no export, exit code 6, and no line in the ledger."""

    def broken(*_: Any) -> None:
        raise BladeTuneError("broken")

    monkeypatch.setattr(objective, "build_training", broken)
    with pytest.raises(BladeTuneError):
        run(tmp_path, options={"max_consecutive_failures": 1})
    with pytest.raises(
        NothingToExportError, match=r"^study tiny has no completed trial; run it first\.$"
    ) as error:
        export(tmp_path, tmp_path / "out")
    assert error.value.exit_code == 6
    assert not stored(tmp_path).folder.ledger.exists()


def test_other_data_is_refused(tmp_path: Path):
    """A study whose files changed since is not exported, and its test rows stay sealed."""
    files = write_split(tmp_path / "files")
    study = define(**{**content(), "data": SPLIT_FILES, "search": {"trials": 1}})
    data = prepare(study.data, files, tmp_path)
    work(open_study(study, data, Workspace.at(None, tmp_path), directory=files))
    write_split(files, valid=["3,10,0,1,0,0", "8,20,0,0,0,1"])
    expected = rf"^study tiny was run on data of hash [0-9a-f]{{12}}, {files} has [0-9a-f]{{12}}; give --data with "
    with pytest.raises(StudyDiffersError, match=expected) as error:
        export(tmp_path, tmp_path / "out")
    assert error.value.exit_code == 3
    assert not (tmp_path / "out").exists()
    assert not stored(tmp_path).folder.ledger.exists()


def test_a_place_that_is_no_folder_is_refused_before_training(results: Path, tmp_path: Path):
    """Where nothing can be written, the error is one line, nothing is trained, and no test row is opened."""
    (tmp_path / "file").write_text("mine")
    openings = len(Ledger(stored(results).folder.ledger).entries())
    for out, message in (
        (tmp_path / "file", "must be a folder, and is a file"),
        (tmp_path / "file" / "out", r"cannot be written \("),
        (Path("/proc/out"), r"cannot be written \("),
    ):
        with pytest.raises(ConfigError, match=rf"^{out}: {message}") as error:
            export(results, out)
        assert error.value.exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"
    assert len(Ledger(stored(results).folder.ledger).entries()) == openings


def test_a_folder_of_other_files_is_left_alone(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An export replaces an older one, and never a folder that holds anything else; `.` is such a folder too."""
    (tmp_path / "thesis.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    for out in (tmp_path, Path()):
        with pytest.raises(ConfigError, match=rf"^{tmp_path}: holds other files"):
            export(results, out)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    export(results, tmp_path / "empty")
    assert {path.name for path in (tmp_path / "empty").iterdir()} == FILES


# --- replacing ---


@pytest.fixture
def older(results: Path, tmp_path: Path) -> Path:
    """An older bundle, told from a new one by a file that is in no bundle."""
    out = tmp_path / "best"
    export(results, out)
    (out / "older").touch()
    return out


def test_an_older_export_is_replaced_as_a_whole(results: Path, older: Path):
    """Nothing of the older bundle is left, and nothing beside it."""
    export(results, older)
    assert {path.name for path in older.iterdir()} == FILES
    assert list(older.parent.iterdir()) == [older]


@pytest.mark.parametrize(
    "place", ["save", "np.save", "write_bundle", "load_bundle", "replace_folder", "rename"]
)
def test_a_failure_in_the_middle_leaves_the_older_export(
    results: Path, older: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    """Whatever step of writing breaks, the older bundle stands whole, and no half of a new one is left."""
    full = OSError(28, "No space left on device")

    def broken(*_: Any) -> None:
        raise full

    rename = Path.rename

    def broken_rename(self: Path, target: Path) -> Path:
        if target == older and not older.exists() and (self / "older").exists() is False:
            raise full
        return rename(self, target)

    targets: dict[str, tuple[str, Callable[..., Any]]] = {
        "save": ("blade_tune.export.writing.save", broken),
        "np.save": ("numpy.save", broken),
        "write_bundle": ("blade_tune.export.final.write_bundle", broken),
        "load_bundle": ("blade_tune.export.final.load_bundle", broken),
        "replace_folder": ("blade_tune.export.final.folder.replace", broken),
        "rename": ("pathlib.Path.rename", broken_rename),
    }
    monkeypatch.setattr(*targets[place])
    with pytest.raises(
        ConfigError, match=rf"^{older}: cannot be written \(No space left on device\)\.$"
    ):
        export(results, older)
    assert {path.name for path in older.iterdir()} == {*FILES, "older"}
    assert list(older.parent.iterdir()) == [older]


def test_a_bundle_that_scores_otherwise_is_not_exported(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The bundle is read back and must score exactly as the model did."""

    def changed(folder: Path) -> Any:
        loaded = load_bundle(folder)
        torch.nn.init.ones_(loaded.model.positions.weight)
        return loaded

    monkeypatch.setattr(final, "load_bundle", changed)
    with pytest.raises(
        BladeTuneError, match="read back, gives other scores than the model; nothing is exported"
    ):
        export(results, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_difference_to_the_trial_is_said(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Where training again does not give the trial's value, a warning has both."""
    monkeypatch.setattr(final, "best_trial", lambda trials: shifted(best_trial(trials)))
    with caplog.at_level(logging.WARNING, "blade_tune"):
        export(results, tmp_path / "out")
    assert "not reproduced exactly" in caplog.text


def shifted(trial: Any) -> Any:
    trial.value += 0.25
    return trial


def test_best_yaml_is_read_as_written(exported: Path):
    """The configuration has the groups of a space and nothing else."""
    assert set(read_yaml(exported / "best.yaml")) == {"model", "train"}
