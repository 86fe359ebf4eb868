"""Looks a machine, a database and its studies over: what would stop a run, and what crashes have left."""

import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import torch
from packaging.requirements import Requirement
from sqlalchemy import text
from sqlalchemy.engine import URL

from blade_tune import __version__
from blade_tune.data.sources.base import open_source
from blade_tune.doctor.crash_remains import Leftovers, Tell
from blade_tune.doctor.damaged_files import Damage, measured_damage
from blade_tune.doctor.diagnosis import Diagnosis, State
from blade_tune.errors import (
    BladeTuneError,
    ConfigError,
    DataError,
    NothingStoredError,
    StorageError,
    StudyDiffersError,
)
from blade_tune.fleet.devices import Machine
from blade_tune.fleet.settings import RunSettings
from blade_tune.spec.fingerprint import require_same
from blade_tune.storage.connect import (
    NETWORK_FILE_SYSTEMS,
    SQLITE,
    file_system,
    masked,
    open_storage,
    storage_errors,
)
from blade_tune.storage.folder import StudyFolder
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.trials import num_scored
from blade_tune.study.stored import StoredStudy

log = logging.getLogger(__name__)

SHOWN = ("torch", "optuna", "sqlalchemy", "psycopg")  # packages whose version matters most
GIB = 2**30
LITTLE_SPACE, NO_SPACE = 5 * GIB, GIB // 2
MANY_ROWS = 2_000  # beyond, every worker spends seconds on reading them
SMALLER = "a new study for each version of the space is better"
NEW_STORAGE = "start the server, go on with a copy of a broken file, or give another --storage"


def examine(settings: RunSettings, study: str | None = None, fix: Tell | None = None) -> list[Diagnosis]:
    """Everything there is to say; what is looked at is not changed, unless it is to be fixed.

    Args:
        settings: where studies, results and data are, how long a worker may be silent, how many weights stay.
        study: the study to look at; None for all of the database, each with the data that it remembers.
        fix: repair what can be repaired, and tell what takes a while.
    """
    url = settings.workspace.url
    findings = [*_versions(), *_devices(), _results(settings.results)]
    findings += measured_damage(settings.results, fix=fix is not None)
    try:
        with storage_errors(url):
            storage = open_storage(url, create=False)
            findings.append(Diagnosis("storage", "ok", _describe(storage, url)))
            stored = [each.study_name for each in storage.get_all_studies() if "definition" in each.user_attrs]
            for name in [study] if study else stored:
                findings += _study(name, settings if study else settings.model_copy(update={"data": None}), fix)
    except NothingStoredError as error:
        findings.append(Diagnosis("storage", "problem" if study else "ok", str(error)))
    except BladeTuneError as error:
        findings.append(Diagnosis("storage", "problem", str(error), NEW_STORAGE))
    return findings


def warn_of_size(stored: StoredStudy) -> None:
    """Say that a study is so large that its workers begin slowly."""
    if (rows := len(stored.trials)) > MANY_ROWS:
        log.warning("study=%s has %d trials: %s", stored.definition.name, rows, SMALLER)


def _versions() -> Iterator[Diagnosis]:
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN)
    yield Diagnosis("versions", "ok", f"python {platform.python_version()}, blade-tune {__version__}, {shown}")
    declared: list[str] = []
    with suppress(metadata.PackageNotFoundError):  # it runs from its sources
        declared = metadata.requires("blade-tune") or []
    for requirement in map(Requirement, declared):
        if requirement.marker is None:  # else it is of an extra
            version = metadata.version(requirement.name)
            if not requirement.specifier.contains(version, prereleases=True):
                what = f"{requirement.name} must be {requirement.specifier}, and is {version}"
                yield Diagnosis("versions", "problem", what, f"pip install '{requirement}'")


def _devices() -> Iterator[Diagnosis]:
    gpus, threads = torch.cuda.device_count(), Machine.here().threads
    for gpu in range(gpus):
        try:
            free, total = torch.cuda.mem_get_info(gpu)
        except RuntimeError as error:
            yield Diagnosis(
                "devices", "problem", f"cuda:{gpu} does not work: {error}", "run with --device cpu or --gpus"
            )
        else:
            name = torch.cuda.get_device_name(gpu)
            yield Diagnosis(
                "devices", "ok", f"cuda:{gpu} is {name}, {free / GIB:.1f} of {total / GIB:.1f} GiB are free"
            )
    trains = "" if gpus else f", no GPU for torch {torch.__version__}: trials train on the CPU"
    yield Diagnosis("devices", "ok", f"{threads} CPU threads{trains}")


