"""Data that were prepared again: whoever reads them compares what they mean, and replacing them says what breaks."""

import json
import random
from pathlib import Path

import pytest

from blade_tune.config import read_yaml, write_yaml
from blade_tune.data.sources.split_files import PREPARATION
from blade_tune.spec.definition import StudyDefinition
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from tests.cli.program import Ended, call

STUDY, DATA = Path("studies/shop.yaml"), Path("data/shop")


def write_log(folder: Path, num_rows: int = 900) -> None:
    """Three views to each cart, two carts to each buy; more rows make a longer log of the same beginning."""
    draw = random.Random(0)  # noqa: S311
    kinds = ["view"] * 6 + ["cart"] * 2 + ["buy"]
    rows = [
        f"u{draw.randrange(12)},i{draw.randrange(15)},{n},{draw.choice(kinds)}\n"
        for n in range(num_rows)
    ]
    (folder / "shop.csv").write_text("user,item,time,event\n" + "".join(rows))


def prepare(folder: Path, behaviors: str, *more: str) -> Ended:
    log = ["--user", "user", "--item", "item", "--time", "time", "--type", "event", "-f", "json"]
    words = ["data", "prepare", "event-log", "--source", "shop.csv", *log]
    floors = ["--min-item-targets", "0", "--min-user-targets", "0"]
    return call(*words, "--behaviors", behaviors, *floors, *more, cwd=folder)


def stats(folder: Path) -> Ended:
    return call("data", "stats", "--study", "shop", "-f", "json", cwd=folder)


def store_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study as `run` stores it, before its first trial."""
    from blade_tune.data.store import prepare as prepared

    with monkeypatch.context() as patch:
        patch.chdir(folder)
        definition, results = StudyDefinition.load("shop"), Path("results")
        data = prepared(definition.data, DATA, results)
        open_study(definition, data, Workspace.at(None, results), directory=DATA)


def test_other_columns_need_force_and_say_which_studies_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behaviors in another order, or another auxiliary one: refused with the names of the studies; all stays."""
    write_log(tmp_path)
    assert prepare(tmp_path, "buy,cart,view").code == 0
    store_study(tmp_path, monkeypatch)
    before = (tmp_path / DATA / "train.txt").read_bytes()
    for behaviors, auxiliary, law in (
        ("view,cart,buy", "buy", "behaviors buy,cart,view, now view,cart,buy"),
        ("buy,cart,view", "view", "auxiliary buy, now view"),
    ):
        refused = prepare(tmp_path, behaviors, "--auxiliary", auxiliary, "-q")
        assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
        assert law in refused.err
        assert (
            "would break the study shop in sqlite:///results/studies.db, studies/shop.yaml; "
            in refused.err
        )
        assert "--force" in refused.err
        assert (tmp_path / DATA / "train.txt").read_bytes() == before
    assert json.loads(stats(tmp_path).out)["behaviors"].keys() == {"buy", "cart", "view"}


def test_forced_data_take_their_study_file_along(tmp_path: Path) -> None:
    """A study file that nobody edited is written anew, so that each behavior is called what it is."""
    write_log(tmp_path)
    prepare(tmp_path, "buy,cart,view")
    forced = prepare(tmp_path, "view,cart,buy", "--auxiliary", "view", "--force")
    assert forced.code == 0, forced.err
    assert "WARNING data/shop: other data is prepared there already" in forced.err
    assert "this breaks studies/shop.yaml (written anew: studies/shop.yaml)" in forced.err
    section = read_yaml(tmp_path / STUDY)["data"]
    assert (section["behaviors"], section["auxiliary"]) == (["view", "cart", "buy"], "view")
    found = json.loads(stats(tmp_path).out)
    assert found["behaviors"]["view"] > found["behaviors"]["cart"] > found["behaviors"]["buy"]
    assert found["source"] == f"shop.csv, {(tmp_path / 'shop.csv').stat().st_size:,} bytes"


