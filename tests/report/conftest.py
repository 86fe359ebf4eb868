"""Studies that tests of reports only look at."""

from pathlib import Path

import pytest

from blade_tune.study.stored import StoredStudy
from tests.report import made_up


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    """A made-up study of 40 trials of all kinds; tests leave it as it is."""
    return made_up.study(tmp_path_factory.mktemp("searched"))


@pytest.fixture
def empty(tmp_path: Path) -> StoredStudy:
    """A study without a trial."""
    return made_up.empty_study(tmp_path)
