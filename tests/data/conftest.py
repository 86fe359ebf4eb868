"""The real data set, prepared once for all tests."""

from pathlib import Path

import pytest

from blade_tune.data.store import SearchData, prepare
from tests.data.examples import QK_VIDEO, config, qk_video


@pytest.fixture(scope="session")
def qk_directory() -> Path:
    return qk_video()


@pytest.fixture(scope="session")
def qk(qk_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchData:
    return prepare(config(QK_VIDEO), qk_directory, tmp_path_factory.mktemp("qk"))
