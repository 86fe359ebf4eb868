"""Files belong to a stored study, not to its name: two studies of one name never share a folder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import text

from blade_tune.data.store import prepare
from blade_tune.errors import StudyDiffersError
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.study.create import open_study
from blade_tune.study.ownership import FILE, IDENTITY
from blade_tune.study.progress import summary_of
from blade_tune.study.stored import StoredStudy
from blade_tune.study.transfer import copy_study
from blade_tune.study.workspace import Workspace
from tests.crowd import PROCESSES, Crowd
from tests.tiny import define, tiny_data, work

WANTED = r"must hold the files of study tiny \(\w+( \w+)?\) in sqlite:.*{}"
HELD = r"holds those of study tiny \(\w+\) in sqlite:.*{}"
BOTH = f"{WANTED}.*{HELD}"


def open_in(database: str, results: Path, **changes: Any) -> StoredStudy:
    """The tiny study in a database of its own beside the results."""
    definition = define(**changes)
    url = resolve_url(f"sqlite:///{results}/{database}", results)
    return open_study(definition, prepare(definition.data, None, results), Workspace(url, results))


def run_in(database: str, results: Path, **changes: Any) -> StoredStudy:
    """The same with its trials."""
    stored = open_in(database, results, **{"search__trials": 2, **changes})
    work(stored)
    return stored


def again(stored: StoredStudy) -> StoredStudy:
    """The same as another process opens it."""
    return Workspace(stored.storage.engine.url, stored.folder.results).study("tiny")


def make_old(stored: StoredStudy) -> None:
    """Have a study and its folder look as those of before, without an id and an owner."""
    (stored.folder.results / "tiny" / FILE).unlink(missing_ok=True)
    with stored.storage.engine.begin() as connection:
        connection.execute(
            text("DELETE FROM study_user_attributes WHERE key = :key"), {"key": IDENTITY}
        )


def files(results: Path) -> dict[str, bytes]:
    """All files of the study's folder."""
    return {
        str(path): path.read_bytes()
        for path in sorted((results / "tiny").rglob("*"))
        if path.is_file()
    }


def test_a_second_study_of_a_name_is_refused_with_both_names(tmp_path: Path):
    """Made in another database, and with another seed or the same: nothing of the first one's files changes."""
    run_in("a.db", tmp_path)
    before = files(tmp_path)
    for database, seed in (("b.db", 2026), ("c.db", 7)):
        with pytest.raises(StudyDiffersError, match=BOTH.format(database, "a.db")) as error:
            open_in(database, tmp_path, search__seed=seed)
        assert error.value.exit_code == 3
        assert files(tmp_path) == before


def test_every_way_to_a_file_is_guarded(tmp_path: Path):
    """A study that is stored is read from its database alone; none of its files is looked up in another's folder."""
    mine = run_in("a.db", tmp_path / "mine")
    run_in("b.db", tmp_path, search__seed=7)
    stranger = Workspace(mine.storage.engine.url, tmp_path).study("tiny")
    assert summary_of(stranger).scored == 2
    assert stranger.data(None).data_hash == mine.data(None).data_hash
    for look in (
        lambda: stranger.folder.path,
        lambda: stranger.folder.best,
        lambda: stranger.folder.ledger,
        lambda: stranger.ledger,
        lambda: stranger.files(stranger.trials[0]),
        lambda: stranger.open_test(stranger.data(None), None, {}),
        lambda: work(stranger),
    ):
        with pytest.raises(StudyDiffersError, match=BOTH.format("a.db", "b.db")):
            look()


def test_one_of_many_at_once_takes_a_folder(tmp_path: Path, crowd: Crowd):
    """Of eight studies of one name that are made at the same moment one has the folder, and the others are refused."""
    tiny_data(tmp_path)
    took = crowd.run(take, tmp_path)
    assert sorted(took) == [False] * (PROCESSES - 1) + [True]
    owner = json.loads((tmp_path / "tiny" / FILE).read_text())
    winner = took.index(True)
    assert owner["storage"].endswith(f"{winner}.db")


