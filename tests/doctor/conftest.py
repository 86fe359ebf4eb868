"""A finished study, and what tests may break of it."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from blade_tune.storage.process import Owner
from blade_tune.study.stored import StoredStudy
from tests import tiny


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of the tiny study; tests leave it as it is."""
    results = tmp_path_factory.mktemp("finished")
    tiny.run(results)
    with closing(sqlite3.connect(results / "studies.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # a copy of the file alone is whole
    return results


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return shutil.copytree(finished, tmp_path / "results")


@pytest.fixture
def stored(results: Path) -> StoredStudy:
    return tiny.stored(results)


@pytest.fixture
def killed() -> Owner:
    """A process of this host that was killed."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    owner = Owner.of(process.pid)
    process.kill()
    process.wait()
    return owner
