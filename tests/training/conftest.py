"""The tiny data, and the real one where it is at hand."""

from pathlib import Path

import pytest

from blade_tune.data.ledger import Ledger
from blade_tune.data.sealed import SealedData, open_for_evaluation
from blade_tune.data.store import SearchData, prepare
from tests.data.examples import QK_VIDEO, config, qk_video
from tests.tiny import tiny_data


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SearchData:
    return tiny_data(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def qk_test(tmp_path_factory: pytest.TempPathFactory) -> SealedData:
    root = tmp_path_factory.mktemp("qk")
    directory: Path = qk_video()
    return open_for_evaluation(
        prepare(config(QK_VIDEO), directory, root), directory, Ledger(root / "ledger"), {}
    )
