"""The command recommend: logs of several forms in, the ranks of Python out, and bad options refused."""

import csv
import io
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch

from blade_tune.export.final import ExportOptions, export_best
from blade_tune.export.recommender import Recommender
from tests.builders import BEHAVIORS
from tests.cli.program import Ended, call
from tests.data.raw.logs import write_log
from tests.tiny import run, stored

# --- the command ---


def recommend(folder: Path, bundle: Path, *words: str) -> Ended:
    return call("recommend", "--bundle", str(bundle), *words, cwd=folder)


def shown(text: str) -> dict[str, list[tuple[str, float]]]:
    lists: dict[str, list[tuple[str, float]]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        assert int(row["rank"]) == len(lists.setdefault(row["user"], [])) + 1
        lists[row["user"]].append((row["item"], float(row["score"])))
    return lists


LOG = {"1": [("3", "click"), ("9", "like")], "77": [("9", "share")], "78": [("999", "like")]}
ROWS = [
    {
        "user": user,
        "item": item,
        "time": str(step),
        **{name: str(int(name == behavior)) for name in BEHAVIORS[:4]},
    }
    for user, history in LOG.items()
    for step, (item, behavior) in enumerate(history)
]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".jsonl.zst"])
def test_the_command_recommends_as_python_does(bundle: Path, tmp_path: Path, suffix: str) -> None:
    """Histories in any form give what `recommend` gives; what the model does not know is reported on stderr."""
    write_log(tmp_path / f"users{suffix}", ROWS)
    ended = recommend(tmp_path, bundle, "--users", f"users{suffix}", "--target", "like", "-k", "3")
    assert ended.code == 0, ended.err
    expected = Recommender.load(bundle).recommend(
        {u: [(i, [b]) for i, b in h] for u, h in LOG.items()}, ["like"], 3
    )
    found = shown(ended.out)
    assert list(found) == ["1", "77"]
    for user, items in found.items():
        assert [item for item, _ in items] == [item for item, _ in expected[user]]
        np.testing.assert_allclose([s for _, s in items], [s for _, s in expected[user]], rtol=1e-5)
    assert "1 items are not the model's and left out: 999" in ended.err
    assert (
        "2 users are new to the model and have the mean preference of all others: 77, 78"
        in ended.err
    )
    assert "1 users have no known item and get no recommendation: 78" in ended.err


def test_files_hold_the_same(bundle: Path, tmp_path: Path) -> None:
    """CSV and Parquet have the same rows; ids that are whole numbers are whole numbers in Parquet."""
    write_log(tmp_path / "users.csv", ROWS)
    for name in ("found.csv", "found.parquet"):
        ended = recommend(tmp_path, bundle, "--users", "users.csv", "--out", name, "-q")
        assert (ended.code, ended.out) == (0, f"{name}\n"), ended.err
    rows = [
        duckdb.sql(f"SELECT * FROM '{tmp_path / name}'").fetchall()  # noqa: S608
        for name in ("found.csv", "found.parquet")
    ]
    assert [row[:3] for row in rows[0]] == [row[:3] for row in rows[1]]
    np.testing.assert_allclose([row[3] for row in rows[0]], [row[3] for row in rows[1]], rtol=1e-6)
    assert len(rows[0]) == 20
    (types,) = {tuple(map(str, duckdb.sql(f"SELECT * FROM '{tmp_path}/found.parquet'").types))}  # noqa: S608
    assert types == ("BIGINT", "BIGINT", "BIGINT", "FLOAT")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "found.csv",
        "found.parquet",
        "users.csv",
    ]


def test_other_columns_may_be_named(bundle: Path, tmp_path: Path) -> None:
    """A log with a row an event and other names, out of order, gives the same as one like the model's."""
    write_log(tmp_path / "users.csv", ROWS)
    events = [
        {"who": r["user"], "what": r["item"], "at": r["time"], "did": name}
        for r in reversed(ROWS)
        for name in BEHAVIORS[:4]
        if r[name] == "1"
    ]
    write_log(tmp_path / "events.jsonl", events)
    columns = ["--user", "who", "--item", "what", "--time", "at", "--type", "did"]
    same = recommend(tmp_path, bundle, "--users", "users.csv", "-q").out
    assert recommend(
        tmp_path, bundle, "--users", "events.jsonl", *columns, "-q"
    ).out == same.replace("user,item", "who,what")


def test_split_files_are_histories_too(bundle: Path, tmp_path: Path) -> None:
    """A model of split files, or of made-up data, reads lines `user,item,b_1,...` without a header."""
    lines = [",".join((r["user"], r["item"], *(r[name] for name in BEHAVIORS[:4]))) for r in ROWS]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    write_log(tmp_path / "users.csv", ROWS)
    found = [
        recommend(tmp_path, bundle, "--users", name, "-q").out
        for name in ("train.txt", "users.csv")
    ]
    assert found[0] == found[1] != ""


@pytest.mark.parametrize(
    ("words", "law"),
    [
        (["--target", "lik"], "unknown behavior 'lik'. Did you mean like?"),
        (["--out", "found.xlsx"], "must end in one of .csv, .parquet"),
        (["--user", "who"], "must have one column 'who'"),
        (["--users", "none.csv"], "no such file"),
        (["--device", "tpu"], "--device must be auto, cpu"),
    ],
)
def test_bad_options_are_one_line(bundle: Path, tmp_path: Path, words: list[str], law: str) -> None:
    """Code 2, nothing written."""
    write_log(tmp_path / "users.csv", ROWS)
    ended = recommend(tmp_path, bundle, "--users", "users.csv", "-q", *words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert law in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["users.csv"]


def test_a_model_that_is_not_told_says_so(tmp_path: Path) -> None:
    """Where --target changes nothing, that is said."""
    results = tmp_path / "results"
    run(
        results,
        model="sasrec",
        search__trials=1,
        space={"model": {"embedding_size": 8, "max_length": 6}},
    )
    export_best(stored(results), ExportOptions(tmp_path / "best", torch.device("cpu")))
    write_log(tmp_path / "users.csv", ROWS)
    ended = recommend(tmp_path, tmp_path / "best", "--users", "users.csv", "--target", "like", "-q")
    assert "does not look at --target" in ended.err
    assert ended.code == 0
