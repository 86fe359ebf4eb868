"""Whose files a folder holds: they belong to one stored study, not to whatever study has its name.

A stored study has an id, and a study's folder has the id of its owner. A copy of a study has an id of its own and knows
of what it is a copy: it reads the files of that study, and the folder is the copy's from the moment that it writes
there. Folders of before have no owner; they are adopted by the study whose trials they hold.
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

IDENTITY = "identity"  # user attribute of a study: its id, and those of the studies that it is a copy of
FILE = "owner.json"
FRESH_S = 1.0  # for so long an owner is not looked up again


@dataclass(frozen=True)
class Identity:
    """Which stored study this is, in whatever database."""

    id: str
    copied: tuple[str, ...] = ()  # the study that it is a copy of, the one that that was a copy of, and so on

    @classmethod
    def new(cls, source: "Identity | None" = None) -> "Identity":
        """That of a new study, or of a copy."""
        return cls(uuid.uuid4().hex, (source.id, *source.copied) if source else ())

    @classmethod
    def of(cls, study: optuna.Study) -> "Identity | None":
        """That of a stored study; None for one of before that no run has opened since."""
        known = study.user_attrs.get(IDENTITY)
        return cls(known["id"], tuple(known["copied"])) if known else None

    def store(self, study: optuna.Study) -> None:
        """Have the database know it."""
        study.set_user_attr(IDENTITY, asdict(self))


@dataclass(frozen=True)
class FolderOwner:
    """What a study's folder says of the study whose files it holds."""

    study: str
    id: str
    storage: str  # where it was when it took the folder, as it is shown

    def __str__(self) -> str:
        return f"study {self.study} ({self.id[:8]}) in {self.storage}"


class Ownership:
    """Whether the files in a study's folder are those of a stored study; guards a `StudyFolder`.

    Args:
        study: as it is stored.
        definition: of it.
        storage: its database, as it is shown.
    """

    def __init__(self, study: optuna.Study, definition: StudyDefinition, storage: str) -> None:
        self._study = study
        self._definition = definition
        self._storage = storage
        self._identity: Identity | None = None
        self._checked: dict[Path, float] = {}  # by the monotonic clock
        self._adopted: set[Path] = set()  # folders without an owner that hold the study's trials

    def __call__(self, folder: StudyFolder) -> None:
        """Make sure of it; nothing is written.

        Raises:
            StudyDiffersError: they are another study's; the message names both.
        """
        path = folder.results / folder.name
        if time.monotonic() - self._checked.get(path, -FRESH_S) >= FRESH_S:
            self._check(path)
            self._checked[path] = time.monotonic()

    def claim(self, folder: StudyFolder) -> None:
        """Make a folder this study's, or make sure that it is; to be called before anything is written there.

        Raises:
            StudyDiffersError: it has the files of another study; the message names both.
        """
        path, identity = folder.results / folder.name, self.identity
        was_there = (path / FILE).exists()  # before it is read, for another process may write it in between
        owner = self._check(path)
        if identity is None:
            raise ValueError("a study gets its id before it writes")
        if owner is not None and owner.id == identity.id:
            return
        text = json.dumps(asdict(FolderOwner(self._definition.name, identity.id, self._storage)), indent=2) + "\n"
        if was_there:  # of a study that this is a copy of, or damaged
            write_text(path / FILE, text)
        elif not _write_new(path / FILE, text):  # another process was first
            self.claim(folder)

    @property
    def identity(self) -> Identity | None:
        """The study's, which never changes once it has one."""
        self._identity = self._identity or Identity.of(self._study)
        return self._identity

    def _check(self, path: Path) -> FolderOwner | None:
        """The owner of a folder, which is this study or what it is a copy of; None where it has none yet."""
        owner = _read(path / FILE)
        if owner is None:
            if path not in self._adopted and not self._holds_my_trials(path):
                self._refuse(path, "a study that this database does not know")
            self._adopted.add(path)
        elif self.identity is None or owner.id not in (self.identity.id, *self.identity.copied):
            gone = ", which is not there any more" if owner.storage == self._storage else ""
            self._refuse(path, f"{owner}{gone}")
        return owner

    def _refuse(self, path: Path, other: str) -> None:
        mine = FolderOwner(self._definition.name, self.identity.id if self.identity else "of before", self._storage)
        raise StudyDiffersError(
            f"{path}: must hold the files of {mine}, and holds those of {other}. Give --results DIR, another folder or "
            "the one that this study ran with; or move this folder away, if that study is not needed any more."
        )

    def _holds_my_trials(self, path: Path) -> bool:
        """Whether files without an owner are this study's: some of its trials are there, and none with other settings.

        A folder without trials and without openings of test rows is nobody's.
        """
        trials = {root_number(trial): trial for trial in logical_trials(self._trials())}
        folders = [each for each in path.glob("trials/*") if each.name.isdecimal()]
        if not folders:
            ledger = path / "ledger.jsonl"
            return "ledger" in self._study.user_attrs or not ledger.exists() or ledger.stat().st_size == 0
        known = [(TrialFolder(each), trials[int(each.name)]) for each in folders if int(each.name) in trials]
        found = [self._fits(files, trial) for files, trial in known]
        return True in found and False not in found

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _fits(self, files: TrialFolder, trial: FrozenTrial) -> bool | None:
        """Whether a trial's files are its own: False where the settings differ, None where that is not certain."""
        if not trial.params and Given.of(trial) is None:
            return None
        try:
            config, epochs = flatten(read_yaml(files.config)), read_epochs(files)
        except (ConfigError, DamagedFileError):  # cut short
            return None
        values = trial_values(self._definition.space, trial)
        if any(config.get(name, value) != value for name, value in values.items()):
            return False
        metric, reported = self._definition.objective.metric, trial.intermediate_values
        figures = [(epoch["metrics"][metric], reported.get(epoch["epoch"])) for epoch in epochs if epoch["metrics"]]
        return True if all(figure == known for figure, known in figures) else None


def _read(path: Path) -> FolderOwner | None:
    """None where there is none, or where it is damaged: the study whose trials are there takes the folder again."""
    with suppress(OSError, ValueError, TypeError):
        return FolderOwner(**json.loads(path.read_text(encoding="utf-8")))
    return None


def _write_new(path: Path, text: str) -> bool:
    """Write a file that is not there yet, whole; False where another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
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
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
