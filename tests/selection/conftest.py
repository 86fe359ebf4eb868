"""A finished tiny search for tests of what is chosen from it."""

import shutil
from pathlib import Path

import pytest

from blade_tune.study.stored import StoredStudy
from tests.selection.small import SEARCH
from tests.tiny import run, stored


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a search of four trials; tests leave them as they are."""
    results = tmp_path_factory.mktemp("searched")
    run(results, **SEARCH)
    return results


@pytest.fixture
def search(searched: Path, tmp_path: Path) -> StoredStudy:
    """The same for a test that adds to it."""
    return stored(shutil.copytree(searched, tmp_path / "results"))
