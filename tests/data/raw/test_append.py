"""Newer rows of a log: the next version is what the whole log gives, and the version before stays as it was."""

import json
import random
import signal
import stat
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.config import read_yaml, write_yaml
from blade_tune.data.raw import kept_log
from blade_tune.data.raw.append import append
from blade_tune.data.raw.settings import LogFormat, Recipe
from blade_tune.data.sources.split_files import FILES, IDS, PREPARATION
from blade_tune.data.versions import Version, versions_of
from blade_tune.errors import DataError
from tests.cli.program import Ended, call, read_until, start
from tests.data.raw.logs import ALL, EVENTS, FLAGS, SUFFIXES, prepared, read_prepared, write_log

Row = dict[str, Any]
SPLIT = (*FILES.values(), *IDS.values())
SESSIONS = EVENTS.model_copy(update={"session": "visit"})
ORDERED = EVENTS.model_copy(update={"time": None})


def add(source: Path, out: Path) -> Version | None:
    return append(versions_of(out)[-1], source, lambda *_: None)


def tree(folder: Path, names: Sequence[str] = ()) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if not names or path.name in names
    }


def rows_of(size: int, first: int = 0, seed: int = 0) -> list[Row]:
    """Events of a few users, one a moment."""
    draw = random.Random(seed)  # noqa: S311
    return [
        {
            "user": f"u{draw.randrange(8)}",
            "item": f"i{draw.randrange(12)}",
            "time": str(first + place),
            "event": draw.choice(["view", "view", "cart", "buy", "logout"]),
            "visit": f"v{(first + place) // 5}",
        }
        for place in range(size)
    ]


FORMS = {"flags": FLAGS, "events": EVENTS, "sessions": SESSIONS, "no times": ORDERED}
recipes = st.builds(
    Recipe,
    min_item_targets=st.integers(0, 3),
    min_user_targets=st.integers(0, 3),
    until_stable=st.booleans(),
    sample_users=st.none() | st.integers(2, 5),
)


def drawn_rows(draw: Any, form: LogFormat) -> list[Row]:
    """Rows with ties, times written in several ways, rows out of order, and rows that lack something."""
    users = st.sampled_from(["a", "a", "ä,b", "=c", "007", "7", None])
    items = st.sampled_from(["x", "y", 'c"d', "'e", "=f", "07", None])
    times = st.sampled_from([*map(str, range(8, 20)), "10.0", "1e1", "12.50", "12.5", None])
    rows = []
    for _ in range(draw(st.integers(50, 80))):
        row = {"user": draw(users), "item": draw(items), "time": draw(times)}
        if form.type:
            row["event"] = draw(st.sampled_from(["view", "cart", "buy", "logout"]))
            row["visit"] = draw(st.sampled_from(["s", "t", None]))
        else:
            row |= {name: draw(st.sampled_from(["0", "1"])) for name in form.columns}
        rows.append(row)
    return rows


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=8)
@given(st.data())
def test_the_next_version_is_the_split_of_the_whole_log(name: str, data: st.DataObject) -> None:
    """In any form of file, however the parts overlap: the bytes of preparing all rows at once, and all are counted."""
    form, recipe = FORMS[name], data.draw(recipes)
    rows = drawn_rows(data.draw, form)
    cuts = sorted(data.draw(st.lists(st.integers(25, len(rows)), min_size=1, max_size=2)))
    overlap = data.draw(st.integers(0, 20))
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            prepared(
                write_log(folder / f"1{data.draw(st.sampled_from(SUFFIXES))}", rows[: cuts[0]]),
                *(folder / "log", form, recipe),
                keeps_log=True,
            )
        except DataError:  # too few rows for a split, which is another law
            return
        first = tree(folder / "log")
        for start_, end in zip(cuts, [*cuts[1:], len(rows)], strict=True):
            part = rows[max(0, start_ - overlap) : end]
            if not part:
                continue
            suffix = data.draw(st.sampled_from(SUFFIXES))
            source = write_log(folder / f"part{start_}{suffix}", part)
            try:
                add(source, folder / "log")
            except DataError:  # nothing in the part can be used, or no row is left of the whole
                return
            assert add(source, folder / "log") is None
        newest = versions_of(folder / "log")[-1]
        prepared(write_log(folder / "whole.csv", rows), folder / "whole", form, recipe)
        assert tree(newest.folder, SPLIT) == tree(folder / "whole", SPLIT)
        assert tree(folder / "log") == first
        facts = newest.facts
        assert facts["rows"] == sum(facts["parts"].values()) + sum(facts["left_out"].values())


