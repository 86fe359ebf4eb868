"""The command `data look`: its page, its JSON, the mapping file that it writes, what it cannot tell."""

import json
import shlex
from pathlib import Path

from blade_tune.config import read_yaml
from tests.cli.program import call, do
from tests.data.raw.logs import write_log
from tests.data.raw.test_look import NO_FLOORS, advised


def test_several_files_get_a_mapping_file(tmp_path: Path) -> None:
    """It names them from its own folder, has each one's columns, and prepares as it is; none is written over."""
    for name, (user, item, step) in {
        "views.csv": ("visitor", "page", 1),
        "buys.tsv": ("customer", "sku", 3),
    }.items():
        rows = [
            {item: f"i{n % 9}", user: f"u{n % 5}", "ts": str(1_600_000_000 + n)}
            for n in range(0, 90, step)
        ]
        write_log(tmp_path / "logs" / name, rows)
    sources = ["logs/views.csv", "logs/buys.tsv"]
    seen = call("data", "look", *sources, cwd=tmp_path)
    assert "blade-tune data look logs/views.csv logs/buys.tsv --write log.yaml" in seen.out
    words = advised(tmp_path, *sources, "--write", "logs/log.yaml")
    written = read_yaml(tmp_path / "logs" / "log.yaml")
    assert written == {
        "auxiliary": "view",
        "files": [
            {
                "source": "views.csv",
                "user": "visitor",
                "item": "page",
                "time": "ts",
                "behaviors": {"view": "*"},
            },
            {
                "source": "buys.tsv",
                "user": "customer",
                "item": "sku",
                "time": "ts",
                "behaviors": {"buy": "*"},
            },
        ],
    }
    facts = call(*words, *NO_FLOORS, "-q", "-f", "json", "--name", "shop", cwd=tmp_path)
    assert json.loads(facts.out)["left_out"]["merged"] == 30
    before = (tmp_path / "logs" / "log.yaml").read_bytes()
    again = call("data", "look", *sources, "--write", "logs/log.yaml", cwd=tmp_path)
    assert (again.code, again.err) == (
        2,
        "Error: logs/log.yaml: is there already and left alone; give --write another name.\n",
    )
    assert (tmp_path / "logs" / "log.yaml").read_bytes() == before


def test_a_look_as_json(tmp_path: Path) -> None:
    """Programs get forms, columns with their meaning and reason, counts, notes, the mapping and the command."""
    write_log(
        tmp_path / "my shop.csv",
        [{"user": f"u{n % 5}", "item": f"i{n % 9}", "odd'": "1"} for n in range(50)],
    )
    seen = json.loads(call("data", "look", "my shop.csv", "-f", "json", cwd=tmp_path).out)
    file = seen["files"]["my shop.csv"]
    assert (file["form"], file["rows_looked_at"], file["is_whole"]) == (
        "text, separated by ','",
        50,
        True,
    )
    assert file["columns"]["user"]["meaning"] == "user"
    assert file["columns"]["user"]["reason"] == "its name"
    assert seen["mapping"]["behaviors"] == {"interact": "*"}
    words = shlex.split(seen["command"])
    assert words[5] == "my shop.csv"
    assert call(*words[1:], *NO_FLOORS, "-q", cwd=tmp_path).code == 0


def test_the_page_of_a_log(tmp_path: Path) -> None:
    """Form, columns with their meaning and reason, time as dates, sets, and the command in the last line."""
    rows = [
        {
            "visitorid": f"u{n % 5}",
            "itemid": f"i{n % 9}",
            "ts": str(1_600_000_000 + n // 2),
            "event": e,
        }
        for n in range(60)
        for e in ("view", "cart")[: 1 + n % 2]
    ]
    write_log(tmp_path / "shop.tsv", rows)
    page = do(tmp_path, "data look shop.tsv").out.splitlines()
    assert page[0] == "shop.tsv: text, separated by tabs; all 90 rows were looked at"
    assert page[1].startswith("  visitorid  user (its name); 5 values: ")
    assert "time         2020-09-13 12:26:40 UTC to 2020-09-13 12:27:09 UTC" in page
    assert (
        "sets         50.0% of the interactions have more than one behavior, for rows of a user, item and time merge"
        in page
    )
    assert page[-1] == (
        "blade-tune data prepare event-log --source shop.tsv --user visitorid --item itemid --time ts --type event "
        "--behaviors view,cart --auxiliary view"
    )


def test_what_is_not_known_stands_in_capitals(tmp_path: Path) -> None:
    """The command has a place for it, a sentence says so, and a mapping file has the sentences above."""
    write_log(tmp_path / "a.csv", [{"user": f"u{n}"} for n in range(9)])
    page = do(tmp_path, "data look a.csv --write log.yaml").out
    assert "put its name in the place of ITEM_COLUMN" in " ".join(page.split())
    assert read_yaml(tmp_path / "log.yaml")["item"] == "ITEM_COLUMN"
    assert "# no column looks like ids of items: " in (tmp_path / "log.yaml").read_text()
    assert do(tmp_path, "data look a.csv").out.splitlines()[-1] == (
        "blade-tune data prepare event-log --source a.csv --user user --item ITEM_COLUMN --behaviors 'interact=*'"
    )


def test_what_flags_cannot_say_goes_into_a_mapping_file(tmp_path: Path) -> None:
    """A type with a comma in it, at which --behaviors would be divided."""
    rows = [
        {"user": f"u{n % 5}", "item": f"i{n % 9}", "event": ("view", "buy, again")[n % 3 == 0]}
        for n in range(90)
    ]
    write_log(tmp_path / "a.csv", rows)
    assert "blade-tune data look a.csv --write log.yaml" in do(tmp_path, "data look a.csv").out
    do(tmp_path, "data look a.csv --write log.yaml")
    assert read_yaml(tmp_path / "log.yaml")["behaviors"] == {
        "view": "view",
        "buy_again": "buy, again",
    }
    do(tmp_path, f"data prepare event-log --source log.yaml -q {' '.join(NO_FLOORS)}")


def test_what_cannot_be_looked_at(tmp_path: Path) -> None:
    """One line, code 2, and nothing is written."""
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    (tmp_path / "b.csv").write_bytes(b"user,item\n")
    write_log(tmp_path / "c.csv", [{"user": "u1", "item": "i1"}])
    for words, law in {
        "a.xlsx": "a.xlsx: must end in one of .csv,",
        "b.csv": "b.csv: must have a row and a column, and has none.",
        "d.csv": "d.csv: no such file or folder.",
        "c.csv --write c.txt": "c.txt: must end in .yaml",
        "c.csv --write no/log.yaml": "no/log.yaml: cannot be written",
    }.items():
        ended = call("data", "look", *words.split(), cwd=tmp_path)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
        assert law in ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.xlsx", "b.csv", "c.csv"]
