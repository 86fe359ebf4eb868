"""A prepared folder: whole or not there, the same bytes from the same rows, and what studies read."""

import json
import random
import re
import signal
import zipfile
from pathlib import Path

import pytest

from blade_tune.config import read_yaml
from blade_tune.data.config import data_config
from blade_tune.data.raw import database
from blade_tune.data.raw import prepare as preparing
from blade_tune.data.raw.datasets import KNOWN_LOGS
from blade_tune.data.raw.settings import Recipe
from blade_tune.data.sealed import count_sealed
from blade_tune.data.sources.base import open_source
from blade_tune.data.sources.split_files import PREPARATION
from blade_tune.data.statistics import describe
from blade_tune.data.store import prepare
from blade_tune.errors import ConfigError, DataError
from tests.cli.program import call, finish, read_until, start
from tests.data.raw.logs import FLAGS, prepared, write_log

FIVE = ("read", "like", "share", "favorite", "follow")


def rows_of(num_users: int = 12, num_items: int = 15, seed: int = 0) -> list[dict[str, str]]:
    """Enough rows of every behavior for every user."""
    draw = random.Random(seed)  # noqa: S311
    return [
        {
            "user": f"u{draw.randrange(num_users)}",
            "item": f"i{draw.randrange(num_items)}",
            "time": str(draw.randrange(40)),
            "view": str(draw.randrange(2)),
            "cart": str(draw.randrange(2)),
            "buy": str(draw.randrange(2)),
        }
        for _ in range(num_users * 40)
    ]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another place, on one thread or on eight, after another preparation or before."""
    recipe = Recipe(sample_users=9)
    (tmp_path / "elsewhere").mkdir()
    first = tree_of(write_log(tmp_path / "log.csv", rows_of()), tmp_path / "first", recipe)
    for threads in (1, 8):
        monkeypatch.setattr(database.os, "cpu_count", lambda threads=threads: threads)
        assert (
            tree_of(
                write_log(tmp_path / "elsewhere" / "log.csv", rows_of()), tmp_path / "again", recipe
            )
            == first
        )


def tree_of(source: Path, out: Path, recipe: Recipe) -> dict[str, bytes]:
    prepared(source, out, recipe=recipe)
    return tree(out)


def test_another_seed_draws_other_users(tmp_path: Path) -> None:
    """As many users as asked for, others with another seed."""
    source = write_log(tmp_path / "log.csv", rows_of())
    drawn = set()
    for seed in (1, 2, 3):
        assert (
            prepared(source, tmp_path / "out", recipe=Recipe(sample_users=4, seed=seed))["users"]
            == 4
        )
        drawn.add((tmp_path / "out" / "users.csv").read_text())
    assert len(drawn) == 3


def command(source: Path, out: str) -> list[str]:
    log = [
        "--user",
        "user",
        "--item",
        "item",
        "--time",
        "time",
        "--behaviors",
        "view,cart,buy",
        "--name",
        "log",
    ]
    return ["data", "prepare", "event-log", "--source", str(source), "--out", out, *log]


@pytest.mark.parametrize("step", ["reading", "merging", "splitting", "writing"])
def test_a_killed_preparation_leaves_nothing_that_looks_finished(tmp_path: Path, step: str) -> None:
    """Killed at any step, there is no folder and no study; the same command again gives the same as one left alone."""
    source = write_log(tmp_path / "log.csv", rows_of(num_users=400))
    process = start(*command(source, "out"), cwd=tmp_path)
    with process:
        assert step in read_until(process, step)
        process.kill()
    assert not (tmp_path / "out").exists() or step == "writing"
    ended = call(*command(source, "out"), cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert call(*command(source, "alone"), "-q", cwd=tmp_path).code == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "alone",
        "log.csv",
        "out",
        "studies",
    ]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stopped_preparation_tidies_up(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    """Ctrl-C and SIGTERM end with their code and leave the folder as it was."""
    source = write_log(tmp_path / "log.csv", rows_of(num_users=2_000))
    process = start(*command(source, "out"), cwd=tmp_path)
    read_until(process, "reading")
    process.send_signal(sent)
    assert finish(process).code == code
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_a_failure_leaves_the_older_preparation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older preparation is replaced as a whole, or stands as it was."""
    source = write_log(tmp_path / "log.csv", rows_of())
    prepared(source, tmp_path / "out")
    before = tree(tmp_path / "out")
    write_log(source, rows_of(seed=1))
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "sha256", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepared(source, tmp_path / "out")
    assert tree(tmp_path / "out") == before
    prepared(source, tmp_path / "out")
    assert tree(tmp_path / "out") != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "out"]


