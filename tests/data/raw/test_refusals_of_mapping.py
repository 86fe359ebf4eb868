"""What a mapping file cannot say, and what it may not say of newer rows: one line, code 2, nothing written."""

from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import write_yaml
from blade_tune.data.versions import versions_of
from tests.cli.program import call, do
from tests.data.raw.logs import write_log

OK = {"source": "a.csv", "user": "user", "item": "item", "time": "time", "behaviors": ["view"]}
REFUSED: dict[str, tuple[dict[str, Any] | str, str, str]] = {
    "a misspelled key": ({**OK, "usr": "x"}, "", "log.yaml: unknown key usr. Did you mean user?"),
    "a misspelled key of an entry": (
        {"files": [OK, {**OK, "itm": "x"}]},
        "",
        "log.yaml: files, entry 2: unknown key itm. Did you mean item?",
    ),
    "a missing key": (
        {"source": "a.csv", "user": "u", "behaviors": ["v"]},
        "",
        "log.yaml: item is required.",
    ),
    "behaviors as a text": (
        {**OK, "behaviors": "view,buy"},
        "",
        "log.yaml: behaviors must be a mapping such as {view: page_view",
    ),
    "no behaviors": ({**OK, "behaviors": {}}, "", "behaviors must be a mapping such as"),
    "a behavior of nothing": (
        {**OK, "behaviors": {"view": None}},
        "",
        "must be texts or numbers; put quotes",
    ),
    "a behavior of yes": (
        {**OK, "behaviors": {"view": True}},
        "",
        "must be texts or numbers; put quotes",
    ),
    "files that are none": (
        {"files": {"a": OK}},
        "",
        "log.yaml: files must be a list with an entry a file",
    ),
    "no files": ({"files": []}, "", "log.yaml: files must be a list with an entry a file"),
    "a source beside files": (
        {"source": "b.csv", "files": [OK, OK]},
        "",
        "source must stand in the entries of files",
    ),
    "times in one file only": (
        {"files": [OK, {**OK, "time": None}]},
        "",
        "log.yaml: files, entry 2: time must be as in all files of a log, and the first file has times, got none.",
    ),
    "thresholds of no column": (
        {**OK, "thresholds": {"stars": 4}},
        "",
        "log.yaml: thresholds must be of columns of behaviors",
    ),
    "a threshold of no number": (
        {**OK, "thresholds": {"view": "four"}},
        "",
        "thresholds.view must be a valid number",
    ),
    "a name twice": ({**OK, "item": "user"}, "", "log.yaml: columns must differ, got user twice."),
    "an unknown encoding": (
        {**OK, "encoding": "klingon"},
        "",
        "log.yaml: encoding must be one that Python knows",
    ),
    "an unknown auxiliary": (
        {**OK, "behaviors": ["view", "buy"], "auxiliary": "viev"},
        "",
        "log.yaml: auxiliary must be one of the behaviors view, buy, got viev",
    ),
    "an unknown recipe": (
        {**OK, "recipe": {"min_items": 3}},
        "",
        "unknown key recipe.min_items. Did you mean min_item_targets?",
    ),
    "no YAML": ("user: [", "", "log.yaml:1: is not valid YAML"),
    "no mapping": ("- a", "", "log.yaml: must be a YAML mapping, got list."),
    "a file that is not there": ({**OK, "source": "b.csv"}, "", "b.csv: no such file or folder."),
    "a column that is not there": (
        {**OK, "item": "itm"},
        "",
        "a.csv: must have one column 'itm', got user, item, time, view. Did you mean item?",
    ),
    "a flag beside it": (
        OK,
        "--user user",
        "--user must stand in log.yaml, which says what the columns mean, and not beside it",
    ),
    "behaviors beside it": (OK, "--behaviors view", "--behaviors must stand in log.yaml"),
    "a license beside it": (OK, "--license x", "--license must stand in log.yaml"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_mapping_file_cannot_say(tmp_path: Path, kind: str) -> None:
    """One line with the file, the field, the law and the way out, code 2, nothing written."""
    content, flags, law = REFUSED[kind]
    text = content if isinstance(content, str) else write_yaml(content)
    (tmp_path / "log.yaml").write_text(text)
    rows = [
        {"user": f"u{n % 2}", "item": f"i{n % 3}", "time": str(n), "view": "1"} for n in range(30)
    ]
    write_log(tmp_path / "a.csv", rows)
    words = f"data prepare event-log --source log.yaml -q {flags}"
    ended = call(*words.split(), cwd=tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
    assert law in ended.err
    files = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(files) == ["a.csv", "log.yaml"]


UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "another behavior": (
        {"behaviors": ["viev"]},
        "newer.yaml: unknown behavior viev. Did you mean view?",
    ),
    "another auxiliary": (
        {"auxiliary": "view"},
        "auxiliary must be as data/shop was prepared (none), got view; leave it out",
    ),
    "repeats": (
        {"keep_repeats": True},
        "keep_repeats must be as data/shop was prepared (False), got True",
    ),
    "another floor": (
        {"recipe": {"min_item_targets": 9}},
        "recipe must be as data/shop was prepared (min_item_targets 0,",
    ),
    "no times": (
        {"time": None},
        "time must be as in all files of a log, and the log has times, got none.",
    ),
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_newer_rows_are_read_as_the_log(tmp_path: Path, kind: str) -> None:
    """What a mapping file says of them otherwise is refused; what it says alike is taken."""
    rows = [
        {"user": f"u{n % 2}", "item": f"i{n % 3}", "time": str(n), "view": "1"} for n in range(30)
    ]
    write_log(tmp_path / "a.csv", rows)
    recipe = {"min_item_targets": 0, "min_user_targets": 0}
    (tmp_path / "log.yaml").write_text(write_yaml({**OK, "name": "shop", "recipe": recipe}))
    do(tmp_path, "data prepare event-log --source log.yaml -q")
    changes, law = UNLIKE[kind]
    (tmp_path / "newer.yaml").write_text(write_yaml({**OK, "name": "shop", **changes}))
    ended = call(
        *["data", "prepare", "event-log", "--append", "--source", "newer.yaml", "-q"], cwd=tmp_path
    )
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
    assert law in ended.err
    assert not (tmp_path / "data" / "shop.2").exists()
    # As the log was read, with other names of columns
    write_log(tmp_path / "b.csv", [{"u": "u1", "item": "i1", "time": "99", "view": "1"}])
    alike = {
        **OK,
        "name": "shop",
        "source": "b.csv",
        "user": "u",
        "recipe": {"min_item_targets": 0},
    }
    (tmp_path / "newer.yaml").write_text(write_yaml(alike))
    do(tmp_path, "data prepare event-log --append --source newer.yaml -q")
    assert versions_of(tmp_path / "data" / "shop")[-1].number == 2
