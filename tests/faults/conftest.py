"""A fleet in an empty folder, on a database of each kind; whatever happens, none of its processes is left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.fleet import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet on a SQLite file."""
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def any_fleet(tmp_path: Path, database_url: str) -> Iterator[Fleet]:
    """A fleet on SQLite, then on PostgreSQL."""
    fleet = Fleet(tmp_path, database_url)
    yield fleet
    fleet.close()