def take(index: int, results: Path) -> bool:
    try:
        open_in(f"{index}.db", results, search__seed=index)
    except StudyDiffersError:
        return False
    return True


def test_a_study_and_a_folder_of_before_find_each_other(tmp_path: Path):
    """Both are read as they are and unchanged; the next run adopts the folder, and then nobody else may have it."""
    old = run_in("a.db", tmp_path)
    make_old(old)
    before = files(tmp_path)
    found = again(old)
    assert found.files(found.trials[1]).weights.exists()
    assert files(tmp_path) == before
    assert IDENTITY not in found.study.user_attrs
    with pytest.raises(
        StudyDiffersError,
        match=r"b\.db, and holds those of a study that this database does not know",
    ):
        open_in("b.db", tmp_path)
    assert files(tmp_path) == before

    opened = run_in("a.db", tmp_path, search__trials=3)
    assert summary_of(opened).scored == 3
    assert (
        json.loads((tmp_path / "tiny" / FILE).read_text())["id"]
        == opened.study.user_attrs[IDENTITY]["id"]
    )
    with pytest.raises(StudyDiffersError, match=BOTH.format("c.db", "a.db")):
        open_in("c.db", tmp_path)


def test_two_studies_of_before_are_told_apart_by_their_trials(tmp_path: Path):
    """The folder is that one's whose settings and figures are in it, whichever comes first."""
    owner = run_in("a.db", tmp_path)
    other = run_in("b.db", tmp_path / "elsewhere", search__seed=7)
    make_old(owner)
    make_old(other)
    with pytest.raises(
        StudyDiffersError, match="holds those of a study that this database does not know"
    ):
        open_in("elsewhere/b.db", tmp_path, search__trials=2, search__seed=7)
    assert summary_of(run_in("a.db", tmp_path, search__trials=3)).scored == 3


def test_leftovers_of_before_do_not_keep_a_study_out(tmp_path: Path):
    """Folders of numbers that the study does not have yet are nobody's: its own trials begin with empty ones."""
    old = run_in("a.db", tmp_path)
    shutil.copytree(old.files(old.trials[1]).path, old.folder.trial(2).path)
    old.folder.trial(2).test.write_text("{}")
    make_old(old)
    stored = run_in("a.db", tmp_path, search__trials=3)
    assert stored.trials[2].state == TrialState.COMPLETE
    assert not stored.folder.trial(2).test.exists()


def test_a_copy_takes_the_files_over_when_it_goes_on(tmp_path: Path):
    """Both may read them before; afterwards they are the copy's, and the study itself is refused, with both names."""
    source = run_in("a.db", tmp_path)
    url = resolve_url(f"sqlite:///{tmp_path}/b.db", tmp_path)
    copy_study(source, url)
    copy = Workspace(url, tmp_path).study("tiny")
    assert copy.files(copy.trials[0]).weights.exists()
    assert again(source).files(source.trials[0]).weights.exists()

    run_in("b.db", tmp_path, search__trials=3)
    with pytest.raises(StudyDiffersError, match=BOTH.format("a.db", "b.db")):
        again(source).files(source.trials[0])
    with pytest.raises(StudyDiffersError, match=BOTH.format("a.db", "b.db")):
        run_in("a.db", tmp_path, search__trials=3)
    assert summary_of(again(source)).scored == 2  # which its database says


def test_a_copy_that_comes_late_is_refused_too(tmp_path: Path):
    """Where another study of the name has the folder, a copy from elsewhere does not get it."""
    run_in("a.db", tmp_path)
    source = run_in("b.db", tmp_path / "elsewhere", search__seed=7)
    url = resolve_url(f"sqlite:///{tmp_path}/c.db", tmp_path)
    copy_study(source, url)
    with pytest.raises(StudyDiffersError, match=BOTH.format("c.db", "a.db")):
        run_in("c.db", tmp_path, search__seed=7, search__trials=3)


