"""README's walk with a log, and what the pages of data, x-ray, auto, studies and spaces do with logs and files."""

import csv
import json
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import pytest

from blade_tune.config import read_yaml
from tests.blocks import blocks, words
from tests.cli.program import do
from tests.data.raw.lookalikes import LOOKALIKES
from tests.pages.small import CLICKS, made_up, write_study
from tests.shell import type_in

NUM_ROWS = 600
KNN = {"model": {"neighbors": {"int": [5, 50]}, "shrinkage": {"float": [0.0, 50.0]}}}


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="latin-1") as file:
        csv.writer(file).writerows([header, *rows])


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def events(draw: random.Random, *last: Sequence[object]) -> list[list[object]]:
    """Rows of a user, an item, a time, and a draw of each of the last columns."""
    return [
        [f"u{draw.randrange(30)}", f"i{draw.randrange(20)}", 1_700_000_000 + 60 * n]
        + [draw.choice(values) for values in last]
        for n in range(NUM_ROWS)
    ]


@pytest.mark.slow
def test_logs_of_many_forms(work: Path) -> None:
    """Each command of docs/data.md does its part, on a log as the page describes it."""
    draw = random.Random(0)  # noqa: S311
    do(work, "data synth --users 60 --items 40 --events events.parquet")
    said = type_in(words("docs/data.md", "own log"), work)
    assert "data prepare event-log" in said.stdout
    assert (work / "results" / "shop").is_dir()
    later = [[f"user{n % 5}", f"item{n % 7}", f"2027-01-01T00:{n:02}:00", "buy"] for n in range(40)]
    write_rows(work / "october.csv", ["user_id", "item_id", "ts", "event"], later)
    type_in(words("docs/data.md", "newer rows"), work)
    assert (work / "results" / "shop.2").is_dir()

    # Ratings, hours, values of a type
    rated = [f"{n / 2}" for n in range(1, 11)]
    write_rows(
        work / "ratings.csv", ["userId", "movieId", "timestamp", "rating"], events(draw, rated)
    )
    played = [(u, i, h) for u, i, _, h in events(draw, range(9))]
    write_rows(work / "steam.csv", ["user", "game", "hours"], played)
    types = ("view", "detail", "purchase", "reorder")
    write_rows(work / "events.csv", ["user", "item", "time", "event"], events(draw, types))
    books = [(u, i, rating) for u, i, _, rating in events(draw, range(11))]
    write_rows(work / "BX-Book-Ratings.csv", ["User-ID", "ISBN", "Book-Rating"], books)
    type_in(words("docs/data.md", "ratings"), work)
    made = {path.name for path in (work / "data").iterdir()}
    assert made >= {"ratings", "steam", "events", "BX-Book-Ratings"}

    source, _ = LOOKALIKES["movielens", "20m-latest"].write(work)
    assert source == work / "ml-25m.zip"
    type_in(words("docs/data.md", "known log"), work)
    assert (work / "results" / "movielens").is_dir()


def test_several_files_of_one_log(tmp_path: Path) -> None:
    """The first look at them, and the mapping file of docs/data.md, which is what the next command prepares."""
    draw = random.Random(1)  # noqa: S311
    viewed = [row[:3] for row in events(draw)]
    status = ("paid", "shipped", "open")
    for folder in (tmp_path, tmp_path / "logs"):
        write_rows(folder / "views.csv", ["visitor", "product", "at"], viewed)
        columns = ["customer", "sku", "paid_at", "status"]
        write_rows(folder / "purchases.csv", columns, events(draw, status))
    type_in(words("docs/data.md", "first look"), tmp_path)
    assert (tmp_path / "logs" / "log.yaml").is_file()
    [mapping, command] = blocks("docs/data.md", "mapping file")
    (tmp_path / "log.yaml").write_text(mapping.words)
    type_in(command.words, tmp_path)
    assert read_yaml(tmp_path / "studies" / "shop.yaml")["data"]["behaviors"] == ["view", "buy"]


@pytest.mark.slow
def test_a_shop_by_itself(work: Path) -> None:
    """README's walk from a log to ten items that are new to each user, and what two pages go on with.

    Of the models that `auto` searches, each ends with one point of its space.
    """
    type_in(words("README.md", "own data"), work)
    events, rows = read_rows(work / "shop.csv"), read_rows(work / "recommendations.csv")
    met = {(row["user_id"], row["item_id"]) for row in events}
    users = {row["user_id"] for row in events}
    assert {row["user_id"] for row in rows} == users
    assert len(rows) == 10 * len(users)
    assert {row["item_id"] for row in rows} <= {row["item_id"] for row in events}
    assert not met & {(row["user_id"], row["item_id"]) for row in rows}
    card = (work / "results" / "shop.auto" / "bundle" / "README.md").read_text()
    assert re.match(r"# \w+ on shop\n", card)
    assert (work / "results" / "shop.auto" / "report" / "report.html").is_file()

    said = type_in(words("docs/xray.md", "xray"), work)
    assert "told_set" in said.stdout
    type_in(words("docs/automl.md", "auto"), work)
    facts = json.loads((work / "results" / "shop.auto" / "auto.json").read_text())
    assert Path(work / facts["bundle"]).is_dir()


@pytest.mark.slow
def test_the_guides_of_logs(work: Path) -> None:
    """One goes from a made-up log to a study, the other from a log to a study of a sample of its users."""
    type_in(words("docs/guides/own-log.md", "own log"), work)
    table = duckdb.read_csv(str(work / "shop.csv"))
    table = table.project("user_id AS user, item_id AS item, ts AS time, event")
    table.write_parquet(str(work / "log.parquet"))
    type_in(words("docs/guides/twenty-million-rows.md", "sample"), work)
    names = {row["study"] for row in json.loads(do(work, "studies -f json").out)}
    assert {"shop", "small", "small-item_knn"} <= names


def test_warm_starts(work: Path) -> None:
    """From a study of the database and from another results folder; of fifteen trials one may be a warm start."""
    lab = work.parent / "lab"
    for folder, name, trials in ((work, "shop-may", 2), (work, "shop-june", 25), (lab, "shop", 2)):
        search = {"trials": trials, "sampler": "random"}
        data = made_up(name, CLICKS)
        write_study(folder, name, data, model="item_knn", train={}, search=search, space=KNN)
    do(work, "run --study shop-may -q")
    do(lab, "run --study shop -q")
    type_in(words("docs/studies.md", "warm starts"), work)
    trials = json.loads(do(work, "trials --study shop-june -f json").out)
    assert len(trials) == 30
    tags = {trial["tag"] for trial in trials}
    assert tags >= {"warm 1", "warm 2"}


def test_the_files_of_the_pages_are_read(work: Path) -> None:
    """A study file and a space, with every field that their pages show."""
    (work / "search_spaces" / "blade.yaml").unlink()
    (work / "studies" / "mine.yaml").write_text(words("docs/studies.md", "file"))
    (work / "search_spaces" / "mine.yaml").write_text(words("docs/spaces.md", "space"))
    do(work, f"run --study mine --data {work.parent}/home/data/qk-video --dry-run")
    for recipe in ("shared", "published"):
        do(work, f"space check search_spaces/mine.yaml --model blade --recipe {recipe}")
