"""Damaged files of a study and of measurements, and the repair of those whose content is known elsewhere.

A file is damaged if its SHA-256 differs from the one that the database has, or if it cannot be read. Definitions and
configurations are written again from the database, and files in the dashboard from the trial's own files; for all
others the user is told which command makes them again.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from optuna.artifacts import get_all_artifact_meta
from optuna.trial import FrozenTrial, TrialState

from blade_tune.config import read_yaml, write_yaml
from blade_tune.data import measured
from blade_tune.doctor.diagnosis import Diagnosis
from blade_tune.errors import BladeTuneError, ConfigError, DamagedFileError
from blade_tune.files import remove, sha256, write_whole
from blade_tune.space import nest
from blade_tune.storage.folder import TrialFolder
from blade_tune.storage.trials import logical_trials
from blade_tune.study.members import damaged_members
from blade_tune.study.stored import StoredStudy
from blade_tune.training.checkpoint_file import verify_checkpoint
from blade_tune.trial import files as kept
from blade_tune.trial.artifacts import shown_files

FIX = "doctor --fix writes it again"
# Subfolders of the results folder with measurements that are made once on a data set.
MEASURED = (".baselines", ".xray")
# Files in a study's folder that commands write anew.
DERIVED = ("trials.csv", "epochs.csv", "report/*", "effects/*")


@dataclass(frozen=True)
class Damaged:
    """A damaged file, and what the user can do about it."""

    path: Path
    remedy: str


class Damage:
    """Finds and repairs the damaged files of one study.

    Args:
        stored: the study.
    """

    def __init__(self, stored: StoredStudy) -> None:
        self._stored = stored
        self._name = stored.definition.name

    def findings(self) -> Iterator[Diagnosis]:
        """Yield a diagnosis for each damaged file; change nothing."""
        check = f"study {self._name}"
        if fault := self._stored.ledger.fault():
            remedy = "" if "--fix" in fault else "put a copy of it back"
            yield Diagnosis(check, "problem", fault, remedy)
        for damaged in self._damaged():
            finding = f"{damaged.path}: is not as it was written"
            yield Diagnosis(check, "warning", finding, damaged.remedy)

    def mend(self) -> Iterator[Diagnosis]:
        """Write the files again whose content is known, and yield what was done."""
        mended: list[str | None] = []
        if self._stored.ledger.fault():
            mended.append(self._stored.ledger.mend())
        if self._is_definition_damaged():
            content = write_yaml(self._definition).encode()
            mended.append(_write(self._stored.folder.definition, content))
        for trial in logical_trials(self._stored.trials):
            mended += self._mend_trial(trial)
        for repair in mended:
            if repair:
                yield Diagnosis(f"study {self._name}", "ok", f"fixed: {repair}")

    def _mend_trial(self, trial: FrozenTrial) -> Iterator[str | None]:
        """Write a trial's configuration and its files in the dashboard again where they are damaged."""
        files = self._stored.files(trial)
        if files.config in self._damaged_files(files):
            config = nest(self._stored.values(trial))
            yield _write(files.config, write_yaml(config).encode())
        damaged = self._damaged_artifacts(trial)
        if not damaged:
            return
        with tempfile.TemporaryDirectory() as scratch:
            # A file in the dashboard is a copy of a trial's own, or made of one; only an identical one is put back.
            shown = {path.name: path for path in self._shown(files, Path(scratch))}
            for path, name in damaged.items():
                digest = files.digests[str(path.relative_to(self._results))]
                if name in shown and sha256(shown[name]) == digest:
                    yield _write(path, shown[name].read_bytes())

    def _damaged(self) -> Iterator[Damaged]:
        folder = self._stored.folder
        if self._is_definition_damaged():
            yield Damaged(folder.definition, FIX)
        for path in damaged_members(self._stored):
            remedy = "the next run of the combination copies it again from the member's study"
            yield Damaged(path, remedy)
        for pattern in DERIVED:
            for path in folder.path.glob(pattern):
                # These files have no digests to compare with.
                if not path.is_file() or not path.stat().st_size:
                    yield Damaged(path, "the command that wrote it writes it anew")
        for trial in logical_trials(self._stored.trials):
            yield from self._damaged_of(trial)

    def _damaged_of(self, trial: FrozenTrial) -> Iterator[Damaged]:
        files = self._stored.files(trial)
        again = f"blade-tune reproduce {trial.number} --study {self._name} makes it again"
        remedies = {
            files.config: FIX,
            files.metrics: "its epochs are left out of tables and figures; put a copy of it back",
            files.log: "nothing is computed from it",
            files.ranks: again,
            files.weights: again,
            files.test: kept.AGAIN,
            files.checkpoint: "the trial starts anew",
        }
        remedies |= {told.figures: kept.AGAIN_TOLD for told in files.all_told}
        for path in self._damaged_files(files, trial):
            yield Damaged(path, remedies[path])
        for path, name in self._damaged_artifacts(trial).items():
            shown = f"{name} of trial {trial.number} in the dashboard"
            yield Damaged(path, f"{shown}; {FIX}, where the trial's own file is whole")

    def _damaged_files(self, files: TrialFolder, trial: FrozenTrial | None = None) -> list[Path]:
        """Return the files in a trial's folder that differ from their digests, cannot be read, or are missing.

        Weights may be missing, since those of all but the best trials are removed.

        Args:
            files: the folder, with the digests of its files.
            trial: the trial, whose checkpoint is checked while it waits to be continued.
        """
        if not files.path.exists():  # the trial ran with another results folder
            return []
        checks: dict[Path, Callable[[], object]] = {
            files.config: lambda: kept.read_whole(files, files.config),
            files.metrics: lambda: kept.read_epochs(files),
            files.ranks: lambda: kept.read_ranks(files),
            files.weights: lambda: kept.verify_weights(files),
            files.test: lambda: kept.read_test(files),
            files.log: lambda: _read_log(files.log),
        }
        for told in files.all_told:
            checks[told.figures] = partial(kept.read_told, files, told)
        # Only a trial that waits to be continued needs its checkpoint.
        if trial and trial.state == TrialState.WAITING:
            checks[files.checkpoint] = lambda: verify_checkpoint(files.checkpoint)
        # Digests of files in the dashboard have a path, those of the trial's own files only a name.
        required = {files.path / name for name in files.digests if "/" not in name}
        required.discard(files.weights)
        damaged = []
        for path, check in checks.items():
            is_checked = path.exists() or path in required
            if is_checked and not _passes(check):
                damaged.append(path)
        return damaged

    def _damaged_artifacts(self, trial: FrozenTrial) -> dict[Path, str]:
        """Return the damaged files of a trial in the dashboard, each with the name under which it is shown.

        Trials of earlier versions have no digests of these files, so none of theirs counts as damaged.
        """
        digests = self._stored.files(trial).digests
        damaged = {}
        for meta in get_all_artifact_meta(trial, storage=self._stored.storage):
            path = self._results / "artifacts" / meta.artifact_id
            digest = digests.get(str(path.relative_to(self._results)))
            # Where the whole folder is missing, the study ran with another results folder.
            if digest is None or not path.parent.exists():
                continue
            if not path.is_file() or sha256(path) != digest:
                damaged[path] = meta.filename
        return damaged

    def _shown(self, files: TrialFolder, scratch: Path) -> Iterator[Path]:
        return shown_files(files, self._stored.definition.objective.metric, scratch)

    @property
    def _results(self) -> Path:
        return self._stored.folder.results

    @property
    def _definition(self) -> dict[str, Any]:
        """The content of the study file, as the database has it."""
        return dict(self._stored.study.user_attrs["definition"])

    def _is_definition_damaged(self) -> bool:
        path = self._stored.folder.definition
        if not path.exists():
            return False
        try:
            return read_yaml(path) != self._definition
        except (BladeTuneError, OSError, ValueError):
            return True


