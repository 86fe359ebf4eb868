"""One log in every form: the same split, the split of the slow recipe, and the same recommendations."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from blade_tune.data.raw.settings import LogFormat, Recipe
from tests.cli.program import call
from tests.data.raw.logs import read_prepared
from tests.data.raw.many_forms import FORMS, LOG
from tests.data.raw.slow_twin import expected_split

BEHAVIORS = ("view", "buy")
COLUMNS = ["--user", "user", "--item", "item", "--time", "time", "--type", "event"]
PREPARE = ["data", "prepare", "event-log", *COLUMNS, "--behaviors", "view, buy", "--name", "shop"]
FLOORS = ["--min-item-targets", "2", "--min-user-targets", "2"]


def prepared_by_hand() -> dict[str, list[tuple[str, str, frozenset[str]]]]:
    """The parts that plain loops make of the log."""
    rows = [
        (
            None if row["user"] == "NULL" else row["user"],
            row["item"],
            datetime.fromisoformat(row["time"]),
            frozenset({row["event"]} & set(BEHAVIORS)),
        )
        for row in LOG
    ]
    recipe = Recipe(min_item_targets=2, min_user_targets=2)
    return expected_split(rows, "view", recipe, merges=True).parts


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a study on the log as a CSV file, after data prepare, stats, run and export-best."""
    folder = tmp_path_factory.mktemp("shop")
    source = FORMS["CSV"].write(folder)
    for words in (
        [*PREPARE, *FLOORS, "--source", str(source)],
        ["data", "stats", "--study", "shop"],
        ["run", "--study", "shop", "--model", "item_knn", "--trials", "1"],
    ):
        ended = call(*words, "-q", cwd=folder) if words[1] != "stats" else call(*words, cwd=folder)
        assert ended.code == 0, ended.err
    ended = call("export-best", "--study", "shop-item_knn", "-q", "-f", "json", cwd=folder)
    assert ended.code == 0, ended.err
    return folder / "results" / "shop-item_knn" / "best"


def recommended(bundle: Path, source: Path, *options: str) -> str:
    words = ["recommend", "--bundle", str(bundle), "--users", str(source), "-k", "3", "-q"]
    ended = call(*words, *options, cwd=bundle)
    assert ended.code == 0, ended.err
    return ended.out


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_the_same_log(tmp_path: Path, bundle: Path, name: str) -> None:
    """From file to recommendations: the slow recipe's split, counts with reasons, and what a bundle recommends."""
    form = FORMS[name]
    source = form.write(tmp_path)
    words = [*PREPARE, *FLOORS, "--source", str(source), *form.options, "-q", "-f", "json"]
    ended = call(*words, cwd=tmp_path)
    assert ended.code == 0, ended.err
    facts = json.loads(ended.out)
    assert read_prepared(tmp_path / "data" / "shop", BEHAVIORS) == prepared_by_hand()
    assert facts["rows_read"] == len(LOG)
    assert facts["auxiliary"] == "view"
    assert facts["left_out"]["no_user"] == sum(row["user"] == "NULL" for row in LOG)
    assert recommended(bundle, source, *form.options) == recommended(
        bundle, FORMS["CSV"].write(tmp_path / "plain")
    )


def test_a_bundle_reads_its_own_form(tmp_path: Path) -> None:
    """Header, encoding and the order of day and month are those of the log that was prepared, unless flags say."""
    form = FORMS["MovieLens's"]
    source = form.write(tmp_path)
    ended = call(*PREPARE, "--source", str(source), *form.options, *FLOORS, "-q", cwd=tmp_path)
    assert ended.code == 0, ended.err
    facts = json.loads((tmp_path / "data" / "shop" / "preparation.json").read_text())
    assert LogFormat(**facts["log"]).header == ("user", "item", "time", "event")
    call("run", "--study", "shop", "--model", "popularity", "--trials", "1", "-q", cwd=tmp_path)
    call("export-best", "--study", "shop-popularity", "-q", cwd=tmp_path)
    own = tmp_path / "results" / "shop-popularity" / "best"
    plain = FORMS["CSV"].write(tmp_path / "plain")
    assert recommended(own, source) == recommended(own, plain, "--header", "")


def test_the_order_of_day_and_month_is_remembered(tmp_path: Path) -> None:
    """The column shows it; a log of histories that does not is read the same way."""
    for name, order in (("month first", "month"), ("day first", "day"), ("slashes", None)):
        source = FORMS[name].write(tmp_path)
        assert (
            call(*PREPARE, "--source", str(source), *FLOORS, "-q", "--out", name, cwd=tmp_path).code
            == 0
        )
        facts = json.loads((tmp_path / name / "preparation.json").read_text())
        assert facts["log"]["date_order"] == order
        assert facts["time_span"].keys() == {"first", "last"}