def test_no_room_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database has too little memory, the error says so and nothing is left."""
    source = write_log(tmp_path / "log.csv", rows_of(num_users=400))
    monkeypatch.setattr(database, "MEMORY", "1MB")
    ended = call(*command(source, "out"), "-q", cwd=tmp_path)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert re.search("Out of Memory", ended.err)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_other_folders_and_other_processes_are_left_alone(tmp_path: Path) -> None:
    """A folder of other files is refused, and so is a place where another process is at work."""
    source = write_log(tmp_path / "log.csv", rows_of())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="holds other files"):
        prepared(source, tmp_path / "mine")
    with (
        database.scratch(tmp_path / "out"),
        pytest.raises(DataError, match="another process is writing there"),
    ):
        prepared(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def lookalike(name: str, num_users: int = 30, seed: int = 0) -> list[dict[str, str]]:
    """Rows as the owner's: few behaviors, ids from 0 with gaps, interleaved users, tied times."""
    draw, form = random.Random(seed), KNOWN_LOGS[name].form  # noqa: S311
    rows = []
    for place in range(num_users * 60):
        row = {
            form.user: str(7 * draw.randrange(num_users)),
            form.item: str(1_000 * draw.randrange(60)),
        }
        row |= {
            column: str(int(draw.random() < 0.5 / (1 + k))) for k, column in enumerate(form.columns)
        }
        rows.append(row | ({form.time: str(place // 50)} if form.time else {}))
    return rows


@pytest.mark.parametrize(
    ("name", "behaviors"), [("kuaisar", 4), ("qk-video", 4), ("qk-article", 5)]
)
def test_archives_of_owners_become_studies_data(tmp_path: Path, name: str, behaviors: int) -> None:
    """An archive goes through `data prepare` and `data stats`; the shipped study reads what it made."""
    known = KNOWN_LOGS[name]
    (file,) = known.files
    write_log(tmp_path / file, lookalike(name))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / file, f"folder/{file}")
        archive.writestr("folder/other.csv", "a\n1\n")
    made = call("data", "prepare", name, "--source", "a.zip", "-f", "json", cwd=tmp_path)
    assert made.code == 0, made.err
    facts = json.loads(made.out)
    assert facts["rows_read"] == facts["interactions"] + sum(facts["left_out"].values())
    assert facts["left_out"]["no_behavior"] > 0
    assert f"next: blade-tune run --study {name} --data data/{name}" in made.err
    stats = json.loads(
        call("data", "stats", "--study", name, "--data", "data", "-f", "json", cwd=tmp_path).out
    )
    assert len(stats["behaviors"]) == behaviors
    assert {k: stats[k] for k in ("users", "items", "interactions")} == {
        k: facts[k] for k in ("users", "items", "interactions")
    }
    assert sum(stats["dropped"].values()) == 0
    assert stats["log"] == {"rows": facts["rows_read"], "left_out": stats["log"]["left_out"]}
    assert stats["license"] == known.license
    assert all("fewer than the published" in words for words in stats["published"])
    assert set(stats["baselines"]["valid"]) == {"popularity", "popularity_told", "item_knn"}


def test_published_files_with_gaps_and_empty_rows(tmp_path: Path) -> None:
    """Split files from elsewhere, of five behaviors, with all-zero rows and gaps in the ids, are numbered anew."""
    source = write_log(tmp_path / "QK-article.csv", lookalike("qk-article"))
    form = KNOWN_LOGS["qk-article"].form
    prepared(source, tmp_path / "out", form)
    (tmp_path / "out" / PREPARATION).unlink()
    train = (tmp_path / "out" / "train.txt").read_text().splitlines()
    gaps = [
        ",".join((user, str(10 * int(item)), *sets))
        for user, item, *sets in (line.split(",") for line in train)
    ]
    empty = ["1,7777777,0,0,0,0,0", *gaps, "99999,10,0,0,0,0,0"]
    (tmp_path / "out" / "train.txt").write_text("\n".join(empty) + "\n")
    for part in ("valid", "between_val_test", "test"):
        lines = [
            line.split(",") for line in (tmp_path / "out" / f"{part}.txt").read_text().splitlines()
        ]
        text = "".join(
            ",".join((user, str(10 * int(item)), *sets)) + "\n" for user, item, *sets in lines
        )
        (tmp_path / "out" / f"{part}.txt").write_text(text)
    raw = {"source": "split_files", "name": "qk-article", "behaviors": FIVE, "auxiliary": "read"}
    config = data_config(raw, "test")
    search = prepare(config, tmp_path / "out", tmp_path)
    facts = describe(
        search,
        count_sealed(search, tmp_path / "out"),
        open_source(config, tmp_path / "out").origin(),
    )
    assert facts["dropped"]["train_empty_set"] == 2
    assert facts["parts"]["train"] == len(train)
    assert search.item_ids_V[1:].tolist() == sorted({int(line.split(",")[1]) for line in gaps})
    assert facts["license"] == "CC BY-NC 4.0"  # known by the name of the data set


def test_changed_ids_are_refused(tmp_path: Path) -> None:
    """The ids behind the numbers are checked before a bundle speaks by them."""
    prepared(write_log(tmp_path / "log.csv", rows_of()), tmp_path / "out")
    config = data_config(
        {"source": "split_files", "name": "log", "behaviors": FLAGS.behaviors, "auxiliary": "view"},
        "",
    )
    source = open_source(config, tmp_path / "out")
    assert [f"u{n}" for n in (0, 1, 10)] == list(source.original_ids()["user"])[:3]
    (tmp_path / "out" / "items.csv").write_text("number,item\n1,other\n")
    with pytest.raises(
        DataError, match=r"items\.csv: must be as `data prepare` wrote it, and was changed"
    ):
        source.original_ids()


def test_a_study_is_written_once(tmp_path: Path) -> None:
    """`data prepare event-log` writes the study that comes next, and leaves one that is there alone."""
    source = write_log(tmp_path / "log.csv", rows_of())
    assert call(*command(source, "out"), cwd=tmp_path).code == 0
    study = tmp_path / "studies" / "log.yaml"
    assert "data: out" in study.read_text()
    planned = call("run", "--study", "log", "--dry-run", cwd=tmp_path)
    assert planned.code == 0, planned.err
    study.write_text(study.read_text() + "# mine\n")
    assert "is there already and left alone" in call(*command(source, "out"), cwd=tmp_path).err
    assert study.read_text().endswith("# mine\n")


def test_behaviors_may_be_named_anew(tmp_path: Path) -> None:
    """`look=view` reads the column view and calls the behavior look, in the study too."""
    source = write_log(tmp_path / "log.csv", rows_of())
    words = command(source, "renamed")
    words[words.index("view,cart,buy")] = "look=view,cart,buy"
    assert call(*words, cwd=tmp_path).code == 0
    assert call(*command(source, "plain"), cwd=tmp_path).code == 0
    assert tree(tmp_path / "renamed")["train.txt"] == tree(tmp_path / "plain")["train.txt"]
    study = read_yaml(tmp_path / "studies" / "log.yaml")
    assert (study["data"]["behaviors"], study["data"]["auxiliary"]) == (
        ["look", "cart", "buy"],
        "look",
    )


@pytest.mark.parametrize(
    ("options", "law"),
    [
        (
            ["--behaviors", "view", "--auxiliary", "view"],
            "auxiliary must leave a behavior that is a",
        ),
        (
            ["--auxiliary", "buy,cart,view"],
            "auxiliary must leave a .* got all: view, cart, buy; null",
        ),
        (["--auxiliary", "view,sale"], "auxiliary must be one of the behaviors .* got sale"),
        (["--auxiliary", "view,view"], "auxiliary must name a behavior once, got view twice"),
        (["--auxiliary", "view,"], r"auxiliary must be one of the behaviors .* got \.$"),
        (["--behaviors", "view,view"], "behaviors must differ"),
        (["--behaviors", "view,user"], "columns must differ|behaviors"),
        (["--auxiliary", "sale"], "auxiliary must be one of the behaviors"),
        (["--name", "../x"], "name"),
        (["--min-item-targets", "-1"], "min_item_targets must be greater than or equal to 0"),
        (["--sample-users", "0"], "sample_users must be greater than or equal to 1"),
        (["--min-user-targets", "1000"], "lower --min-item-targets and --min-user-targets"),
        (["--source", "none.csv"], r"none\.csv: no such file or folder"),
        (["--out", "a\\b"], "must be a path without a backslash"),
    ],
)
def test_options_that_cannot_be_meant(tmp_path: Path, options: list[str], law: str) -> None:
    """One line, code 2, nothing written."""
    source = write_log(tmp_path / "log.csv", rows_of())
    words = command(source, "out")
    for name, value in zip(options[::2], options[1::2], strict=True):
        if name in words:
            words[words.index(name) + 1] = value
        else:
            words += [name, value]
    ended = call(*words, "-q", cwd=tmp_path)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert re.search(law, ended.err)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
