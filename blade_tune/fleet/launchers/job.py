"""A worker's part in a run, as a cluster carries it to one of its machines."""

from dataclasses import dataclass, replace

from blade_tune.errors import BladeTuneError, InterruptedStudyError, ReportedError, WorkerError
from blade_tune.fleet.devices import assign
from blade_tune.fleet.run import run_workers
from blade_tune.fleet.settings import RunSettings
from blade_tune.fleet.worker import why_done
from blade_tune.storage.connect import storage_errors
from blade_tune.study.stored import StopRequest, StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.trial.callback import Callback


@dataclass(frozen=True)
class Ended:
    """How a job, or a run, ended."""

    code: int | None  # an exit code of errors.py; None where the job died without a word
    why: str

    def settle(self) -> str:
        """Give why, or raise it where it is an error."""
        if self.code == 0:
            return self.why
        raise WorkerError(self.why) if self.code is None else ReportedError(self.why, self.code)


@dataclass(frozen=True)
class Job:
    """What `blade-tune worker` would do on the machine, for as long as the run that it is part of lasts.

    It may be begun again, or late: limits count from the start of the run.
    """

    study: str
    settings: RunSettings  # without the storage, whose password shall be in no file
    since: float  # the start of the run, by the database's clock
    stop_before: StopRequest | None  # the latest request to stop when it started
    share: float = 1.0  # of each of its devices

    @classmethod
    def of(cls, stored: StoredStudy, settings: RunSettings) -> "Job":
        """A job of a run that starts now. Each of its devices has `per_gpu` workers; without a GPU it has one."""
        paths = {"results": settings.results.resolve(), "data": settings.data and settings.data.resolve()}
        settings = settings.model_copy(update={**paths, "storage": None, "workers": None})
        return cls(stored.definition.name, settings, stored.attempts.now(), stored.stop_request())

    def why_over(self, stored: StoredStudy) -> Ended | None:
        """Why the run is over, if it is: the study is done, its time is up, or somebody stopped it."""
        if why := why_done(stored):
            return Ended(0, why)
        if stored.stop_request() != self.stop_before:
            return Ended(InterruptedStudyError.exit_code, "the study was stopped; run again to go on from here.")
        left = self._time_left(stored)
        return (
            Ended(0, f"the time limit of {self.settings.time:.0f} s is reached")
            if left is not None and left <= 0
            else None
        )

    def work(self, storage: str) -> Ended:
        """Train on this machine until the run is over; never raises what a user can meet."""
        try:
            places = [replace(place, share=place.share * self.share) for place in assign(self.settings)]
            workspace = Workspace.at(storage, self.settings.results)
            with storage_errors(workspace.url):
                stored = workspace.study_to_work_on(self.study)
                if over := self.why_over(stored):
                    return over
                stored.data(self.settings.data)
                settings = self.settings.model_copy(update={"time": self._time_left(stored)})
                return Ended(0, run_workers(stored, settings, places, Callback()))
        except BladeTuneError as error:
            return Ended(error.exit_code, str(error))

    def _time_left(self, stored: StoredStudy) -> float | None:
        limit = self.settings.time
        return None if limit is None else limit - (stored.attempts.now() - self.since)
