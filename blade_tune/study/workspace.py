"""`Workspace`: a database of studies with its results folder, from which stored studies are opened."""

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
    """The database of studies and the folder of their files; neither is part of a study's identity."""

    url: URL  # of the database, from `resolve_url`
    results: Path  # the folder of everything that runs write

    @classmethod
    def at(cls, storage: str | None, results: Path) -> "Workspace":
        """Return the workspace of a results folder.

        Args:
            storage: the URL of the database; None for the SQLite file in the folder.
            results: the folder of everything that runs write.

        Raises:
            ConfigError: the text is not the URL of a SQLite file or a PostgreSQL database.
        """
        return cls(resolve_url(storage, results), results)

    def study(self, name: str, *, outage_s: float = 0.0) -> StoredStudy:
        """Open a study by its stored name, or by the path of its file.

        Args:
            name: the name of the study, or the path of its file, which ends with .yaml or .yml.
            outage_s: how many seconds a call waits for a database that goes away; 0 for not at all.

        Raises:
            StorageError: the database cannot be reached.
            NothingStoredError: the database does not exist, so no study has been run here.
            ConfigError: the database has no study of this name, or one that was not made by a run.
        """
        if name.endswith((".yaml", ".yml")):
            name = Path(name).stem
        storage = open_storage(self.url, create=False, outage_s=outage_s)
        return StoredStudy.of(storage, name, self.results)

    def names(self) -> list[str]:
        """Return the names of all stored studies, in the order in which they were made.

        Raises:
            StorageError: the database cannot be reached.
            NothingStoredError: the database does not exist, so no study has been run here.
        """
        storage = open_storage(self.url, create=False)
        return [study.study_name for study in storage.get_all_studies()]

    def find(self, name: str) -> StoredStudy | None:
        """Open a study by its stored name or the path of its file; return None where no run has stored it.

        Raises:
            StorageError: the database cannot be reached.
        """
        try:
            return self.study(name)
        except (ConfigError, NothingStoredError):
            return None
        except StorageInternalError as error:
            if lacks_table(error):  # another process is creating the tables at this moment
                return None
            raise

    def study_to_work_on(self, name: str) -> StoredStudy:
        """Wait until the database can be reached, then open a study: a worker may start earlier than the database.

        Raises:
            StorageError: the database was away for too long.
            NothingStoredError: the database does not exist, so no study has been run here.
            ConfigError: the database has no study of this name, or one that was not made by a run.
        """
        await_database(self.url)
        return self.study(name)