def test_an_edited_study_file_stays_and_no_longer_reads(tmp_path: Path) -> None:
    """It is said what it must have; until then every command that reads the data refuses, and names both sides."""
    write_log(tmp_path)
    prepare(tmp_path, "buy,cart,view")
    edited = (tmp_path / STUDY).read_text() + "# mine\n"
    (tmp_path / STUDY).write_text(edited)
    forced = prepare(tmp_path, "view,cart,buy", "--force")
    assert forced.code == 0
    assert (tmp_path / STUDY).read_text() == edited
    assert "is there already and left alone; to go with this data it must have" in forced.err
    for words in (["data", "stats"], ["data", "xray"], ["run", "--trials", "1"]):
        refused = call(*words, "--study", "shop", cwd=tmp_path)
        assert refused.code == 2, words
        law = "data/shop: was prepared with behaviors view,cart,buy, and is read with buy,cart,view; correct `data`"
        assert law in refused.err
    needed = forced.err.partition("it must have\n")[2].partition("\nwhat matters")[0]
    section = {
        "data": {
            **read_yaml(tmp_path / STUDY)["data"],
            "behaviors": ["view", "cart", "buy"],
            "auxiliary": "view",
        }
    }
    assert write_yaml(section) == needed
    (tmp_path / STUDY).write_text(write_yaml({**read_yaml(tmp_path / STUDY), **section}))
    assert stats(tmp_path).code == 0


def test_a_grown_log_breaks_studies_that_were_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file says nothing of rows, so a longer log is prepared again freely; a stored study has had the other rows."""
    write_log(tmp_path)
    prepare(tmp_path, "view,cart,buy")
    write_log(tmp_path, 1_000)
    assert prepare(tmp_path, "view,cart,buy").code == 0
    store_study(tmp_path, monkeypatch)
    assert prepare(tmp_path, "view,cart,buy").code == 0
    write_log(tmp_path, 1_100)
    before = (tmp_path / DATA / "train.txt").read_bytes()
    refused = prepare(tmp_path, "view,cart,buy", "-q")
    assert refused.code == 2
    assert (
        "already (rows), and would break the study shop in sqlite:///results/studies.db; give"
        in refused.err
    )
    assert (tmp_path / DATA / "train.txt").read_bytes() == before
    assert (
        prepare(tmp_path, "view,cart,buy", "--results", "elsewhere", "--out", "data/two").code == 0
    )
    assert "this breaks the study shop" in prepare(tmp_path, "view,cart,buy", "--force").err
    for words in (["data", "stats"], ["run"], ["export-best"]):
        ended = call(*words, "--study", "shop", cwd=tmp_path)
        assert ended.code != 0
    assert stats(tmp_path).code == 3


def test_unreadable_notes_of_an_older_preparation(tmp_path: Path) -> None:
    """Readers refuse them in one line; preparing again with --force mends them."""
    write_log(tmp_path)
    prepare(tmp_path, "view,cart,buy")
    for raw in ("[" * 100_000, "[]", "{", '{"log": 3}'):
        (tmp_path / DATA / PREPARATION).write_text(raw)
        refused = stats(tmp_path)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert "prepare the data again" in refused.err
    assert prepare(tmp_path, "view,cart,buy").code == 2
    assert prepare(tmp_path, "view,cart,buy", "--force").code == 0
    assert stats(tmp_path).code == 0


def test_edited_split_files_are_not_what_was_prepared(tmp_path: Path) -> None:
    """A changed byte of train or test rows is refused; whoever means it removes the notes of the preparation."""
    write_log(tmp_path)
    prepare(tmp_path, "view,cart,buy")
    for name in ("train.txt", "test.txt"):
        file = tmp_path / DATA / name
        before = file.read_text()
        file.write_text("".join(reversed(before.splitlines(keepends=True))))
        refused = stats(tmp_path)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert (
            f"data/shop/{name}: must be as `data prepare` wrote it, and was changed" in refused.err
        )
        file.write_text(before)
    assert stats(tmp_path).code == 0


def test_test_rows_are_their_owners(tmp_path: Path) -> None:
    """The files of between and test rows, and of the log, are readable by nobody else."""
    write_log(tmp_path)
    prepare(tmp_path, "view,cart,buy")
    modes = {file.name: file.stat().st_mode & 0o077 for file in (tmp_path / DATA).iterdir()}
    sealed = ("test.txt", "between_val_test.txt", "log-1.parquet")
    assert [modes.pop(name) for name in sealed] == [0, 0, 0]
    assert all(modes.values())