def test_rows_that_were_there_are_not_added_and_late_ones_are_counted(tmp_path: Path) -> None:
    """A row is there already if all that it says is; one that is older than the last stands at its own time."""
    old = rows_of(200)
    late = [{**row, "item": "late"} for row in old[50:53]]
    new = rows_of(60, first=200, seed=1)
    prepared(write_log(tmp_path / "old.csv", old), tmp_path / "log", EVENTS, keeps_log=True)
    added = add(write_log(tmp_path / "new.csv", [*new, *late, *old[150:]]), tmp_path / "log")
    assert added is not None

    def used(rows: Sequence[Row]) -> int:
        return sum(row["event"] != "logout" for row in rows)

    facts = added.facts["version"]
    assert facts["added"] == used(new) + used(late)
    assert (facts["already"], facts["late"]) == (used(old[150:]), used(late))
    assert [file["file"] for file in facts["files"]] == ["old.csv", "new.csv"]
    assert added.facts["time_span"] == {
        "first": next(row["time"] for row in old if row["event"] != "logout"),
        "last": [row["time"] for row in new if row["event"] != "logout"][-1],
    }


def test_what_became_of_the_test_rows(tmp_path: Path) -> None:
    """The part that each earlier test row is in now, as plain loops find it."""
    prepared(write_log(tmp_path / "1.csv", rows_of(200)), tmp_path / "log", EVENTS, keeps_log=True)
    before = read_prepared(tmp_path / "log", EVENTS.behaviors)["test"]
    added = add(write_log(tmp_path / "2.csv", rows_of(25, first=200, seed=3)), tmp_path / "log")
    assert added is not None
    now = read_prepared(added.folder, EVENTS.behaviors)
    found = {part: sum(row in now[part] for row in before) for part in FILES}
    counted = dict(added.facts["version"]["earlier_test_rows"])
    assert counted.pop("gone") == len(before) - sum(found.values())
    assert counted == found
    assert found["train"] > 0
    assert found["test"] > 0


def test_versions_stand_apart(tmp_path: Path) -> None:
    """Each is whole in itself: without the first, rows are added to the last; other folders are none."""
    prepared(write_log(tmp_path / "1.csv", rows_of(150)), tmp_path / "log", EVENTS, keeps_log=True)
    add(write_log(tmp_path / "2.csv", rows_of(50, 150)), tmp_path / "log")
    prepared(tmp_path / "1.csv", tmp_path / "log.7", EVENTS)
    assert [version.folder.name for version in versions_of(tmp_path / "log.2")] == ["log", "log.2"]
    (tmp_path / "log").rename(tmp_path / "moved")
    third = add(write_log(tmp_path / "3.csv", rows_of(50, 200)), tmp_path / "log.2")
    assert third is not None
    assert third.folder.name == "log.3"
    whole = rows_of(150) + rows_of(50, 150) + rows_of(50, 200)
    prepared(write_log(tmp_path / "whole.csv", whole), tmp_path / "whole", EVENTS)
    assert tree(third.folder, SPLIT) == tree(tmp_path / "whole", SPLIT)


def test_kept_rows_are_their_owners(tmp_path: Path) -> None:
    """The log has test rows, so nobody else may read it, in any version."""
    prepared(write_log(tmp_path / "1.csv", rows_of(150)), tmp_path / "log", EVENTS, keeps_log=True)
    add(write_log(tmp_path / "2.csv", rows_of(50, 150)), tmp_path / "log")
    kept = [*tmp_path.glob("log*/log-*.parquet")]
    assert len(kept) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}