def _results(folder: Path) -> Diagnosis:
    """Whether runs can write where they write everything."""
    place = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    kind, free = file_system(place), shutil.disk_usage(place).free
    network = ", a network file system" if kind.removeprefix("fuse.") in NETWORK_FILE_SYSTEMS else ""
    what = f"{folder}: {free / GIB:.1f} GiB are free ({kind or 'unknown'}{network})"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(2**20))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Diagnosis(
            "results", "problem", f"{what}; nothing can be written: {error.strerror}", "give --results DIR"
        )
    state: State = "problem" if free < NO_SPACE else "warning" if free < LITTLE_SPACE else "ok"
    return Diagnosis("results", state, what, "" if state == "ok" else "make room, or give --results DIR")


def _describe(storage: StudyStorage, url: URL) -> str:
    """What the database is.

    Raises:
        StorageError: it is a broken file.
    """
    version = f"tables of version {storage.get_current_version()}"
    with storage.engine.connect() as connection:
        if url.drivername != SQLITE:
            return f"{masked(url)}: PostgreSQL {connection.scalar(text('SHOW server_version'))}, {version}"
        fault = " ".join(str(connection.scalar(text("PRAGMA quick_check(1)"))).split())
        if fault != "ok":
            raise StorageError(f"{masked(url)}: the file is broken ({fault})")
        sqlite = connection.scalar(text("SELECT sqlite_version()"))
        mode = connection.scalar(text("PRAGMA journal_mode"))
        pages, size = (connection.scalar(text(f"PRAGMA {name}")) for name in ("page_count", "page_size"))
    return f"{masked(url)}: SQLite {sqlite}, journal {mode}, {pages * size / 2**20:.1f} MiB, {version}"


def _study(name: str, settings: RunSettings, fix: Tell | None) -> list[Diagnosis]:
    """What was repaired, then what there still is to say, be it that there is nothing."""
    check = f"study {name}"
    try:
        stored = settings.workspace.study(name)
        _ = stored.folder.path  # whose files are there
    except (ConfigError, StudyDiffersError) as error:
        return [Diagnosis(check, "problem", str(error))]
    try:
        leftovers = Leftovers(stored, settings.grace_s, settings.keep)
        damage = Damage(stored)
        fixed = [*leftovers.remove(fix), *damage.mend()] if fix else []
        found = [*_identity(stored, settings.data), *leftovers.findings(), *damage.findings()]
        scored = f"{num_scored(stored.trials)} of {stored.budget} trials are scored"
        return fixed + (found or [Diagnosis(check, "ok", f"{scored}, and a run here goes on with it")])
    finally:
        stored.storage.engine.dispose()  # a database may have more studies than a server takes connections


def _identity(stored: StoredStudy, data: Path | None) -> Iterator[Diagnosis]:
    """Whether a run here would go on with the study."""
    definition = stored.definition
    check = f"study {definition.name}"
    identity = stored.study.user_attrs["fingerprint"]
    try:
        require_same(identity, definition, identity["data"])
        _require_data(stored, data)
    except StudyDiffersError as error:
        yield Diagnosis(check, "problem", str(error))
    except DataError as error:
        yield Diagnosis(check, "warning", str(error))
    if (rows := len(stored.trials)) > MANY_ROWS:
        yield Diagnosis(check, "warning", f"{rows} trials", SMALLER)


def _require_data(stored: StoredStudy, given: Path | None) -> None:
    """Check the data's hash; data that was not prepared yet is prepared beside the results, for this moment only.

    Raises:
        StudyDiffersError: it is other data.
        DataError: it is not here.
    """
    with tempfile.TemporaryDirectory() as scratch:
        key = open_source(stored.definition.data, stored.data_directory(given)).search_key()
        is_prepared = (stored.folder.results / ".prepared" / key).exists()
        folder = stored.folder if is_prepared else StudyFolder(Path(scratch), stored.definition.name)
        replace(stored, folder=folder).data(given)
