"""Ownership: which stored study the files in a results folder belong to.

Two studies of one name, in two databases, would write to the same folder, RESULTS/<study>/. So every stored study has
an id, and a study's folder has the id of its owner in `owner.json`. A study neither reads nor writes the files of
another.

A copy of a study has an id of its own, and knows the ids of the studies that it was copied from. It may read the files
of those, and takes over the folder when it first writes there. Folders of earlier versions have no owner; the study
whose trials they hold adopts them.
"""

import json
import os
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from blade_tune.config import flatten, read_yaml
from blade_tune.errors import ConfigError, DamagedFileError, StudyDiffersError
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.folder import StudyFolder, TrialFolder, write_text
from blade_tune.storage.trial_record import Given
from blade_tune.storage.trials import logical_trials, root_number, trial_values
from blade_tune.trial.files import read_epochs

# The user attribute of a study with its id, and with those of the studies that it is a copy of.
IDENTITY = "identity"
FILE = "owner.json"
FRESH_S = 1.0  # seconds for which a folder that was checked is not checked again


@dataclass(frozen=True)
class Identity:
    """The id of a stored study, unique among all databases, with the ids of the studies that it was copied from."""

    id: str
    # The id of the study that it is a copy of, then that of the study which this one is a copy of, and so on.
    copied: tuple[str, ...] = ()

    @classmethod
    def new(cls, source: "Identity | None" = None) -> "Identity":
        """Return the identity of a new study, or of a copy of `source`."""
        copied = (source.id, *source.copied) if source else ()
        return cls(uuid.uuid4().hex, copied)

    @classmethod
    def of(cls, study: optuna.Study) -> "Identity | None":
        """Read a study's identity; None for a study of an earlier version that no run of this one has opened."""
        known = study.user_attrs.get(IDENTITY)
        return cls(known["id"], tuple(known["copied"])) if known else None

    def store(self, study: optuna.Study) -> None:
        """Write the identity to a study's row in the database."""
        study.set_user_attr(IDENTITY, asdict(self))


@dataclass(frozen=True)
class FolderOwner:
    """The content of `owner.json`: the study whose files a folder holds."""

    study: str  # its name
    id: str
    storage: str  # its database when it took the folder, as a URL without secrets

    def __str__(self) -> str:
        return f"study {self.study} ({self.id[:8]}) in {self.storage}"


class Ownership:
    """The guard of a study's folder, which refuses files that belong to another study.

    Args:
        study: the stored study.
        definition: the definition of the study.
        storage: the database of the study, as a URL without secrets.
    """

    def __init__(self, study: optuna.Study, definition: StudyDefinition, storage: str) -> None:
        self._study = study
        self._definition = definition
        self._storage = storage
        self._identity: Identity | None = None
        # When each folder was last checked, by the monotonic clock.
        self._checked: dict[Path, float] = {}
        self._adopted: set[Path] = set()  # folders without an owner that hold the study's trials

    def __call__(self, folder: StudyFolder) -> None:
        """Make sure that a folder holds this study's files or none; write nothing.

        Raises:
            StudyDiffersError: the files belong to another study; the message names both.
        """
        path = folder.results / folder.name
        if time.monotonic() - self._checked.get(path, -FRESH_S) >= FRESH_S:
            self._check(path)
            self._checked[path] = time.monotonic()

    def claim(self, folder: StudyFolder) -> None:
        """Make this study the owner of a folder; to be called before anything is written there.

        Raises:
            StudyDiffersError: the folder has the files of another study; the message names both.
        """
        path = folder.results / folder.name
        identity = self.identity
        # Looked for before it is read, since another process may write it in between.
        was_there = (path / FILE).exists()
        owner = self._check(path)
        if identity is None:
            raise ValueError("a study gets its id before it writes")
        if owner is not None and owner.id == identity.id:
            return
        new_owner = FolderOwner(self._definition.name, identity.id, self._storage)
        text = json.dumps(asdict(new_owner), indent=2) + "\n"
        if was_there:  # the owner is a study that this one is a copy of, or the file is damaged
            write_text(path / FILE, text)
        elif not _write_new(path / FILE, text):  # another process was first: see who it was
            self.claim(folder)

    @property
    def identity(self) -> Identity | None:
        """The identity of the study; None while it has none. Kept once read, since it never changes."""
        self._identity = self._identity or Identity.of(self._study)
        return self._identity

    def _check(self, path: Path) -> FolderOwner | None:
        """Return the owner of a folder, if it is this study or one that this is a copy of; None where it has none yet.

        Raises:
            StudyDiffersError: the folder belongs to another study, or has no owner but trials of another.
        """
        owner = _read(path / FILE)
        if owner is None:
            if path not in self._adopted and not self._holds_my_trials(path):
                self._refuse(path, "a study that this database does not know")
            self._adopted.add(path)
            return None
        own_ids = (self.identity.id, *self.identity.copied) if self.identity else ()
        if owner.id not in own_ids:
            is_deleted = owner.storage == self._storage
            self._refuse(
                path, f"{owner}, which is not there any more" if is_deleted else f"{owner}"
            )
        return owner

    def _refuse(self, path: Path, other: str) -> None:
        own_id = self.identity.id if self.identity else "of before"
        mine = FolderOwner(self._definition.name, own_id, self._storage)
        raise StudyDiffersError(
            f"{path}: must hold the files of {mine}, and holds those of {other}. Give --results DIR, another folder or "
            "the one that this study ran with; or move this folder away, if that study is not needed any more."
        )

    def _holds_my_trials(self, path: Path) -> bool:
        """Whether a folder without an owner may be adopted by this study.

        It may be if it holds some of the study's trials and none of them with other settings or figures. A folder
        without any trials may be too, unless it has a record of openings of test rows that the study does not know of.
        """
        folders = [each for each in path.glob("trials/*") if each.name.isdecimal()]
        if not folders:
            ledger = path / "ledger.jsonl"
            is_known = "ledger" in self._study.user_attrs
            return is_known or not ledger.exists() or ledger.stat().st_size == 0
        trials = {root_number(trial): trial for trial in logical_trials(self._trials())}
        fits = []
        for folder in folders:
            number = int(folder.name)
            if number in trials:
                fits.append(self._fits(TrialFolder(folder), trials[number]))
        return True in fits and False not in fits

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _fits(self, files: TrialFolder, trial: FrozenTrial) -> bool | None:
        """Whether the files in a trial's folder are those of the stored trial.

        Returns:
            True where settings and reported figures agree, False where the settings differ, None where neither is
            certain, since the trial has no parameters yet, files are damaged, or figures differ.
        """
        if not trial.params and Given.of(trial) is None:
            return None
        try:
            config = flatten(read_yaml(files.config))
            epochs = read_epochs(files)
        except (ConfigError, DamagedFileError):  # as a killed process may have left them
            return None
        # The settings
        values = trial_values(self._definition.space, trial)
        if any(config.get(name, value) != value for name, value in values.items()):
            return False
        # The figures of evaluated epochs
        metric = self._definition.objective.metric
        reported = trial.intermediate_values
        for epoch in epochs:
            metrics = epoch["metrics"]
            if metrics and metrics[metric] != reported.get(epoch["epoch"]):
                return None
        return True


def _read(path: Path) -> FolderOwner | None:
    """Read `owner.json`; None where it is missing or damaged, so that the study with these trials adopts the folder."""
    with suppress(OSError, ValueError, TypeError):
        return FolderOwner(**json.loads(path.read_text(encoding="utf-8")))
    return None


def _write_new(path: Path, text: str) -> bool:
    """Write a new file as a whole; return False where the file exists, because another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Unlike a rename, a hard link never replaces an existing file, and the file is complete when it appears.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        return _create(path, text)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create(path: Path, text: str) -> bool:
    """Write a new file, which other processes may see before it is complete; return False where it exists."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
