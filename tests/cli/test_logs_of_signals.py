"""From logs of ratings and of hours to recommendations, without a script: the slow recipe's splits, by flags alone."""

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from blade_tune.data.raw.settings import Recipe
from blade_tune.data.sources.split_files import FILES, IDS
from tests.cli.program import call, do
from tests.data.raw.logs import read_prepared, write_log
from tests.data.raw.slow_twin import SEEN, Row, expected_split

FLOORS = ["--min-item-targets", "2", "--min-user-targets", "2"]


class Walk(NamedTuple):
    """A log that people keep."""

    name: str  # of the file
    columns: tuple[str, str, str]  # of user, item and time
    signal: str  # the column that is more than a flag
    values: tuple[str, ...]  # that it may have
    flags: tuple[str, ...]
    behaviors: tuple[str, ...]
    meaning: Callable[[str], set[str]]  # a value -> behaviors
    auxiliary: str | None

    def rows(self, size: int = 300) -> list[dict[str, str]]:
        """A log drawn at random."""
        draw = random.Random(11)  # noqa: S311
        return [
            {
                self.columns[0]: f"{draw.randrange(8)}",
                self.columns[1]: f"{draw.randrange(100, 130)}",
                self.signal: draw.choice(self.values),
                self.columns[2]: str(964_982_703 + place // 2),
            }
            for place in range(size)
        ]

    def read(self, rows: list[dict[str, str]]) -> list[Row]:
        """What they mean."""
        user, item, time = self.columns
        return [
            (row[user], row[item], int(row[time]), frozenset(self.meaning(row[self.signal])))
            for row in rows
        ]

    def command(self, source: str, *more: str) -> list[str]:
        named = zip(("--user", "--item", "--time"), self.columns, strict=True)
        words = [word for pair in named for word in pair]
        words = ["data", "prepare", "event-log", "--source", source, *words, *self.flags, *FLOORS]
        return [*words, "-q", "-f", "json", *more]


BOOKS: dict[str, Any] = {
    "name": "BX-Book-Ratings.csv",
    "columns": ("User-ID", "ISBN", "Timestamp"),
    "signal": "Book-Rating",
    "values": tuple(map(str, range(11))),
    "behaviors": ("like",),
    "auxiliary": None,
}
WALKS = {
    "stars": Walk(
        name="ratings.csv",
        columns=("userId", "movieId", "timestamp"),
        signal="rating",
        values=("0.5", "1.0", "2.5", "3.0", "3.5", "4.0", "4.5", "5.0"),
        flags=("--rating", "rating", "--like-from", "4"),
        behaviors=("rate", "like"),
        meaning=lambda stars: {"rate", "like"} if float(stars) >= 4 else {"rate"},
        auxiliary="rate",
    ),
    "books, by values": Walk(
        flags=(
            *("--type", "Book-Rating", "--behaviors", "like=7|8|9|10", "--seen", "1,2,3,4,5,6"),
        ),
        meaning=lambda n: {"like"} if int(n) >= 7 else set(SEEN) if n != "0" else set(),
        **BOOKS,
    ),
    "books, by a threshold": Walk(
        flags=(
            *("--behaviors", "like=Book-Rating", "--threshold", "Book-Rating=7", "--seen", "*"),
        ),
        meaning=lambda number: {"like"} if int(number) >= 7 else set(SEEN),
        **BOOKS,
    ),
    "hours": Walk(
        name="steam.csv",
        columns=("user", "game", "day"),
        signal="hours",
        values=("0", "0.1", "0.5", "1.9", "2", "2.0", "14.7", "1e2", ""),
        flags=("--behaviors", "own=*,play=hours", "--threshold", "hours=2"),
        behaviors=("own", "play"),
        meaning=lambda hours: {"own", "play"} if hours and float(hours) >= 2 else {"own"},
        auxiliary="own",
    ),
}


@pytest.mark.parametrize("name", WALKS)
def test_from_file_to_recommendations(tmp_path: Path, name: str) -> None:
    """prepare, stats, run, export-best and recommend; nothing that a user met or only saw is recommended."""
    walk = WALKS[name]
    rows = walk.rows()
    source = write_log(tmp_path / walk.name, rows)
    facts = json.loads(do_words(tmp_path, *walk.command(walk.name, "--name", "log")))
    recipe = Recipe(min_item_targets=2, min_user_targets=2)
    expected = expected_split(walk.read(rows), walk.auxiliary, recipe, merges=True)
    assert read_prepared(tmp_path / "data" / "log", walk.behaviors) == expected.parts
    assert facts["auxiliary"] == walk.auxiliary
    num_seen = expected.left_out["seen_only"]
    assert facts["left_out"].get("seen_only", 0) == num_seen
    assert (num_seen > 0) == name.startswith("books")

    stats = do(tmp_path, "data stats --study log").out
    assert (f"seen only {num_seen}" in stats) == (num_seen > 0)
    do(tmp_path, "run --study log --model popularity --trials 1 -q")
    do(tmp_path, "export-best --study log-popularity -q")
    words = "recommend --bundle results/log-popularity/best --users {} -k 99 -q"
    found = do(tmp_path, words.format(source.name)).out
    known: dict[str, set[str]] = {}
    for user, item, _, behaviors in walk.read(rows):
        if behaviors:
            known.setdefault(user, set()).add(item)
    items = {item for _, item, _ in expected.parts["train"]}
    listed: dict[str, set[str]] = {user: set() for user in known}
    for row in csv.DictReader(io.StringIO(found)):
        listed[row[walk.columns[0]]].add(row[walk.columns[1]])
    for user, names in known.items():
        assert listed[user] == items - names
    assert sum(map(len, listed.values())) > len(listed)


def do_words(folder: Path, *words: str) -> str:
    """The output of a command that ends well."""
    ended = call(*words, cwd=folder)
    assert ended.code == 0, ended.err
    return ended.out


@pytest.mark.parametrize("name", ["stars", "books, by values", "books, by a threshold"])
def test_newer_rows_are_read_as_the_log(tmp_path: Path, name: str) -> None:
    """--append needs no flag: alternatives, thresholds and what is only seen are known of the log."""
    walk = WALKS[name]
    rows = walk.rows()
    write_log(tmp_path / "whole.csv", rows)
    write_log(tmp_path / "older.csv", rows[:150])
    write_log(tmp_path / "newer.csv", rows[150:])
    whole = json.loads(do_words(tmp_path, *walk.command("whole.csv", "--name", "whole")))
    do_words(tmp_path, *walk.command("older.csv", "--name", "log"))
    added = json.loads(
        do(
            tmp_path,
            "data prepare event-log --append --source newer.csv --name log -q -f json",
        ).out
    )
    assert added["left_out"] == whole["left_out"]
    for file in (*FILES.values(), *IDS.values()):
        newer, expected = (tmp_path / "data" / folder / file for folder in ("log.2", "whole"))
        assert newer.read_bytes() == expected.read_bytes()
    words = "data prepare event-log --append --source newer.csv --name log --seen 0 -q"
    ended = call(*words.split(), cwd=tmp_path)
    assert (ended.code, "--seen must be as" in ended.err) == (2, True)


def test_a_log_that_was_kept_before_there_was_seen_takes_newer_rows(tmp_path: Path) -> None:
    """Its preparation says nothing of thresholds or what is only seen, nor do its kept rows."""
    walk = WALKS["hours"]._replace(flags=("--behaviors", "own=*,play=hours"), values=("0", "1"))
    rows = walk.rows()
    write_log(tmp_path / "older.csv", rows[:150])
    write_log(tmp_path / "newer.csv", rows[150:])
    do_words(tmp_path, *walk.command("older.csv", "--name", "log"))
    path = tmp_path / "data" / "log" / "preparation.json"
    facts = json.loads(path.read_text())
    for name in ("seen", "thresholds"):
        del facts["log"][name]
    del facts["left_out"]["seen_only"]
    path.write_text(json.dumps(facts))
    words = "data prepare event-log --append --source newer.csv --name log -q -f json"
    assert json.loads(do(tmp_path, words).out)["added"] == 150
    do(tmp_path, "data stats --study log.2")


def test_the_summary_says_what_was_only_seen(tmp_path: Path) -> None:
    """In words, with the flag."""
    walk = WALKS["books, by values"]
    write_log(tmp_path / "log.csv", walk.rows())
    ended = call(*walk.command("log.csv")[:-2], cwd=tmp_path)
    [line] = [line for line in ended.out.splitlines() if "seen_only" in line]
    assert "only seen, by --seen: no history, but not recommended" in line