def test_without_links_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that knows no links the next version has copies."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(kept_log.os, "link", refuse)
    prepared(write_log(tmp_path / "1.csv", rows_of(150)), tmp_path / "log", EVENTS, keeps_log=True)
    add(write_log(tmp_path / "2.csv", rows_of(50, 150)), tmp_path / "log")
    name = kept_log.file_name(1)
    assert tree(tmp_path / "log")[name] == tree(tmp_path / "log.2")[name]


def command(*more: str) -> list[str]:
    log = ["--user", "user", "--item", "item", "--time", "time", "--type", "event"]
    floors = ["--min-item-targets", "0", "--min-user-targets", "0"]
    words = ["data", "prepare", "event-log", "--source", "1.csv", "--name", "log", *log]
    return [*words, "--behaviors", "view,cart,buy", *floors, *more]


def appended(source: str = "2.csv") -> list[str]:
    return ["data", "prepare", "event-log", "--append", "--source", source, "--name", "log"]


@pytest.mark.parametrize("step", ["reading", "adding", "splitting", "writing"])
def test_a_killed_append_leaves_the_old_or_the_new(tmp_path: Path, step: str) -> None:
    """Killed at any step, the version before is untouched and no half of the next is there; again gives the same."""
    write_log(tmp_path / "1.csv", rows_of(2_000))
    write_log(tmp_path / "2.csv", rows_of(2_000, first=2_000, seed=1))
    assert call(*command("-q"), cwd=tmp_path).code == 0
    before = tree(tmp_path / "data" / "log")
    with start(*appended(), cwd=tmp_path) as process:
        assert step in read_until(process, step)
        process.send_signal(signal.SIGKILL)
    assert tree(tmp_path / "data" / "log") == before
    assert not (tmp_path / "data" / "log.2").exists() or step == "writing"
    ended = call(*appended(), "-q", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert (tmp_path / "studies" / "log.2.yaml").is_file()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["log", "log.2"]
    write_log(tmp_path / "1.csv", rows_of(2_000) + rows_of(2_000, first=2_000, seed=1))
    assert call(*command("--out", "whole", "-q"), cwd=tmp_path).code == 0
    assert tree(tmp_path / "data" / "log.2", SPLIT) == tree(tmp_path / "whole", SPLIT)


def test_the_command_says_in_words_what_it_did(tmp_path: Path) -> None:
    """Rows added, there already, late; what became of test rows; a study like that of the version before."""
    write_log(tmp_path / "1.csv", rows_of(200))
    write_log(tmp_path / "2.csv", [*rows_of(200)[150:], *rows_of(60, first=200, seed=1)])
    call(*command("-q"), cwd=tmp_path)
    study = tmp_path / "studies" / "log.yaml"
    study.write_text(write_yaml({**read_yaml(study), "search": {"trials": 7}}))
    ended = call(*appended(), "-f", "json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    facts = json.loads(ended.out)
    rows = f"{facts['added']} rows of 2.csv were added to the log of data/log, {facts['already']} were there already."
    assert f"data/log.2: {rows}" in ended.err
    assert "test rows of log, this is what they are in log.2: " in ended.err
    assert ended.err.endswith("next: blade-tune run --study log.2\n")
    written = read_yaml(tmp_path / "studies" / "log.2.yaml")
    assert written.pop("run") == {"data": "data/log.2"}
    before = read_yaml(study)
    before.pop("run")
    assert written == before
    stats = call("data", "stats", "--study", "log.2", "-f", "json", cwd=tmp_path)
    assert json.loads(stats.out)["parts"] == facts["parts"]
    again = call(*appended(), cwd=tmp_path)
    assert again.code == 0
    assert "data/log.2: has all rows of 2.csv already; nothing was written." in again.err


def refusal(folder: Path, *words: str) -> Ended:
    ended = call(*words, "-q", cwd=folder)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
    return ended


@pytest.mark.parametrize(
    ("more", "law"),
    [
        (
            ["--user", "uid"],
            "--user must be as data/log was prepared (user), got uid; leave it out",
        ),
        (["--session", "s"], "--session must be as data/log was prepared (left out), got s"),
        (["--until-stable"], "--until-stable must be as data/log was prepared (left out)"),
        (["--name", "other"], "data/other: no log is prepared there; leave out --append"),
        (
            ["--source", "words.csv"],
            "words.csv: time must be as in the log that its rows are added to",
        ),
        (
            ["--source", "none.csv"],
            "none.csv: some row must have a user, an item, a time and a behavior",
        ),
    ],
)
def test_what_cannot_be_added(tmp_path: Path, more: list[str], law: str) -> None:
    """One line that says the way out; nothing is written."""
    write_log(tmp_path / "1.csv", rows_of(200))
    write_log(tmp_path / "2.csv", rows_of(20, first=200))
    write_log(
        tmp_path / "words.csv", [{**row, "time": "2026-01-01"} for row in rows_of(20, first=200)]
    )
    write_log(tmp_path / "none.csv", [{**row, "event": "sale"} for row in rows_of(20, first=200)])
    call(*command("-q"), cwd=tmp_path)
    assert law in refusal(tmp_path, *appended(), *more).err
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["log"]


def test_a_log_is_named(tmp_path: Path) -> None:
    """The name of the newer file is not taken for that of the log."""
    write_log(tmp_path / "2.csv", rows_of(20))
    words = appended()[:-2]
    assert "--append needs the --name (or --out) of the log" in refusal(tmp_path, *words).err


def test_changed_or_missing_logs_are_refused(tmp_path: Path) -> None:
    """A log that was not kept, or is not as it was, is prepared once more; a place that is taken is named."""
    write_log(tmp_path / "1.csv", rows_of(200))
    write_log(tmp_path / "2.csv", rows_of(20, first=200))
    call(*command("-q"), cwd=tmp_path)
    data = tmp_path / "data"
    (data / "log.2").mkdir()
    assert "data/log.2: must be free for the next version" in refusal(tmp_path, *appended()).err
    (data / "log.2").rmdir()
    kept = data / "log" / kept_log.file_name(1)
    raw = kept.read_bytes()
    kept.write_bytes(raw[:-1] + b"?")
    law = "data/log/log-1.parquet: must be as `data prepare` wrote it, and is not; prepare the whole log once more."
    assert law in refusal(tmp_path, *appended()).err
    kept.unlink()
    assert law in refusal(tmp_path, *appended()).err
    facts = json.loads((data / "log" / PREPARATION).read_text())
    del facts["sha256"][kept.name]  # as versions before wrote it
    (data / "log" / PREPARATION).write_text(json.dumps(facts))
    assert (
        "was prepared before logs were kept; prepare the same log once more"
        in refusal(tmp_path, *appended()).err
    )
    assert call(*command("-q"), cwd=tmp_path).code == 0
    assert call(*appended(), "-q", cwd=tmp_path).code == 0


def test_floors_may_change_what_stays(tmp_path: Path) -> None:
    """An item that was too rare in the old log is in the next version with all its rows, for its rows were kept."""
    old = rows_of(200)
    rare = {**old[-1], "item": "rare", "event": "buy"}
    recipe = ALL.model_copy(update={"min_item_targets": 2})
    source = write_log(tmp_path / "1.csv", [{**rare, "time": "-1"}, *old])
    prepared(source, tmp_path / "log", EVENTS, recipe, keeps_log=True)
    assert "rare" not in (tmp_path / "log" / "items.csv").read_text()
    add(
        write_log(
            tmp_path / "2.csv",
            [{**rare, "user": "u1" if rare["user"] == "u0" else "u0", "time": "-2"}],
        ),
        tmp_path / "log",
    )
    assert "rare" in (tmp_path / "log.2" / "items.csv").read_text()
