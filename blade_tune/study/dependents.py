"""Which stored studies and study files read a folder of prepared data; asked before the folder is replaced."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from blade_tune.config import read_yaml
from blade_tune.data.config import data_config
from blade_tune.data.sources.split_files import read_preparation
from blade_tune.data.store import prepare
from blade_tune.errors import ConfigError, DataError, NothingStoredError
from blade_tune.spec.definition import OF_RUNS
from blade_tune.storage.connect import masked, open_storage, storage_errors


def stored_on(folder: Path, url: URL, results: Path) -> list[str]:
    """Return the studies of a database that were run on a folder of data, in words, one text per study.

    A study that was run on the same rows in another place, before they were moved, counts too.

    Args:
        folder: the folder of prepared data.
        url: the database; one that does not exist has no studies.
        results: the results folder, which has the data as it was prepared for those studies.

    Raises:
        StorageError: the database cannot be reached.
    """
    try:
        storage = open_storage(url, create=False)
    except NothingStoredError:
        return []
    with storage_errors(url):
        # The study of runs next to a study reads what that study reads, and is not named apart.
        studies = [
            study for study in storage.get_all_studies() if not study.study_name.endswith(OF_RUNS)
        ]
    described = []
    for study in studies:
        directory = study.user_attrs.get("data_directory")
        data = study.user_attrs.get("definition", {}).get("data", {})
        rows = study.user_attrs.get("fingerprint", {}).get("data")
        if _is_read(folder, directory, data.get("name")) or _has_rows(folder, rows, data, results):
            described.append(f"the study {study.study_name} in {masked(url)}")
    return described


def studies_on(data_hash: str, url: URL) -> list[str]:
    """Return the names of the studies of a database that were run on data of a hash; empty without a database."""
    try:
        storage = open_storage(url, create=False)
    except NothingStoredError:
        return []
    with storage_errors(url):
        return [
            study.study_name
            for study in storage.get_all_studies()
            if study.user_attrs.get("fingerprint", {}).get("data") == data_hash
            and not study.study_name.endswith(OF_RUNS)
        ]


def _has_rows(folder: Path, data_hash: object, data: Mapping[str, Any], results: Path) -> bool:
    """Whether a folder has the rows of a hash, for data of the name under which it was prepared."""
    try:
        if data.get("name") != read_preparation(folder).get("name"):
            return False
        return prepare(data_config(data, "stored study"), folder, results).data_hash == data_hash
    except (ConfigError, DataError):
        return False


def files_on(folder: Path) -> list[Path]:
    """Return the study files in ./studies that read a folder of data."""
    return [
        path
        for path, data, run in _study_files()
        if _is_read(folder, run.get("data"), data.get("name"))
    ]


def _study_files() -> Iterator[tuple[Path, dict[str, object], dict[str, object]]]:
    """Yield each study file in ./studies that reads split files, with its sections `data` and `run`.

    Files that are not YAML, or lack one of the sections, are passed over.
    """
    for path in sorted(Path("studies").glob("*.yaml")):
        try:
            content = read_yaml(path)
        except ConfigError:
            continue
        data = content.get("data")
        run = content.get("run")
        if not isinstance(data, dict) or not isinstance(run, dict):
            continue
        if data.get("source") == "split_files":
            yield path, data, run


def _is_read(folder: Path, directory: object, name: object) -> bool:
    """Whether a study reads a folder, given its data directory and the name of its data."""
    if directory is None:
        return False
    # Data is either in the directory itself or in its subfolder of the data's name.
    data_directory = Path(str(directory))
    possible = (data_directory.resolve(), (data_directory / str(name)).resolve())
    return folder.resolve() in possible
