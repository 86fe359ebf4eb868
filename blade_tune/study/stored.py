"""A study as it is stored: what the commands after `run` work on."""

from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy.engine import URL

from blade_tune.data.store import SearchData, prepare
from blade_tune.errors import ConfigError, StudyDiffersError
from blade_tune.study.definition import StudyDefinition
from blade_tune.study.folder import StudyFolder
from blade_tune.study.storage import load_study, open_storage


@dataclass(frozen=True)
class StoredStudy:
    """A study, its definition and its folder."""

    study: optuna.Study
    definition: StudyDefinition
    folder: StudyFolder

    @classmethod
    def load(cls, name: str, url: URL, results: Path) -> "StoredStudy":
        """Open a study by its stored name, or by the path of its file.

        Raises:
            StorageError: the database cannot be reached.
            ConfigError: it has no study of this name, or one that was not made by a run.
        """
        name = Path(name).stem if name.endswith((".yaml", ".yml")) else name
        study = load_study(open_storage(url, create=False), name)
        if "definition" not in study.user_attrs:
            raise ConfigError(f"study {name!r} in this database was not made by blade-tune run.")
        definition = StudyDefinition.from_mapping(name, study.user_attrs["definition"], f"stored study {name}")
        return cls(study, definition, StudyFolder(results, name))

    @classmethod
    def find(cls, name: str, url: URL, results: Path) -> "StoredStudy | None":
        """The same, or None where no run has stored a study of this name."""
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return None
        try:
            return cls.load(name, url, results)
        except ConfigError:
            return None

    @property
    def trials(self) -> list[FrozenTrial]:
        """All rows, in order of number."""
        return self.study.get_trials(deepcopy=False)

    @property
    def budget(self) -> int:
        """Scored trials in all."""
        return int(self.study.user_attrs["budget"])

    def data_directory(self, given: Path | None) -> Path | None:
        """The given folder, else the one that the study was run on."""
        stored = self.study.user_attrs.get("data_directory")
        return given or (Path(stored) if stored else None)

    def data(self, given: Path | None) -> SearchData:
        """The search data of the study, checked by its hash.

        Raises:
            StudyDiffersError: the data is not what the study was run on.
        """
        directory = self.data_directory(given)
        data = prepare(self.definition.data, directory, self.folder.results)
        expected = self.study.user_attrs["fingerprint"]["data"]
        if data.data_hash != expected:
            raise StudyDiffersError(
                f"study {self.definition.name} was run on data of hash {expected[:12]}, "
                f"{directory or 'its source'} has {data.data_hash[:12]}; give --data."
            )
        return data
