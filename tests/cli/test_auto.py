"""`auto`: from data to the best model in a given time, on studies so small that seconds are enough."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.cli.program import call, do, finish, read_until, start, write_study

FITTED = "popularity,item_knn,pure_svd"


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `auto` has chosen among three models."""
    folder = tmp_path_factory.mktemp("auto")
    write_study(folder / "studies" / "tiny.yaml")
    words = "auto --study tiny --models popularity,item_knn,sasrec --for 30s --seeds 2 --top 1"
    begun = time.monotonic()
    ended = do(folder, words)
    took = time.monotonic() - begun
    (folder / "out.txt").write_text(ended.out)
    (folder / "err.txt").write_text(ended.err)
    (folder / "took.txt").write_text(str(took))
    return folder


def facts(folder: Path) -> dict:
    return json.loads((folder / "results" / "tiny.auto" / "auto.json").read_text())


def test_auto_ends_with_a_model_that_recommends(chosen: Path) -> None:
    """The bundle is that of the chosen model, confirmed, tested once with a line in its ledger, and it recommends."""
    found = facts(chosen)
    assert found["bundle"] == "results/tiny.auto/bundle"
    bundle = chosen / found["bundle"]
    provenance = json.loads((bundle / "provenance.json").read_text())
    assert (provenance["study"], provenance["rule"]) == (found["study"], "confirmed")
    ledger = json.loads(call("ledger", "--study", found["study"], "-f", "json", cwd=chosen).out)
    opened = ledger["entries"] if isinstance(ledger, dict) else ledger
    assert len(opened) == 1


def test_auto_says_in_words_what_won(chosen: Path) -> None:
    """The paragraph names the chosen model, what to expect of it, the best other classical one, and what it took."""
    found = facts(chosen)
    words = (chosen / "out.txt").read_text()
    assert words.startswith(f"{found['chosen']} is chosen: NDCG@10 ")
    assert found["words"] in words
    assert " models had " in words
    told = (chosen / "err.txt").read_text()
    for step in ("looking at the data", "searching 3 models", "confirming", "exporting"):
        assert step in told


def test_each_family_is_a_study_of_its_own(chosen: Path) -> None:
    """Every command knows the searches, and `report` makes one page of all of them."""
    for family in facts(chosen)["families"]:
        status = json.loads(
            call("status", "--study", family["study"], "-f", "json", cwd=chosen).out
        )
        assert status["scored"] == family["trials"]
    do(chosen, "report --study tiny.auto")
    page = (chosen / "results" / "tiny.auto" / "report" / "report.html").read_text()
    assert "why it got no more time" in page
    assert "sasrec" in page


def test_time_is_kept(chosen: Path) -> None:
    """All of it takes no longer than was asked for, but for what a machine full of other tests may add."""
    assert float((chosen / "took.txt").read_text()) < 2 * 30


def test_ctrl_c_leaves_what_can_be_exported_and_gone_on_with(tmp_path: Path) -> None:
    """After Ctrl-C in the search the best so far can be exported; the same command goes on with what is stored."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    words = f"auto --study tiny --models {FITTED} --for 10m"
    process = start(*words.split(), cwd=tmp_path)
    read_until(process, "item_knn: 0.")
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.err
    do(tmp_path, "export-best --study tiny.auto-item_knn")
    before = json.loads(
        call("status", "--study", "tiny.auto-item_knn", "-f", "json", cwd=tmp_path).out
    )
    do(tmp_path, f"auto --study tiny --models {FITTED} --for 15s -q")
    rows = {family["model"]: family for family in facts(tmp_path)["families"]}
    assert rows["item_knn"]["trials"] >= before["scored"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--for 10s", "Give --study, or the log as --source"),
        ("--study tiny --for soon", "must be a duration"),
        ("--study tiny --for 0s", "must be above 0"),
        ("--study tiny --source x.csv --for 10s", "--study has its data already"),
        ("--study tiny --for 10s --models sasrec,sasrc", "unknown model 'sasrc'"),
        ("--study tiny --for 10s --models sasrec", "two or more different models"),
        ("--study tiny --for 10s --warm-start gone.csv", "gone.csv: cannot be read"),
        ("--source nothing.csv --for 10s --user u --item i --behaviors a,b", "nothing.csv"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(tmp_path: Path, words: str, message: str) -> None:
    """A bad call ends with code 2 and one line, before anything runs."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    ended = call("auto", *words.split(), cwd=tmp_path)
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "results" / "studies.db").exists()
