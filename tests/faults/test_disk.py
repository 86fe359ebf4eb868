"""A disk that is full while a trial is stored, or that somebody cleans."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.faults.fleet import TIMEOUT_S, Fleet, until

SIZE = 8 * 2**20
NO_ROOM = "tiny/trials/0: No space left on device; make room, then run the same command again.\n"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def full_fleet(tiny_disk: Path) -> Iterator[Fleet]:
    """A fleet that has all of its files, the database too, on a tiny disk."""
    fleet = Fleet(tiny_disk)
    yield fleet
    fleet.close()


def fill(folder: Path, left: int) -> Path:
    """Fill the disk of a folder but for some bytes, whatever others write meanwhile; returns the file that does."""
    path = folder / "filling"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(SIZE)):
            pass
    os.truncate(path, path.stat().st_size - left)
    return path


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_loses_nothing(full_fleet: Fleet):
    """The error says so, and the database is intact; with room, the same command goes on, and every trial is whole."""
    fleet = full_fleet
    fleet.define(2)
    run = fleet.start(epoch_s=0.3)
    until(lambda: fleet.num_epochs() >= 2)
    filling = fill(fleet.folder, 2**13)  # room for what the run says
    assert run.wait(TIMEOUT_S) in (1, 4)  # the trial noticed first, or the database
    assert fleet.said.splitlines()[-1].startswith("Error: ")
    assert NO_ROOM in fleet.said or "database or disk is full" in fleet.said
    filling.unlink()
    with closing(sqlite3.connect(str(fleet.url.database))) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert fleet.run() == 0, fleet.said
    fleet.require_whole(2)


@pytest.mark.slow
def test_a_checkpoint_without_room_ends_the_run_and_loses_nothing(fleet: Fleet):
    """The error names the trial's folder and says to make room; with room, the trial goes on from before."""
    fleet.define(2)
    assert fleet.run(kinds=["enospc"]) == 1
    assert NO_ROOM in fleet.said
    assert fleet.said.splitlines()[-1].startswith("Error: ")
    assert fleet.rows == [("FAIL", "interrupted"), ("WAITING", "")]
    assert fleet.run() == 0
    fleet.require_whole(2)


def test_a_removed_database_is_no_success(fleet: Fleet):
    """Where the results are removed under a run, it ends in 4 and says so, though every write seems to succeed."""
    fleet.define(50)
    run = fleet.start("--heartbeat-s", "0.5", "--grace-s", "2", epoch_s=0.2)
    until(fleet.num_epochs)
    shutil.rmtree(fleet.results, ignore_errors=True)
    assert run.wait(TIMEOUT_S) == 4
    assert "studies.db: was removed while the study ran." in fleet.said.splitlines()[-1]
