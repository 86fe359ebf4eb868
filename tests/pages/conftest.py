"""A reader's folder for each page that is walked through."""

from pathlib import Path

import pytest

from blade_tune.models import MODELS
from tests.pages.small import FEW, write_world


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small studies and spaces of the pages' names; `--models all` means few models there."""
    few = {name: MODELS[name] for name in FEW}
    monkeypatch.setattr("blade_tune.cli.compare.MODELS", few)
    monkeypatch.setattr("blade_tune.auto.family.MODELS", few)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return write_world(tmp_path)
