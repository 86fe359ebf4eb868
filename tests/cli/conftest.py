"""One finished study for all tests that only look at one."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import call, write_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with studies/tiny.yaml and its three trials in results/; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder / "studies" / "tiny.yaml")
    assert call("run", "--study", "tiny", cwd=folder).code == 0
    return folder


@pytest.fixture
def finished_copy(finished: Path, tmp_path: Path) -> Path:
    """The same for a test that changes it."""
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture(scope="session")
def status(finished: Path) -> dict[str, Any]:
    """What `status` says of the finished study."""
    return json.loads(call("status", "--study", "tiny", "-f", "json", cwd=finished).out)
