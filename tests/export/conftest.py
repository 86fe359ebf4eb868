"""A bundle that tests here share."""

from pathlib import Path

import pytest
import torch

from blade_tune.export.final import ExportOptions, export_best
from tests.tiny import run, stored


@pytest.fixture(scope="package")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The final model of a small study."""
    results = tmp_path_factory.mktemp("results")
    run(results, search__trials=1)
    export_best(stored(results), ExportOptions(results / "best", torch.device("cpu")))
    return results / "best"


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for path in bundle.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder
