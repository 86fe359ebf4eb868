"""Checks of a machine, a database and its studies, for what would stop a run and for what crashes have left.

`examine` runs them all, and `blade-tune doctor` prints what it returns. A check looks at one thing and returns one
`Diagnosis` or several; it changes nothing unless it is asked to repair.
"""

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

from packaging.requirements import Requirement
from sqlalchemy import text
from sqlalchemy.engine import URL

from blade_tune.about import __version__
from blade_tune.data.sources.base import open_source
from blade_tune.doctor.crash_remains import Leftovers, Notify
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
from blade_tune.fleet.devices import Machine, num_gpus
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
from blade_tune.study.stored import StoredStudy

log = logging.getLogger(__name__)

SHOWN = ("torch", "optuna", "sqlalchemy", "psycopg")  # packages whose versions matter most
GIB = 2**30  # bytes
# Free bytes below which there is a warning, and a problem.
LITTLE_SPACE, NO_SPACE = 5 * GIB, GIB // 2
MANY_ROWS = 2_000  # with more rows, every worker spends seconds on reading them
SMALLER = "a new study for each version of the space is better"
NEW_STORAGE = "start the server, go on with a copy of a broken file, or give another --storage"


def examine(
    settings: RunSettings, study: str | None = None, fix: Notify | None = None
) -> list[Diagnosis]:
    """Run all checks and return what they found; change nothing unless asked to repair.

    Args:
        settings: where studies, results and data are, the grace period of workers, and how many weights to keep.
        study: the study to check; None for all studies of the database, each with the data that it remembers.
        fix: a function that shows the user a message about repairs that take a while; with it, what can be repaired
            is. None to repair nothing.
    """
    url = settings.workspace.url
    findings = [*_versions(), *_devices(), _results(settings.results)]
    findings += measured_damage(settings.results, fix=fix is not None)
    try:
        with storage_errors(url):
            storage = open_storage(url, create=False)
            findings.append(Diagnosis("storage", "ok", _describe(storage, url)))
            if study:
                findings += _study(study, settings, fix)
            else:
                # A folder of data in the settings is that of one study; here each uses the one that it remembers.
                settings = settings.model_copy(update={"data": None})
                for each in storage.get_all_studies():
                    if "definition" in each.user_attrs:
                        findings += _study(each.study_name, settings, fix)
    except NothingStoredError as error:
        findings.append(Diagnosis("storage", "problem" if study else "ok", str(error)))
    except BladeTuneError as error:
        findings.append(Diagnosis("storage", "problem", str(error), NEW_STORAGE))
    return findings


def warn_of_size(stored: StoredStudy) -> None:
    """Warn in the log that a study is so large that its workers begin slowly."""
    rows = len(stored.trials)
    if rows > MANY_ROWS:
        log.warning("study=%s has %d trials: %s", stored.definition.name, rows, SMALLER)


def _versions() -> Iterator[Diagnosis]:
    """Check the versions of packages against those that blade-tune requires."""
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN)
    yield Diagnosis(
        "versions", "ok", f"python {platform.python_version()}, blade-tune {__version__}, {shown}"
    )
    # Nothing is declared where blade-tune runs from its sources without being installed.
    declared: list[str] = []
    with suppress(metadata.PackageNotFoundError):
        declared = metadata.requires("blade-tune") or []
    for requirement in map(Requirement, declared):
        if requirement.marker is not None:
            continue  # requirements of an extra have a marker, and may be missing
        version = metadata.version(requirement.name)
        if not requirement.specifier.contains(version, prereleases=True):
            finding = f"{requirement.name} must be {requirement.specifier}, and is {version}"
            yield Diagnosis("versions", "problem", finding, f"pip install '{requirement}'")


def _devices() -> Iterator[Diagnosis]:
    """Check that every GPU works, and say how much of its memory is free."""
    gpus = num_gpus()
    threads = Machine.here().threads
    for gpu in range(gpus):
        import torch

        try:
            free, total = torch.cuda.mem_get_info(gpu)
        except RuntimeError as error:
            finding = f"cuda:{gpu} does not work: {error}"
            yield Diagnosis("devices", "problem", finding, "run with --device cpu or --gpus")
        else:
            name = torch.cuda.get_device_name(gpu)
            finding = f"cuda:{gpu} is {name}, {free / GIB:.1f} of {total / GIB:.1f} GiB are free"
            yield Diagnosis("devices", "ok", finding)
    trains = (
        "" if gpus else f", no GPU for torch {metadata.version('torch')}: trials train on the CPU"
    )
    yield Diagnosis("devices", "ok", f"{threads} CPU threads{trains}")


def _results(folder: Path) -> Diagnosis:
    """Check that the results folder, or the folder in which it would be created, can be written and has free space."""
    existing = folder.resolve()
    while not existing.exists():
        existing = existing.parent
    kind = file_system(existing)
    free = shutil.disk_usage(existing).free
    is_network = kind.removeprefix("fuse.") in NETWORK_FILE_SYSTEMS
    network = ", a network file system" if is_network else ""
    finding = f"{folder}: {free / GIB:.1f} GiB are free ({kind or 'unknown'}{network})"
    try:
        # Written through to the disk, since a full or broken one may show only then.
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(bytes(2**20))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        finding += f"; nothing can be written: {error.strerror}"
        return Diagnosis("results", "problem", finding, "give --results DIR")
    if free >= LITTLE_SPACE:
        return Diagnosis("results", "ok", finding)
    state: State = "problem" if free < NO_SPACE else "warning"
    return Diagnosis("results", state, finding, "make room, or give --results DIR")


def _describe(storage: StudyStorage, url: URL) -> str:
    """Return the kind, version and size of a database in words, after a check of its file.

    Raises:
        StorageError: the file of a SQLite database is broken.
    """
    version = f"tables of version {storage.get_current_version()}"
    with storage.engine.connect() as connection:
        if url.drivername != SQLITE:
            server = connection.scalar(text("SHOW server_version"))
            return f"{masked(url)}: PostgreSQL {server}, {version}"
        fault = str(connection.scalar(text("PRAGMA quick_check(1)")))
        fault = " ".join(fault.split())  # one line
        if fault != "ok":
            raise StorageError(f"{masked(url)}: the file is broken ({fault})")
        sqlite = connection.scalar(text("SELECT sqlite_version()"))
        mode = connection.scalar(text("PRAGMA journal_mode"))
        pages = connection.scalar(text("PRAGMA page_count"))
        page_size = connection.scalar(text("PRAGMA page_size"))
    mib = pages * page_size / 2**20
    return f"{masked(url)}: SQLite {sqlite}, journal {mode}, {mib:.1f} MiB, {version}"


def _study(name: str, settings: RunSettings, fix: Notify | None) -> list[Diagnosis]:
    """Check one study; return what was repaired, then what was found, or that nothing is wrong."""
    check = f"study {name}"
    try:
        stored = settings.workspace.study(name)
        _ = stored.folder.path  # raises where the folder has the files of another study
    except (ConfigError, StudyDiffersError) as error:
        return [Diagnosis(check, "problem", str(error))]
    try:
        leftovers = Leftovers(stored, settings.grace_s, settings.keep)
        damage = Damage(stored)
        fixed = [*leftovers.remove(fix), *damage.mend()] if fix else []
        findings = [*_identity(stored, settings.data), *leftovers.findings(), *damage.findings()]
        if not findings:
            progress = stored.progress_words(stored.trials)
            findings = [Diagnosis(check, "ok", f"{progress}, and a run here goes on with it")]
        return fixed + findings
    finally:
        # There may be more studies than connections that the server takes.
        stored.storage.engine.dispose()


def _identity(stored: StoredStudy, data: Path | None) -> Iterator[Diagnosis]:
    """Check whether a run with these settings would continue the study: its definition, its data and its size."""
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
    rows = len(stored.trials)
    if rows > MANY_ROWS:
        yield Diagnosis(check, "warning", f"{rows} trials", SMALLER)


def _require_data(stored: StoredStudy, directory: Path | None) -> None:
    """Check the hash of a study's data, which is prepared in a temporary folder if the results folder does not have it.

    Raises:
        StudyDiffersError: the data is not what the study was run on.
        DataError: the data is not on this machine.
    """
    source = open_source(stored.definition.data, stored.data_directory(directory))
    if (stored.folder.results / ".prepared" / source.search_key()).exists():
        stored.data(directory)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = StudyFolder(Path(scratch), stored.definition.name)
        replace(stored, folder=folder).data(directory)
