"""Which commit a training is said to be made with."""

import subprocess
from pathlib import Path

import pytest

from blade_tune.trial.provenance import _commit


def repository(folder: Path, *tracked: Path) -> str:
    """Make a repository that tracks some files; gives its commit."""
    who = ("-c", "user.name=x", "-c", "user.email=x@x.invalid")
    for words in (
        ("init", "-q"),
        ("add", "-f", *map(str, tracked)),
        (*who, "commit", "-q", "--allow-empty", "-m", "x"),
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as it is installed in a virtual environment inside some folder."""
    file = tmp_path / ".venv" / "lib" / "blade_tune" / "__init__.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    monkeypatch.setattr("blade_tune.trial.provenance.FOLDER", file.parent)
    return file


def test_a_repository_around_the_environment_is_not_ours(
    tmp_path: Path, package: Path, monkeypatch
):
    """Only a checkout that the package's own files are tracked in has their commit, whatever a hook's variables say."""
    assert _commit() is None
    (tmp_path / "own.txt").write_text("mine")
    repository(tmp_path, tmp_path / "own.txt")
    assert _commit() is None
    commit = repository(tmp_path, package)
    assert _commit() == commit.strip()
    package.write_text("changed")
    assert _commit() == commit.strip() + "+"
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert _commit() == commit.strip() + "+"
