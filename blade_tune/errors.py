"""The errors a user can meet; each kind carries the exit code it ends the program with.

A message names the place, the law, the fact and, where there is one, the way out.
"""


class BladeTuneError(Exception):
    """Anything that ends a command with a message instead of a traceback."""

    exit_code = 1


class ConfigError(BladeTuneError):
    """A study, a space or an option that cannot be what its author meant."""

    exit_code = 2


class DataError(BladeTuneError):
    """Interaction data that is missing, malformed or not what a study was built on."""

    exit_code = 2


class DamagedFileError(DataError):
    """A file of the product's own that is missing or is not as it was written."""


class StudyDiffersError(BladeTuneError):
    """The stored study answers another question than the one asked now."""

    exit_code = 3


class StorageError(BladeTuneError):
    """The study's database cannot be reached or has another version."""

    exit_code = 4


class NothingStoredError(StorageError):
    """No study was ever run in this database."""


class TooManyFailuresError(BladeTuneError):
    """Trial after trial failed, so going on would waste the machine."""

    exit_code = 5


class NothingToExportError(BladeTuneError):
    """The study has no completed trial."""

    exit_code = 6


class RunsMissingError(BladeTuneError):
    """Runs that a result needs are not there: they failed, were ended by a limit, or have their files elsewhere."""


class ReproductionError(BladeTuneError):
    """A training made again went another way."""

    exit_code = 7


class NonFiniteError(BladeTuneError):
    """A loss or a score became NaN or infinite; ends a trial with the reason `nan`."""


class LeaseLostError(BladeTuneError):
    """A worker was silent for so long that its trial was given to another; what it has is dropped."""


class DiskFullError(BladeTuneError):
    """A trial's files cannot be written; it is queued with its last checkpoint."""


class WorkerError(BladeTuneError):
    """Worker processes end before they train anything."""

    exit_code = 5


class ReportedError(BladeTuneError):
    """An error of a worker process, as it reported it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WorkerSpentError(BladeTuneError):
    """Memory ran out in a worker; its supervisor starts another in its place."""

    exit_code = 71


class InterruptedStudyError(BladeTuneError):
    """The user stopped the run; what was done is stored and the next run goes on from there."""

    exit_code = 130


class PreemptedError(InterruptedStudyError):
    """A SIGTERM stopped the run; a scheduler may start the same command again."""

    exit_code = 75
