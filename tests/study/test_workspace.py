"""The one door to stored studies."""

import inspect
from pathlib import Path

import pytest

import blade_tune
from blade_tune.errors import ConfigError, NothingStoredError
from blade_tune.fleet.settings import RunSettings
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from tests.tiny import define, tiny_data


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A results folder with the tiny study, of which nothing was run."""
    made = Workspace.at(None, tmp_path)
    open_study(define(), tiny_data(tmp_path), made)
    return made


@pytest.mark.parametrize("name", ["tiny", "studies/tiny.yaml", "tiny.yml"])
def test_a_study_is_opened_by_its_name_or_its_file(workspace: Workspace, name: str):
    """A path stands for the name of its file, which need not be there any more."""
    stored = workspace.study(name)
    found = workspace.find(name)
    assert found is not None
    assert (stored.definition.name, found.study_id) == ("tiny", stored.study_id)
    assert stored.folder.results == workspace.results
    assert workspace.study_to_work_on(name).study_id == stored.study_id


def test_what_is_not_stored_is_an_error_to_open_and_none_to_find(
    workspace: Workspace, tmp_path: Path
):
    """Another name, or a place where nothing is; looking there makes nothing."""
    with pytest.raises(ConfigError, match=r"no study 'tyni' is stored"):
        workspace.study("tyni")
    assert workspace.find("tyni") is None
    empty = Workspace.at(None, tmp_path / "empty")
    with pytest.raises(NothingStoredError, match="no study has been run here"):
        empty.study("tiny")
    assert empty.find("tiny") is None
    assert not empty.results.exists()


def test_settings_say_where_studies_are(tmp_path: Path):
    """A run's storage and results are its workspace; without a storage it is the file in the results."""
    assert RunSettings(results=tmp_path).workspace == Workspace.at(None, tmp_path)
    there = RunSettings(storage="postgresql://me@server/studies", results=tmp_path).workspace
    assert (there.url.drivername, there.results) == ("postgresql+psycopg", tmp_path)


def test_there_is_one_door():
    """Nothing but the workspace resolves where a database is."""
    package = Path(inspect.getfile(blade_tune)).parent
    users = {path.name for path in package.rglob("*.py") if "resolve_url(" in path.read_text()}
    assert users == {"connect.py", "workspace.py"}