def test_a_copy_shows_no_file_that_the_study_writes(tmp_path: Path):
    """The files of the study that the dashboard shows are written anew by each of the two; those of trials stay."""
    source = run_in("a.db", tmp_path)
    optuna.artifacts.upload_artifact(
        artifact_store=optuna.artifacts.FileSystemArtifactStore(tmp_path / "artifacts"),
        file_path=str(source.folder.definition),
        study_or_trial=source.study,
    )
    url = resolve_url(f"sqlite:///{tmp_path}/b.db", tmp_path)
    copy_study(source, url)
    copy = Workspace(url, tmp_path).study("tiny")
    kept = [optuna.artifacts.get_all_artifact_meta(one.study) for one in (source, copy)]
    assert [len(metas) for metas in kept] == [1, 0]
    of_trials = [
        [m.artifact_id for m in optuna.artifacts.get_all_artifact_meta(t, storage=one.storage)]
        for one in (source, copy)
        for t in one.trials
    ]
    assert of_trials[:2] == of_trials[2:] != [[], []]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"study": "tiny"}'])
def test_an_owner_that_cannot_be_read_is_as_none(tmp_path: Path, content: str):
    """The study whose trials are there has its folder all the same, and its next run writes the owner again."""
    stored = run_in("a.db", tmp_path)
    owner = tmp_path / "tiny" / FILE
    before = owner.read_text()
    owner.write_text(content)
    assert stored.folder.path == tmp_path / "tiny"
    run_in("a.db", tmp_path)
    assert owner.read_text() == before


# A study that Optuna itself made


def made_by_optuna(results: Path, **options: Any) -> optuna.Study:
    storage = open_storage(resolve_url(None, results), create=True)
    return optuna.create_study(study_name="tiny", storage=storage, **options)


def open_here(results: Path) -> StoredStudy:
    return open_study(define(), tiny_data(results), Workspace.at(None, results))


@pytest.mark.parametrize("directions", [["minimize"], ["maximize"], ["minimize", "maximize"]])
def test_an_empty_study_of_optuna_is_taken_over_whole(tmp_path: Path, directions: list[str]):
    """Its direction, the name of its metric and its identity become those of a study that was made here."""
    made_by_optuna(tmp_path, directions=directions)
    taken, mine = open_here(tmp_path).study, open_here(tmp_path / "new").study
    assert taken.directions == mine.directions == [optuna.study.StudyDirection.MAXIMIZE]
    assert taken.metric_names == mine.metric_names == ["valid NDCG@10"]
    assert taken.user_attrs.keys() == mine.user_attrs.keys()
    assert len(taken.get_trials()) == len(mine.get_trials())


@pytest.mark.parametrize("filling", ["trial", "enqueued", "attribute"])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_study_of_optuna_that_is_not_empty_is_refused(
    tmp_path: Path, filling: str, direction: str
):
    """Whatever is in it stays as it is."""
    study = made_by_optuna(tmp_path, direction=direction)
    if filling == "trial":
        study.add_trial(optuna.create_trial(value=0.5))
    elif filling == "enqueued":
        study.enqueue_trial({"x": 1})
    else:
        study.set_user_attr("theirs", 1)
    with pytest.raises(
        StudyDiffersError, match=r"was not made by blade-tune.*take another name or --storage"
    ):
        open_here(tmp_path)
    assert len(study.get_trials()) == (filling != "attribute")
    assert study.user_attrs == ({"theirs": 1} if filling == "attribute" else {})


def test_a_study_that_was_adopted_with_its_direction_is_not_gone_on_with(tmp_path: Path):
    """As versions of before did: neither `run` nor a worker adds a trial to one that minimizes."""
    stored = open_here(tmp_path)
    with stored.storage.engine.begin() as connection:
        connection.execute(text("UPDATE study_directions SET direction = 'MINIMIZE'"))
    storage = open_storage(resolve_url(None, tmp_path), create=False)
    adopted = replace(
        stored, study=optuna.load_study(study_name="tiny", storage=storage), storage=storage
    )
    for look in (lambda: open_here(tmp_path), lambda: work(adopted)):
        with pytest.raises(
            StudyDiffersError, match="not made by blade-tune, which maximizes, but to minimize"
        ):
            look()
