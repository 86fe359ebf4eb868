"""What crashes leave of a study: attempts and rows that no worker works on, and files that no process reads."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from blade_tune.doctor.diagnosis import Diagnosis
from blade_tune.files import remove
from blade_tune.storage.attempts import Attempt
from blade_tune.storage.folder import TrialFolder
from blade_tune.storage.recovery import Recovery, orphans
from blade_tune.storage.trials import is_paused, logical_trials, ranked, root_number
from blade_tune.study.cleaner import hopeless
from blade_tune.study.stored import StoredStudy

# The longest time between two looks at silent workers; a quarter of a short grace period is less.
WATCH_EVERY_S = 5.0
# The names of files that are written next to the one that they replace.
TEMPORARY = re.compile(r"\..+\.([0-9a-f]{32}|\d+)")
# No file takes so many seconds to write, so the process that wrote it, perhaps on another machine, is gone.
TEMPORARY_AGE_S = 3600.0
MENDED = "the next run queues it again; so does doctor --fix"

Notify = Callable[[str], None]  # shows the user a message


class Leftovers:
    """Finds and removes what crashes have left of one study.

    Args:
        stored: the study.
        grace_s: the seconds without a heartbeat after which a worker counts as lost.
        keep: how many of the best trials keep their weights.
    """

    def __init__(self, stored: StoredStudy, grace_s: float, keep: int) -> None:
        self._stored = stored
        self._grace_s = grace_s
        self._keep = keep
        self._check = f"study {stored.definition.name}"

    def findings(self) -> Iterator[Diagnosis]:
        """Yield a warning for each attempt, and for each kind of row or file, that is left over; change nothing."""
        trials = self._stored.trials
        # Attempts and rows
        for attempt in self._overdue():
            yield self._warn(self._describe(attempt), MENDED)
        if orphans := self._orphans():
            yield self._warn(f"running trials that no worker has: {_listed(orphans)}", MENDED)
        if stranded := self._stranded(trials):
            finding = "trials that wait to go on, with no checkpoint in these results"
            remedy = "run with the --results that they ran with; with these they begin anew"
            yield self._warn(f"{finding}: {_listed(stranded)}", remedy)
        # Files
        if count := len(self._temporary()):
            finding = f"temporary files that nobody writes any more: {count}"
            yield self._warn(finding, "doctor --fix removes them")
        if count := len(self._checkpoints(trials)):
            finding = f"checkpoints of trials that have ended: {count}"
            yield self._warn(finding, "doctor --fix removes them")
        if count := len(self._weights(trials)):
            finding = f"trials that have weights, and are not among the best {self._keep}: {count}"
            remedy = "the next trial that ends removes them; a run's --keep says how many stay"
            yield self._warn(finding, remedy)

    def _describe(self, attempt: Attempt) -> str:
        """Return what an overdue attempt holds, and by which process."""
        held = "a slot" if attempt.trial_number is None else f"trial {attempt.trial_number}"
        host = attempt.owner.host.partition("/")[0]
        state = f"silent for more than {self._grace_s:.0f} s"
        if attempt.owner.is_gone():
            state = "gone"
        return f"{held} is held by process {attempt.owner.pid} on {host}, which is {state}"

    def remove(self, notify: Notify) -> Iterator[Diagnosis]:
        """Queue lost trials again, and remove temporary files and old checkpoints; yield what was done.

        Weights of trials that are no longer among the best stay for the next run, whose --keep may be larger.

        Args:
            notify: shows the user that silent workers are being watched, which takes the grace period.
        """
        released, lost = self._recover(notify)
        files = [*self._temporary(), *self._checkpoints(self._stored.trials)]
        for file in files:
            remove(file)
        repairs = {
            "slots of lost workers, freed": released,
            "trials of lost workers, given away": _listed(lost),
            "temporary files and old checkpoints, removed": len(files),
        }
        for repair, extent in repairs.items():
            if extent:
                yield Diagnosis(self._check, "ok", f"fixed: {repair}: {extent}")

    def _recover(self, notify: Notify) -> tuple[int, list[int]]:
        """Recover lost trials, watching silent workers for the whole grace period, as `Recovery` needs.

        Returns:
            The number of overdue attempts that ended, and the numbers of the rows that were queued again.
        """
        stored, attempts = self._stored, self._stored.attempts
        overdue_before = {attempt.attempt_id for attempt in self._overdue()}
        recovery = Recovery(stored.storage, stored.study, attempts, self._grace_s, stored.folder)
        # The first sweep ends at once what processes of this host left; other attempts must be watched first.
        lost = recovery.sweep()
        step = min(WATCH_EVERY_S, self._grace_s / 4)
        # One step more, so that the last sweep is after the grace period.
        end = time.monotonic() + self._grace_s + step
        if silent := self._overdue():
            watched = f"silent workers, now watched for {self._grace_s:.0f} s"
            notify(f"{self._check}: {watched}: {len(silent)}")
        while self._overdue() and time.monotonic() < end:
            time.sleep(step)
            lost += recovery.sweep()
        still_open = {attempt.attempt_id for attempt in attempts.open_attempts()}
        return len(overdue_before - still_open), lost

    def _overdue(self) -> list[Attempt]:
        """Return the attempts whose process is gone, or whose latest heartbeat is older than the grace period."""
        attempts = self._stored.attempts
        heard_since = attempts.now() - self._grace_s
        return [
            each
            for each in attempts.open_attempts()
            if each.owner.is_gone() or each.renewed < heard_since
        ]

    def _orphans(self) -> list[int]:
        """Return the numbers of running rows that belong to no attempt.

        Rows are read before and after the attempts, since a row may end between the two readings.
        """
        before = self._running()
        unheld = orphans(before, self._stored.attempts.open_attempts())
        return sorted(set(unheld) & set(self._running()))

    def _running(self) -> list[int]:
        return [trial.number for trial in self._stored.trials if trial.state == TrialState.RUNNING]

    def _stranded(self, trials: list[FrozenTrial]) -> list[int]:
        """Return the numbers of waiting rows whose trial was trained before, but has no checkpoint in these results."""
        trained = {root_number(trial) for trial in trials if trial.intermediate_values}
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        return [
            trial.number
            for trial in waiting
            if root_number(trial) in trained and not self._folder(trial).checkpoint.exists()
        ]

    def _temporary(self) -> list[Path]:
        """Return the old temporary files that were never moved to their place."""
        hidden = self._stored.folder.path.rglob(".*")
        temporary = (path for path in hidden if TEMPORARY.fullmatch(path.name))
        return [path for path in temporary if _age_s(path) > TEMPORARY_AGE_S]

    def _checkpoints(self, trials: list[FrozenTrial]) -> list[Path]:
        """Return the checkpoints of trials that have ended and that no row continues, or will."""
        rows = logical_trials(trials)
        ended = [trial for trial in rows if trial.state.is_finished() and not is_paused(trial)]
        ended += hopeless(self._stored, trials)
        checkpoints = [self._folder(trial).checkpoint for trial in ended]
        return [path for path in checkpoints if path.exists()]

    def _weights(self, trials: Iterable[FrozenTrial]) -> list[Path]:
        """Return the weights of completed trials that are not among the best."""
        not_kept = ranked(trials)[self._keep :]
        weights = [self._folder(trial).weights for trial in not_kept]
        return [path for path in weights if path.exists()]

    def _folder(self, trial: FrozenTrial) -> TrialFolder:
        """Return the folder of a trial, which is that of its first row."""
        return self._stored.folder.trial(root_number(trial))

    def _warn(self, finding: str, remedy: str) -> Diagnosis:
        return Diagnosis(self._check, "warning", finding, remedy)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _age_s(path: Path) -> float:
    """Return the seconds since a file was written; 0 where it is gone because it was moved to its place."""
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0
