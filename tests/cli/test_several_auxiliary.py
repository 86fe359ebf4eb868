"""The walk from a log of which two behaviors are no targets: prepare, stats, run, export-best, recommend, append."""

import json
from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import read_yaml, write_yaml
from tests.cli.program import Ended, call, do
from tests.cli.test_replaced_data import STUDY, prepare, write_log

SMALL: dict[str, Any] = {
    "recipe": "published",
    "space": {
        "model": {"embedding_size": 8, "max_length": 8, "num_blocks": 1, "augmentation": "flip"},
        "train": {"learning_rate": {"float": [1e-3, 1e-2], "log": True}},
    },
    "train": {"max_epochs": 2, "eval_every": 1},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log prepared, and the first trial of a small model exported."""
    folder = tmp_path_factory.mktemp("shop")
    write_log(folder, 2_000)
    ended = prepare(folder, "view,cart,buy", "--auxiliary", "cart, view")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["auxiliary"] == ["view", "cart"]
    study = {**read_yaml(folder / STUDY), **SMALL, "search": {"trials": 1}}
    (folder / STUDY).write_text(write_yaml(study))
    do(folder, "run --study shop --workers 1 -q")
    do(folder, "export-best --study shop --out best --device cpu -q")
    return folder


def test_everything_says_which_they_are(shop: Path) -> None:
    """Study, record, page, bundle and card name both, in the order of columns."""
    assert read_yaml(shop / STUDY)["data"]["auxiliary"] == ["view", "cart"]
    record = json.loads((shop / "data" / "shop" / "preparation.json").read_text())
    assert record["auxiliary"] == ["view", "cart"]
    assert "(view and cart are no targets)" in do(shop, "data stats --study shop").out
    assert json.loads((shop / "best" / "catalog.json").read_text())["auxiliary"] == [0, 1]
    card = (shop / "best" / "README.md").read_text()
    assert "- auxiliary behavior: view, cart\n" in card
    assert "--target buy -k 10" in card


def test_held_out_rows_have_the_target(shop: Path) -> None:
    """Each valid and test row has a buy."""
    for part in ("valid", "test"):
        rows = (shop / "data" / "shop" / f"{part}.txt").read_text().split()
        assert rows
        assert {row.split(",")[4] for row in rows} == {"1"}


def test_what_is_left_is_hoped_for(shop: Path) -> None:
    """Without --target a bundle recommends as with the one behavior that is a target."""
    words = "recommend --bundle best --users shop.csv --include-seen --device cpu -q"
    found = [do(shop, f"{words} {more}").out for more in ("", "--target buy")]
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == 1 + 12 * 10


def test_newer_rows_are_split_likewise(shop: Path) -> None:
    """An append takes both from the record, and its study is one of both."""
    write_log(shop, 2_400)
    do(shop, "data prepare event-log --append --source shop.csv --name shop -q")
    record = json.loads((shop / "data" / "shop.2" / "preparation.json").read_text())
    study = read_yaml(shop / "studies" / "shop.2.yaml")["data"]
    assert record["auxiliary"] == study["auxiliary"] == ["view", "cart"]
    do(shop, "data stats --study shop.2")


def refused(folder: Path, *more: str) -> Ended:
    ended = prepare(folder, "view,cart,buy", *more, "-q")
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    return ended


def test_other_ones_are_another_meaning(tmp_path: Path) -> None:
    """They need --force, which writes an unedited study file anew; a study that says otherwise is refused."""
    write_log(tmp_path)
    assert prepare(tmp_path, "view,cart,buy").code == 0
    one = (tmp_path / STUDY).read_text()
    changed = refused(tmp_path, "--auxiliary", "view,cart")
    assert "(auxiliary view, now view,cart)" in changed.err
    assert prepare(tmp_path, "view,cart,buy", "--auxiliary", "view,cart", "--force").code == 0
    assert read_yaml(tmp_path / STUDY)["data"]["auxiliary"] == ["view", "cart"]
    assert prepare(tmp_path, "view,cart,buy", "--auxiliary", "cart,view").code == 0
    (tmp_path / STUDY).write_text(one)
    ended = call("data", "stats", "--study", "shop", cwd=tmp_path)
    law = "was prepared with auxiliary view,cart, and is read with view; correct `data`"
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert law in ended.err
    assert prepare(tmp_path, "view,cart,buy", "--auxiliary", "view", "--force").code == 0
    assert (tmp_path / STUDY).read_text() == one


def test_the_summary_names_them(tmp_path: Path) -> None:
    """In a row of the table, with what that means."""
    write_log(tmp_path)
    ended = prepare(tmp_path, "view,cart,buy", "--auxiliary", "view,cart", "-f", "table")
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.out.splitlines() if line.startswith("auxiliary")]
    assert line.split(maxsplit=1)[1].split("  ")[0] == "view, cart"
    assert "no targets; the others are" in line
