"""Data that are gone, or are others than a study was run on: the error names the very commands that bring them back."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from blade_tune.data.sources.split_files import FILES
from tests.cli.program import Ended, call
from tests.cli.test_replaced_data import DATA, prepare, store_study, write_log

READERS = (["data", "stats"], ["data", "xray"], ["run", "--trials", "1"])


def append(folder: Path, num_rows: int = 1_200) -> Ended:
    """A newer export under the same name, which has all older rows too."""
    write_log(folder, num_rows)
    words = ["data", "prepare", "event-log", "--append", "--source", "shop.csv", "--name", "shop"]
    return call(*words, cwd=folder)


def split(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES.values()}


def named_commands(ended: Ended) -> list[list[str]]:
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    named = re.search(r"prepare the data again, `(.*)` \(with", ended.err)
    assert named is not None, ended.err
    return [shlex.split(command)[1:] for command in named[1].split(" && ")]


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_data_that_are_gone_come_back_by_the_named_command(
    tmp_path: Path, words: list[str]
) -> None:
    """A folder that was read once: whoever reads it says how it was made, with each flag; that gives the same rows."""
    write_log(tmp_path)
    more = ("--until-stable", "--license", "ours; not yours")
    assert prepare(tmp_path, "look=view,cart,buy", "--auxiliary", "cart", *more).code == 0
    assert call("data", "stats", "--study", "shop", cwd=tmp_path).code == 0
    before = split(tmp_path / DATA)
    shutil.rmtree(tmp_path / DATA)
    (command,) = named_commands(call(*words, "--study", "shop", cwd=tmp_path))
    assert call(*command, cwd=tmp_path).code == 0
    assert split(tmp_path / DATA) == before
    assert call(*words[:2], "--study", "shop", "--help", cwd=tmp_path).code == 0


def test_newer_rows_come_back_too(tmp_path: Path) -> None:
    """A later version is named with the log that was prepared and each file that was added."""
    write_log(tmp_path)
    assert prepare(tmp_path, "view,cart,buy").code == 0
    (tmp_path / "shop.csv").rename(tmp_path / "old.csv")
    assert append(tmp_path).code == 0
    assert call("data", "stats", "--study", "shop.2", cwd=tmp_path).code == 0
    before = split(tmp_path / "data" / "shop.2")
    shutil.rmtree(tmp_path / "data")
    first, second = named_commands(call("data", "stats", "--study", "shop.2", cwd=tmp_path))
    first[first.index("shop.csv")] = (
        "old.csv"  # the path of the log, which the message leaves to the user
    )
    assert call(*first, cwd=tmp_path).code == call(*second, cwd=tmp_path).code == 0
    assert split(tmp_path / "data" / "shop.2") == before


def test_data_that_were_never_there(tmp_path: Path) -> None:
    """A shipped study names `data get` and `data prepare`; one of a log, the flags that its file knows."""
    ended = call("data", "stats", "--study", "kuaisar", "--data", "none", cwd=tmp_path)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert (
        "`blade-tune data get kuaisar` and `blade-tune data prepare kuaisar --source ARCHIVE --out none`"
        in ended.err
    )
    write_log(tmp_path)
    assert prepare(tmp_path, "view,cart,buy").code == 0
    shutil.rmtree(tmp_path / DATA)
    ended = call("data", "stats", "--study", "shop", cwd=tmp_path)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--behaviors view,cart,buy --auxiliary view --name shop --out data/shop`" in ended.err


def test_a_study_finds_its_rows_among_the_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a study is given the folder of a later version, it says which one has the rows that it was run on."""
    write_log(tmp_path)
    prepare(tmp_path, "view,cart,buy")
    store_study(tmp_path, monkeypatch)
    before = split(tmp_path / DATA)
    assert append(tmp_path).code == 0
    assert split(tmp_path / DATA) == before
    assert call("data", "stats", "--study", "shop", cwd=tmp_path).code == 0
    words = ["data", "stats", "--study", "shop", "--data", "data/shop.2"]
    refused = call(*words, cwd=tmp_path)
    folder = tmp_path / DATA
    assert refused.code == 3
    assert f"{folder} has it: give --data {folder}." in refused.err


def test_a_study_stands_on_its_rows_wherever_they_were_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that was moved: the study remembers another place, and its rows are not replaced unasked either."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    write_log(old)
    prepare(old, "view,cart,buy")
    store_study(old, monkeypatch)
    old.rename(new)
    before = split(new / DATA)
    write_log(new, 1_000)
    refused = prepare(new, "view,cart,buy", "-q")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "would break the study shop in sqlite:///results/studies.db; give" in refused.err
    assert "--append" in refused.err
    assert split(new / DATA) == before
    assert "this breaks the study shop" in prepare(new, "view,cart,buy", "--force").err


def test_versions_are_named_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`data stats` of any version names all, and the studies that were run on its rows."""
    write_log(tmp_path)
    prepare(tmp_path, "view,cart,buy")
    store_study(tmp_path, monkeypatch)
    append(tmp_path)
    found = {}
    for study in ("shop", "shop.2"):
        facts = json.loads(call("data", "stats", "-s", study, "-f", "json", cwd=tmp_path).out)
        found[study] = facts["studies"]
        assert facts["folder"] == str(tmp_path / "data" / study)
        assert list(facts["versions"]) == ["shop", "shop.2"]
        assert facts["versions"]["shop.2"]["rows"] > facts["versions"]["shop"]["rows"] == 900
        page = call("data", "stats", "-s", study, cwd=tmp_path).out
        assert all(f"{name} ({facts['versions'][name]['rows']:,} rows" in page for name in found)
    assert found == {"shop": ["shop"], "shop.2": []}
