"""One finished study for all tests that only look at one."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.combined import SAME, TRIALS
from tests.cli.program import call, do, write_study


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


@pytest.fixture(scope="session")
def tuned(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study of a neural model; beside it four trials of item_knn, two with weights, and two of ials."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("tuned") / "copy")
    do(folder, "run --study tiny --model item_knn --trials 4 --keep 2 -q")
    do(folder, "run --study tiny --model ials --trials 2 -q")
    return folder


@pytest.fixture
def tuned_copy(tuned: Path, tmp_path: Path) -> Path:
    """The same for a test that changes it."""
    return shutil.copytree(tuned, tmp_path / "copy")


@pytest.fixture(scope="session")
def combined(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with a combination of the best item_knn, the second trial of ials, and the best neural trial."""
    folder = shutil.copytree(tuned, tmp_path_factory.mktemp("combined") / "copy")
    assert do(folder, f"{SAME} --trials {TRIALS} -q").err == ""
    return folder


@pytest.fixture
def combined_copy(combined: Path, tmp_path: Path) -> Path:
    """The same for a test that changes it."""
    return shutil.copytree(combined, tmp_path / "copy")
