"""The one door to stored studies: a database, and the results folder beside it."""

from dataclasses import dataclass
from pathlib import Path

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL

from blade_tune.errors import ConfigError, NothingStoredError
from blade_tune.storage.connect import await_database, open_storage, resolve_url
from blade_tune.storage.optuna_storage import lacks_table
from blade_tune.study.stored import StoredStudy


@dataclass(frozen=True)
class Workspace:
    """Where studies are stored and their files are; none of it is part of a study's identity."""

    url: URL
    results: Path

    @classmethod
    def at(cls, storage: str | None, results: Path) -> "Workspace":
        """The workspace of a results folder.

        Args:
            storage: URL of its database; None for the SQLite file in the folder.
            results: the folder of everything that runs write.

        Raises:
            ConfigError: no URL of a database that studies can be in.
        """
        return cls(resolve_url(storage, results), results)

    def study(self, name: str, *, outage_s: float = 0.0) -> StoredStudy:
        """Open a study by its stored name, or by the path of its file.

        Args:
            name: of the study.
            outage_s: for how long a call waits for a database that was reached before.

        Raises:
            StorageError: the database cannot be reached.
            NothingStoredError: no study has been run here.
            ConfigError: it has no study of this name, or one that was not made by a run.
        """
        name = Path(name).stem if name.endswith((".yaml", ".yml")) else name
        return StoredStudy.of(open_storage(self.url, create=False, outage_s=outage_s), name, self.results)

    def find(self, name: str) -> StoredStudy | None:
        """Open a study as `study` does; None where no run has stored one of this name."""
        try:
            return self.study(name)
        except (ConfigError, NothingStoredError):
            return None
        except StorageInternalError as error:
            if lacks_table(error):  # which another process is making at this moment
                return None
            raise

    def study_to_work_on(self, name: str) -> StoredStudy:
        """Open a study as `study` does, once its database can be reached: a worker that starts early waits for it."""
        await_database(self.url)
        return self.study(name)
