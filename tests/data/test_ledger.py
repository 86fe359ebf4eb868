"""The ledger of openings: whole lines or none, damage that is noticed, and what can be mended."""

import errno
import json
import os
from pathlib import Path

import pytest

from blade_tune.data.ledger import Head, Ledger
from blade_tune.errors import DataError
from tests.damage import damages

LINES = 3


class Study:
    """A ledger, and a database that remembers its head."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head: Head | None = None

    @property
    def ledger(self) -> Ledger:
        """As the study opens it."""
        return Ledger(self.path, self.head, self.remember)

    def remember(self, head: Head) -> None:
        """As a database does: as JSON."""
        self.head = Head(**json.loads(json.dumps(vars(head))))

    @property
    def entries(self) -> list[int]:
        return [entry["number"] for entry in self.ledger.entries()]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """One with LINES openings."""
    study = Study(tmp_path / "tiny" / "ledger.jsonl")
    for number in range(LINES):
        study.ledger.append({"number": number, "command": "export-best"})
    return study


def test_damage_is_noticed_or_without_effect(study: Study):
    """Of 500 damaged ledgers each is refused or reads as it was; what can be mended is then the ledger that it was."""
    whole, head, mended = study.path.read_bytes(), study.head, 0
    for name, damage in damages(500, seed=1):
        study.head = head
        study.path.write_bytes(damage(whole))
        fault = study.ledger.fault()
        is_mended = study.ledger.mend() is not None
        assert is_mended == ("doctor --fix" in (fault or "")), name
        if fault is None or is_mended:
            assert study.entries == [0, 1, 2], name
        else:
            with pytest.raises(DataError, match=r"ledger\.jsonl"):
                study.ledger.append({})
        if is_mended:
            mended += 1
            assert study.path.read_bytes() == whole
    assert mended > 100


@pytest.mark.parametrize("room", [0, 1, 80])
def test_a_full_disk_adds_a_whole_line_or_none(
    study: Study, monkeypatch: pytest.MonkeyPatch, room: int
):
    """Where the disk takes a part of a line and then nothing, nothing stays of it; with room the next line goes on."""
    before, write, left = study.path.read_bytes(), os.write, [room]

    def full(descriptor: int, content: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, bytes(content)[: left[0]])
        left[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left on device") as refusal:
            study.ledger.append({"number": 9})
    assert refusal.value.filename == str(study.path)
    assert study.path.read_bytes() == before
    assert study.ledger.append({"number": 3}).lines == 4
    assert study.entries == [0, 1, 2, 3]


def test_a_line_in_parts_is_one_line(study: Study, monkeypatch: pytest.MonkeyPatch):
    """A write that takes seven bytes at a time is gone on with."""
    write = os.write
    monkeypatch.setattr(
        os, "write", lambda descriptor, content: write(descriptor, bytes(content)[:7])
    )
    study.ledger.append({"number": 3})
    assert study.entries == [0, 1, 2, 3]


@pytest.mark.parametrize("left", [1, 50, 150, -1])
def test_the_beginning_of_a_line_that_nobody_knows_is_removed(study: Study, left: int):
    """What a power cut left of an opening that was never granted; a whole line without its end is completed."""
    before, head = study.path.read_bytes(), study.head
    study.ledger.append({"number": 3, "command": "x" * 99})
    line = study.path.read_bytes()[len(before) :]
    study.head = head
    study.path.write_bytes(before + line[:left])
    assert "doctor --fix" in (study.ledger.fault() or "")
    assert study.ledger.mend() is not None
    assert study.entries == ([0, 1, 2, 3] if left == -1 else [0, 1, 2])


def test_the_first_line_may_be_the_one(tmp_path: Path):
    """A ledger that has nothing but the beginning of a line, of which the database knows none, is empty."""
    study = Study(tmp_path / "ledger.jsonl")
    study.path.write_bytes(b'{"previous": "0000')
    assert study.ledger.mend() is not None
    assert study.entries == []


@pytest.mark.parametrize("size", [0, 30, 130, -1])
def test_a_last_line_that_the_database_has_is_written_again(study: Study, size: int):
    """With its hash, so that nothing else can be put there; however much of it is left."""
    whole = study.path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    study.path.write_bytes(whole[: start + size] if size >= 0 else whole[:-1])
    assert study.ledger.mend() is not None
    assert study.path.read_bytes() == whole


def test_what_is_not_proven_is_not_mended(study: Study):
    """Two lines gone, an edited first line, a head of an earlier version, other lines behind: named, and left alone."""
    whole, head = study.path.read_bytes(), study.head
    lines = whole.splitlines(keepends=True)
    assert head is not None
    for content, known in (
        (lines[0], head),
        (b"", head),
        (b"".join([lines[0].replace(b": 0,", b": 7,"), *lines[1:]]), head),
        (b"".join([*lines[:2], lines[2][:40]]), Head(head.lines, head.hash)),
        (b"".join([*lines, b"more\n", b"and more"]), head),
        (b"".join([*lines, b"something else"]), head),
    ):
        study.path.write_bytes(content)
        study.head = known
        assert "Put a copy of it back." in (study.ledger.fault() or "")
        assert study.ledger.mend() is None
        assert study.path.read_bytes() == content


def test_a_folder_in_its_place_is_one_clear_error(study: Study):
    """Neither reading nor writing ends in another way."""
    study.path.unlink()
    study.path.mkdir()
    for use in (study.ledger.entries, lambda: study.ledger.append({})):
        with pytest.raises(DataError, match=r"is a folder|Is a directory"):
            use()
