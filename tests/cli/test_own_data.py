"""The command that makes up data."""

import json
from pathlib import Path

import duckdb
import pytest

from tests.cli.program import call


@pytest.mark.parametrize("name", ["shop.csv", "shop.jsonl", "shop.parquet"])
def test_made_up_events_in_every_form(tmp_path: Path, name: str) -> None:
    """The same events in each form, a row a behavior in order of time, for `data prepare` to read."""
    made = call(
        "data",
        "synth",
        "--users",
        "20",
        "--items",
        "40",
        "--events",
        name,
        "-f",
        "json",
        cwd=tmp_path,
    )
    assert made.code == 0, made.err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    rows = duckdb.sql(f"SELECT user_id, item_id, event FROM '{tmp_path / name}'").fetchall()  # noqa: S608
    assert len(rows) == json.loads(made.out)["events"]
    assert {event for _, _, event in rows} == {"view", "cart", "buy"}
    log = [
        "--user",
        "user_id",
        "--item",
        "item_id",
        "--time",
        "ts",
        "--type",
        "event",
        "--behaviors",
        "view,cart,buy",
    ]
    facts = call("data", "prepare", "event-log", "--source", name, *log, "-f", "json", cwd=tmp_path)
    assert json.loads(facts.out)["rows_read"] == len(rows)


def test_made_up_studies_know_their_best(tmp_path: Path) -> None:
    """`data synth` writes a study that needs no files; `data stats` prints the same best, above popularity."""
    synth = ["data", "synth", "--users", "80", "--items", "60", "--name", "school"]
    made = call(*synth, "-f", "json", cwd=tmp_path)
    assert made.code == 0, made.err
    stats = json.loads(call("data", "stats", "--study", "school", "-f", "json", cwd=tmp_path).out)
    assert stats["best_reachable"] == json.loads(made.out)["best_reachable"]
    assert (
        stats["best_reachable"]["valid"]["ndcg@10"]
        > stats["baselines"]["valid"]["popularity"]["ndcg@10"]
    )
    assert call("run", "--study", "school", "--dry-run", cwd=tmp_path).code == 0
    again = call(*synth, cwd=tmp_path)
    assert (again.code, again.err) == (
        2,
        "Error: studies/school.yaml: is there already; give another --name.\n",
    )


@pytest.mark.parametrize(
    ("options", "law"),
    [
        (["--items", "3"], "--items must be above the number of behaviors, 3, got 3."),
        (["--noise", "2"], "noise must be less than or equal to 1"),
        (["--events", "shop.xlsx"], "must end in one of .csv, .jsonl, .parquet"),
        (["--name", "../x"], "name"),
    ],
)
def test_what_cannot_be_made_up(tmp_path: Path, options: list[str], law: str) -> None:
    """One line, code 2, nothing written."""
    ended = call("data", "synth", "--users", "20", "--items", "40", *options, cwd=tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert law in ended.err
    assert list(tmp_path.iterdir()) == []
