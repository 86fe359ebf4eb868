"""Errors that a user can meet, each with the exit code that the program ends with.

A message names the place, the rule that is broken, the fact that breaks it and, where there is one, the way out. The
command line shows the message without a traceback and ends the program with `exit_code`.
"""


class BladeTuneError(Exception):
    """Base class of all errors that end a command with a message instead of a traceback."""

    exit_code = 1


class ConfigError(BladeTuneError):
    """A study, a search space, an option or a path that is invalid."""

    exit_code = 2


class DataError(BladeTuneError):
    """Interaction data that is missing, malformed or not what a study was built on."""

    exit_code = 2


class MissingDataError(DataError):
    """The files of a data set are not where they are looked for.

    Args:
        fact: the place and what it lacks.
        way_out: how to get the files.
    """

    def __init__(self, fact: str, way_out: str) -> None:
        super().__init__(f"{fact}; {way_out}")
        self.fact = fact


class DamagedFileError(DataError):
    """A file that this program wrote is missing, or its content has changed since."""


class StudyDiffersError(BladeTuneError):
    """The study or files that are stored under a study's name or folder do not match the study that is run now."""

    exit_code = 3


class StorageError(BladeTuneError):
    """The study's database cannot be reached, or was written by an incompatible version."""

    exit_code = 4


class NothingStoredError(StorageError):
    """No study was ever run in this database."""


class TooManyFailuresError(BladeTuneError):
    """So many trials failed that the run stops instead of wasting the machine."""

    exit_code = 5


class NothingToExportError(BladeTuneError):
    """The study has no completed trial that could be exported."""

    exit_code = 6


class NotBetterError(NothingToExportError):
    """A model that was trained on newer rows is not better than the one before, so no bundle is written."""


class RunsMissingError(BladeTuneError):
    """Runs that a result needs are missing: they failed, were ended by a limit, or have their files elsewhere."""


class ReproductionError(BladeTuneError):
    """A repeated training had a different result from the original one."""

    exit_code = 7


class NonFiniteError(BladeTuneError):
    """A loss or a score became NaN or infinite; the trial ends with the reason `nan`."""


class LeaseLostError(BladeTuneError):
    """A worker sent no heartbeat for so long that its trial was leased to another; its own result is dropped."""


class DiskFullError(BladeTuneError):
    """A trial's files cannot be written; the trial is queued again with its last checkpoint."""


class WorkerError(BladeTuneError):
    """Worker processes ended before they trained anything."""

    exit_code = 5


class ReportedError(BladeTuneError):
    """An error that a worker process reported, raised again in the supervisor with its message and exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WorkerSpentError(BladeTuneError):
    """A worker ran out of memory; its supervisor starts another worker in its place."""

    exit_code = 71


class InterruptedStudyError(BladeTuneError):
    """The user stopped the run; finished work is stored, and the next run continues from there."""

    exit_code = 130


class PreemptedError(InterruptedStudyError):
    """A SIGTERM stopped the run; its exit code tells a scheduler to start the same command again."""

    exit_code = 75