def measured_damage(results: Path, *, fix: bool) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each damaged measurement in a results folder.

    A measurement that is missing is made again when a command needs it, so to repair a damaged one is to remove it.

    Args:
        results: the results folder.
        fix: whether to remove damaged measurements.
    """
    folders = [results / name for name in MEASURED]
    for path in itertools.chain.from_iterable(folder.glob("*") for folder in folders):
        if path.name.startswith(".") or measured.is_whole(path):
            continue
        if fix:
            remove(path)
            yield Diagnosis("results", "ok", f"fixed: {path}, removed")
        else:
            finding = f"{path}: is not as it was written"
            yield Diagnosis("results", "warning", finding, "it is measured again")


def _write(path: Path, content: bytes) -> str | None:
    """Write a file again and return what was done, in words; None where the file cannot be written."""
    try:
        write_whole(path, content)
    except (ConfigError, OSError):
        return None
    return f"{path}, written again"


def _passes(check: Callable[[], object]) -> bool:
    """Whether a check raises no `DamagedFileError`."""
    try:
        check()
    except DamagedFileError:
        return False
    return True


def _read_log(path: Path) -> None:
    """Read a log as text.

    Raises:
        DamagedFileError: the file cannot be read, or is not text.
    """
    try:
        content = path.read_bytes()
        content.decode()
    except (OSError, ValueError):
        content = b"\0"
    if b"\0" in content:
        raise DamagedFileError(f"{path}: must be text, and is not.")
