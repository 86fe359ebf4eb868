"""Sealed data and the ledger of its openings."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from blade_tune.data.ledger import Head, Ledger
from blade_tune.data.sealed import SealedData, count_sealed, open_for_evaluation
from blade_tune.data.sources.split_files import FILES
from blade_tune.data.store import SearchData, prepare
from blade_tune.errors import DataError
from tests.data.examples import TINY, config, plain, whole, write_split


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return write_split(tmp_path / "files")


@pytest.fixture
def search(files: Path, tmp_path: Path) -> SearchData:
    return prepare(config(), files, tmp_path)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "results" / "ledger.jsonl")


@pytest.fixture
def sealed(search: SearchData, files: Path, ledger: Ledger) -> SealedData:
    return open_for_evaluation(search, files, ledger, {"study": "tiny"})


def test_rows_are_numbered_as_train(sealed: SealedData) -> None:
    """Between and test have the internal ids of the search."""
    assert plain(sealed.between) == [(1, 1, (1, 0, 0, 0))]
    assert plain(sealed.test) == [(1, 2, (1, 1, 0, 0))]


def test_history_before_the_test_row(sealed: SealedData) -> None:
    """The window ends in the test row; train, valid and between are history, the test row is not."""
    assert whole(sealed.windows(4)).target_items_BL.tolist() == [[2, 3, 1, 2], [0, 3, 1, 2]]
    assert whole(sealed.windows(4)).items_BL.tolist() == [[1, 2, 3, 1], [0, 2, 3, 1]]


def test_every_opening_is_written_down(search: SearchData, files: Path, ledger: Ledger) -> None:
    """One line an opening, in order, with what the opener said."""
    for trial in range(3):
        open_for_evaluation(search, files, ledger, {"trial": trial})
    assert ledger.entries() == [{"trial": 0}, {"trial": 1}, {"trial": 2}]


def test_the_line_comes_first(
    search: SearchData, files: Path, ledger: Ledger, tmp_path: Path
) -> None:
    """What cannot be written down is not opened; what was written down and then failed stays written."""
    ledger.path.parent.mkdir()
    ledger.path.write_text("broken\n")
    with pytest.raises(DataError, match=r"ledger\.jsonl:1: must hold the hash"):
        open_for_evaluation(search, files, ledger, {})
    assert not (tmp_path / ".sealed").exists()
    ledger.path.unlink()
    (files / FILES["test"]).unlink()
    with pytest.raises(DataError, match=r"test\.txt: is missing"):
        open_for_evaluation(search, files, ledger, {"trial": 1})
    assert ledger.entries() == [{"trial": 1}]


def test_counting_writes_no_line(search: SearchData, files: Path, ledger: Ledger) -> None:
    """Statistics may know how many rows there are."""
    assert count_sealed(search, files) == {"between": 1, "test": 1}
    assert ledger.entries() == []


def test_unseen_rows_are_counted(tmp_path: Path) -> None:
    """Rows of between and test that the search cannot know are left out and counted."""
    files = write_split(
        tmp_path / "files",
        between=["3,99,1,0,0,0", "8,10,0,0,0,0"],
        test=["8,99,0,1,0,0", "9,10,0,1,0,0", *TINY["test"]],
    )
    search = prepare(config(), files, tmp_path)
    sealed = open_for_evaluation(search, files, Ledger(tmp_path / "ledger"), {})
    assert {reason: count for reason, count in sealed.dropped.items() if count} == {
        "between_empty_set": 1,
        "between_unseen_item": 1,
        "test_unseen_user": 1,
        "test_unseen_item": 1,
    }
    assert len(sealed.between) == 0
    assert len(sealed.test) == 1


def test_changed_test_files_are_other_data(
    search: SearchData, files: Path, sealed: SealedData, ledger: Ledger
) -> None:
    """The hash of the sealed data moves with its files; the search does not."""
    write_split(files, test=["3,10,0,1,0,0"])
    again = open_for_evaluation(search, files, ledger, {})
    assert again.data_hash != sealed.data_hash
    assert again.search.data_hash == sealed.search.data_hash


def test_changed_train_files_are_refused(search: SearchData, files: Path, ledger: Ledger) -> None:
    """Test rows are never put beside train rows that a model was not chosen on; nothing is written down for it."""
    write_split(files, train=TINY["train"][:-1])
    with pytest.raises(DataError, match="they have changed"):
        open_for_evaluation(search, files, ledger, {})
    assert ledger.entries() == []


def test_an_untouched_ledger_is_accepted(ledger: Ledger) -> None:
    """A line holds the hash of the line before it, and its own, of both that and what it says."""
    for number in range(4):
        ledger.append({"number": number, "why": "é"})
    assert [entry["number"] for entry in ledger.entries()] == [0, 1, 2, 3]
    records = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    assert [record["previous"] for record in records] == [
        "0" * 64,
        *(record["hash"] for record in records[:-1]),
    ]
    content = json.dumps([records[1]["previous"], records[1]["entry"]], sort_keys=True)
    assert records[1]["hash"] == hashlib.sha256(content.encode()).hexdigest()


@pytest.mark.parametrize("left", [0, 2])
def test_a_missing_end_is_detected(tmp_path: Path, left: int) -> None:
    """Whoever remembers the head notices that lines are gone from the end, or all of them, and adds none."""
    heads: list[Head] = []
    path = tmp_path / "ledger.jsonl"
    for number in range(3):
        Ledger(path, heads[-1] if heads else None, heads.append).append({"number": number})
    assert [head.lines for head in heads] == [1, 2, 3]
    # A head of before: whoever wrote the rest was killed then
    assert len(Ledger(path, heads[0]).entries()) == 3
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:left]))
    shortened = path.read_text()
    for use in (Ledger(path, heads[-1]).entries, lambda: Ledger(path, heads[-1]).append({})):
        with pytest.raises(DataError, match=rf"must go on from the 3 lines .*, and has {left}"):
            use()
    assert path.read_text() == shortened


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda lines: [lines[0].replace(": 0}", ": 7}"), *lines[1:]], 1),
        (lambda lines: [*lines[:3], lines[3].replace(": 3}", ": 7}")], 4),
        (lambda lines: [*lines[:1], *lines[2:]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], 2),
        (lambda lines: [*lines[:3], lines[3][:-5]], 4),
        (lambda lines: [*lines[:3], lines[3].rstrip("\n")], 4),
        (lambda lines: [*lines[:1], "\n", *lines[1:]], 2),
        (lambda lines: [*lines[:1], "[]\n", *lines[1:]], 2),
    ],
    ids=[
        "changed",
        "last changed",
        "removed",
        "first removed",
        "doubled",
        "swapped",
        "cut",
        "no line end",
        "empty",
        "no mapping",
    ],
)
def test_tampering_is_detected(ledger: Ledger, edit, line: int) -> None:
    """A ledger that was edited names file and line, and takes no further line."""
    for number in range(4):
        ledger.append({"number": number})
    edited = "".join(edit(ledger.path.read_text().splitlines(keepends=True)))
    ledger.path.write_text(edited)
    for use in (ledger.entries, lambda: ledger.append({})):
        with pytest.raises(DataError) as refusal:
            use()
        assert str(refusal.value).startswith(f"{ledger.path}:{line}: ")
    assert ledger.path.read_text() == edited


APPEND = """
import sys
from pathlib import Path
from blade_tune.data.ledger import Ledger
for number in range(20):
    Ledger(Path(sys.argv[1])).append({"writer": sys.argv[2], "number": number})
"""


def test_writers_take_turns(tmp_path: Path) -> None:
    """Two processes that append at once give one unbroken chain with every line of both."""
    path = tmp_path / "ledger.jsonl"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(path), writer], cwd=Path(__file__).parents[2]
        )
        for writer in "ab"
    ]
    assert [process.wait() for process in processes] == [0, 0]
    entries = Ledger(path).entries()
    for writer in "ab":
        assert [entry["number"] for entry in entries if entry["writer"] == writer] == list(
            range(20)
        )
