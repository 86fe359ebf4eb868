"""The job that a cluster runs on one of its machines, as part of a run on a study, and how such a job ended."""

from dataclasses import dataclass, replace

from blade_tune.errors import BladeTuneError, InterruptedStudyError, ReportedError, WorkerError
from blade_tune.fleet.devices import assign
from blade_tune.fleet.run import run_workers
from blade_tune.fleet.settings import RunSettings
from blade_tune.storage.connect import storage_errors
from blade_tune.study.progress import why_done
from blade_tune.study.stored import StopRequest, StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.trial.callback import Callback


@dataclass(frozen=True)
class Ended:
    """The end of a job, or of a run: an exit code and the reason."""

    code: int | None  # an exit code of errors.py; None where the job died or was cancelled
    why: str

    def settle(self) -> str:
        """Return the reason if the exit code is 0, else raise it.

        Raises:
            WorkerError: the job died or was cancelled.
            ReportedError: the job ended with an error; it has the same exit code.
        """
        if self.code is None:
            raise WorkerError(self.why)
        if self.code != 0:
            raise ReportedError(self.why, self.code)
        return self.why


@dataclass(frozen=True)
class Job:
    """One machine's work on a study for the duration of a run, in a form that can be pickled and sent to the machine.

    It does what `blade-tune worker` does. A cluster may start it late, or more than once, so that the time limit counts
    from the start of the run, by the database's clock.
    """

    study: str  # its name
    settings: RunSettings  # without the storage, since its password must be in no file
    since: float  # start of the run, in seconds since 1970 by the database's clock
    # The latest request to stop at the start of the run; only a newer one counts.
    stop_before: StopRequest | None
    share: float = 1.0  # part of each of its devices that the job has, in (0, 1]

    @classmethod
    def of(cls, stored: StoredStudy, settings: RunSettings) -> "Job":
        """Return the job of a run that starts now.

        On its machine it has `per_gpu` workers on each GPU that it sees, or one worker without a GPU. Folders are made
        absolute, since the job's working folder may be another.

        Args:
            stored: the study.
            settings: the run's settings.
        """
        changes = {
            "results": settings.results.resolve(),
            "data": settings.data and settings.data.resolve(),
            "storage": None,
            "workers": None,
        }
        settings = settings.model_copy(update=changes)
        return cls(stored.definition.name, settings, stored.attempts.now(), stored.stop_request())

    def why_over(self, stored: StoredStudy) -> Ended | None:
        """Return the end of the run if the study is done, its time is up or it was stopped, else None."""
        if why := why_done(stored):
            return Ended(0, why)
        if stored.stop_request() != self.stop_before:
            why = "the study was stopped; run again to go on from here."
            return Ended(InterruptedStudyError.exit_code, why)
        left = self._time_left(stored)
        if left is not None and left <= 0:
            return Ended(0, f"the time limit of {self.settings.time:.0f} s is reached")
        return None

    def work(self, storage: str) -> Ended:
        """Train on this machine until the run is over.

        An error of this package is returned and not raised, since a cluster would pickle it or only log it.

        Args:
            storage: URL of the study's database.
        """
        try:
            whole = assign(self.settings)
            placements = [
                replace(placement, share=placement.share * self.share) for placement in whole
            ]
            workspace = Workspace.at(storage, self.settings.results)
            with storage_errors(workspace.url):
                stored = workspace.study_to_work_on(self.study)
                if over := self.why_over(stored):
                    return over
                stored.data(self.settings.data)
                settings = self.settings.model_copy(update={"time": self._time_left(stored)})
                return Ended(0, run_workers(stored, settings, placements, Callback()))
        except BladeTuneError as error:
            return Ended(error.exit_code, str(error))

    def _time_left(self, stored: StoredStudy) -> float | None:
        """Return the seconds until the run's time limit, negative after it; None without a limit."""
        limit = self.settings.time
        if limit is None:
            return None
        return limit - (stored.attempts.now() - self.since)
