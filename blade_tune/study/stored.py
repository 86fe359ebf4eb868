"""`StoredStudy`: a study in a database together with its definition and its folder of files.

Every command but the first `run` works on this object. It reads rows from the database each time they are asked for, so
it shows what other processes have stored meanwhile.
"""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from blade_tune.data.ledger import Head, Ledger
from blade_tune.data.sealed import SealedData, open_for_evaluation
from blade_tune.data.store import SearchData, prepare
from blade_tune.data.versions import versions_of
from blade_tune.errors import ConfigError, DataError, StudyDiffersError
from blade_tune.parameter import Value
from blade_tune.search.promotion import Standing
from blade_tune.search.samplers import build_pruner, build_sampler
from blade_tune.spec.definition import OF_RUNS, StudyDefinition, max_length
from blade_tune.storage.attempts import Attempts
from blade_tune.storage.connect import creating, load_study, masked
from blade_tune.storage.folder import StudyFolder, TrialFolder
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.spending import UNLIMITED, Limit, is_begun
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import (
    best_trial,
    is_promoted,
    logical_trials,
    num_scored,
    ranked,
    root_number,
    trial_values,
)
from blade_tune.study.ownership import Identity, Ownership
from blade_tune.study.verdict import Verdict, below_untuned, of_best
from blade_tune.training.baselines import Baselines, valid_baselines
from blade_tune.trial.provenance import now

# The user attribute of a study with the baselines' window length, their metrics, and which were left out.
BASELINES = "baselines"
# The user attribute of a study with its `label`, if that is not its model.
LABEL = "label"


@dataclass(frozen=True)
class StopRequest:
    """A user's request that all runs of a study end."""

    id: str  # tells two requests apart
    now: bool  # without waiting for the end of an epoch


@dataclass(frozen=True)
class StoredStudy:
    """A study with its definition, its folder and its database; `of` opens one."""

    study: optuna.Study  # with the sampler and the pruner of the definition
    definition: StudyDefinition
    folder: StudyFolder  # guarded: refuses the files of another study
    storage: StudyStorage

    @classmethod
    def of(cls, storage: StudyStorage, name: str, results: Path) -> "StoredStudy":
        """Open a study of a database that is open.

        Args:
            storage: the database.
            name: the name of the study.
            results: the results folder, which has the study's folder.

        Raises:
            ConfigError: the database has no study of this name, or one that was not made by a run.
        """
        study = load_study(storage, name)
        if "definition" not in study.user_attrs:
            raise ConfigError(f"study {name!r} in this database was not made by blade-tune run.")
        identity = study.user_attrs.get("fingerprint", {})
        definition = StudyDefinition.from_stored(
            name, study.user_attrs["definition"], identity.get("space")
        )
        # A study of runs has its members' weights in the folder of the study that it belongs to.
        home = StudyFolder(results, name.removesuffix(OF_RUNS)).path
        definition = replace(definition, home=home)
        study.sampler = build_sampler(definition.search, definition.space)
        study.pruner = build_pruner(definition.search.pruner, definition.train)
        ownership = Ownership(study, definition, masked(storage.engine.url))
        return cls(study, definition, StudyFolder(results, name, ownership), storage)

    @property
    def label(self) -> str:
        """Name of the study beside others in a table: its model, or the change of a re-tuned variant."""
        return str(self.study.user_attrs.get(LABEL, self.definition.model))

    @property
    def trials(self) -> list[FrozenTrial]:
        """All rows of the study in order of number, read from the database."""
        return self.study.get_trials(deepcopy=False)

    @property
    def budget(self) -> int:
        """How many trials shall be scored in all, as the latest run settled it."""
        return int(self.study.user_attrs["budget"])

    @property
    def limit(self) -> Limit | None:
        """The limit of steps or hours; None where only trials are counted."""
        return Limit.of(self.study)

    def progress_words(self, trials: Sequence[FrozenTrial]) -> str:
        """Return how much of its budget the study has spent: "12 of 60 trials are scored"."""
        scored, limit = num_scored(trials), self.limit
        words = f"{scored} of {self.budget} trials are scored"
        if self.budget >= UNLIMITED:
            words = f"{scored} trials are scored"
        return f"{words}, {limit.spent_words(trials)} are spent" if limit else words

    @property
    def places(self) -> int:
        """How many trials may be scored or run by now; once the limit is reached, only those that have begun."""
        trials, limit = self.trials, self.limit
        if limit is None or not limit.is_reached(trials):
            return self.budget
        # A promoted trial is scored already, so it needs no place of its own.
        begun = [trial for trial in trials if is_begun(trial) and not is_promoted(trial)]
        return min(self.budget, num_scored(trials) + len(begun))

    def standing(self, trials: Sequence[FrozenTrial]) -> Standing | None:
        """Return how trials stand at the rungs of a pruner that promotes; None for any other pruner.

        Args:
            trials: all rows of the study.
        """
        return Standing.of(self.study, self.definition, trials)

    def promotable(self, trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
        """Return the paused row whose trial is to go on next; None where there is none, or the limit is reached.

        Args:
            trials: all rows of the study.
        """
        limit = self.limit
        if limit and limit.is_reached(trials):
            return None
        standing = self.standing(trials)
        return standing.promotable() if standing else None

    @cached_property
    def study_id(self) -> int:
        """The primary key of the study's row in its database."""
        return self.storage.get_study_id_from_name(self.definition.name)

    @cached_property
    def attempts(self) -> Attempts:
        """The attempts of worker processes at the study's trials."""
        return Attempts(self.storage, self.study_id)

    def claim_folder(self) -> None:
        """Make the study the owner of its folder; to be called before anything is written there.

        A study that an earlier version made gets its id here.

        Raises:
            StudyDiffersError: the folder has the files of another study; the message names both.
        """
        if Identity.of(self.study) is None:
            with creating(self.storage.engine.url):
                # Another process may have given it one while this one waited for the lock.
                if Identity.of(self.study) is None:
                    Identity.new().store(self.study)
        if isinstance(self.folder.guard, Ownership):
            self.folder.guard.claim(self.folder)

    def ask_to_stop(self, *, now: bool) -> None:
        """Ask every supervisor that works on the study at this moment to end its run, on all machines.

        Args:
            now: whether to stop without waiting for the end of an epoch.
        """
        self.study.set_user_attr("stop", {"id": uuid.uuid4().hex, "now": now})

    def stop_request(self) -> StopRequest | None:
        """Return the latest request to stop the study; None where there never was one.

        A request stays stored. A run is meant by it only if it differs from the one that the run read at its start.
        """
        asked = self.study.user_attrs.get("stop")
        return StopRequest(**asked) if asked else None

    def verdict(self, trials: Sequence[FrozenTrial]) -> Verdict | None:
        """Return whether a search's best trial lies above the reference baseline.

        Args:
            trials: all rows of the study.

        Returns:
            None for a study of runs, and where the best trial was not compared when it ended.
        """
        if self.definition.is_given:  # runs are not candidates, and none of them is chosen
            return None
        completed = ranked(logical_trials(trials))
        best = completed[0] if completed else None
        return of_best(best, len(completed))

    def warning(self, trials: Sequence[FrozenTrial]) -> str:
        """Return a sentence on the untuned baselines that a search's best trial is below; empty where it is below none.

        Args:
            trials: all rows of the study.
        """
        best = None if self.definition.is_given else best_trial(logical_trials(trials))
        if best is None:
            return ""
        # A trial may have a window of its own; its row then has the figures of baselines of the same window.
        paired = TrialRecord(best).get(TrialRecord.paired, {})
        figures = paired.get("baselines", self.baseline_figures)
        return below_untuned(f"trial {best.number}", best.value or 0.0, figures)

    @property
    def baseline_figures(self) -> dict[str, float]:
        """The study's metric of each untuned baseline on validation rows, by name; empty where none was measured."""
        measured = self.study.user_attrs.get(BASELINES, {})
        metrics = measured.get("metrics", {})
        metric = self.definition.objective.metric
        return {name: figures[metric] for name, figures in metrics.items()}

    @property
    def baselines_left_out(self) -> dict[str, str]:
        """The untuned baselines that were not measured, by name, each with the reason."""
        measured = self.study.user_attrs.get(BASELINES, {})
        return dict(measured.get("left_out", {}))

    def measure_baselines(self, data: SearchData, values: Mapping[str, Value] = {}) -> Baselines:
        """Measure the untuned baselines, or read what was measured before for the same data, protocol and window.

        A model does not rank the items in its own window, so a baseline to compare it with must have a window of the
        same length.

        Args:
            data: the search data of the study.
            values: the configuration, by dotted name, to compare the baselines with; without one, they have the window
                that the study's space fixes, and the study remembers their figures.
        """
        definition = self.definition
        # The length of the window: the study's, unless a configuration has one of its own
        remembered = self.study.user_attrs.get(BASELINES)
        shared_length = max_length(definition, definition.space.fixed)
        if remembered:
            shared_length = remembered["max_length"]
        length = max_length(definition, values) if values else shared_length
        baselines = valid_baselines(data, definition.objective, length, self.folder.results)
        if remembered is None and length == shared_length:
            facts = {
                "max_length": length,
                "metrics": baselines.metrics,
                "left_out": baselines.left_out,
            }
            self.study.set_user_attr(BASELINES, facts)
        return baselines

    def values(self, trial: FrozenTrial) -> dict[str, Value]:
        """Return the configuration of one of the study's trials by dotted name."""
        return trial_values(self.definition.space, trial)

    def files(self, trial: FrozenTrial) -> TrialFolder:
        """Return the folder of one of the study's trials, with the digests of its files.

        All rows of a trial that was interrupted share the folder of the first row.
        """
        folder = self.folder.trial(root_number(trial))
        digests = TrialRecord(trial).get(TrialRecord.files, {})
        return replace(folder, digests=digests)

    def open_test(
        self, data: SearchData, directory: Path | None, entry: Mapping[str, Any]
    ) -> SealedData:
        """Open the sealed test rows of the data, and record that in the study's ledger.

        The database remembers the end of the ledger, so that removed lines are noticed.

        Args:
            data: the search data of the study.
            directory: the folder with the files of the data; None for the one that the study remembers.
            entry: facts for the ledger: the trial that is evaluated, its seed, and the command.
        """
        self.claim_folder()
        line = {"study": self.definition.name, **entry, "when": now()}
        return open_for_evaluation(data, self.data_directory(directory), self.ledger, line)

    def note(self, entry: Mapping[str, Any]) -> None:
        """Write a line to the study's ledger that opens nothing.

        Args:
            entry: facts for the ledger; a plan of contrasts has the key `contrasts`.
        """
        self.claim_folder()
        self.ledger.append({"study": self.definition.name, **entry, "when": now()})

    @property
    def ledger(self) -> Ledger:
        """The record of every opening of the test rows for this study, and of what was planned before."""
        remembered = self.study.user_attrs.get("ledger")
        head = Head(**remembered) if remembered else None
        return Ledger(self.folder.ledger, head, self._remember_ledger)

    def _remember_ledger(self, head: Head) -> None:
        """Store the end of the ledger in the database."""
        self.study.set_user_attr("ledger", vars(head))

    def data_directory(self, directory: Path | None) -> Path | None:
        """Return the given folder of data, or else the one that the study was run on; None for data without files."""
        if directory:
            return directory
        remembered = self.study.user_attrs.get("data_directory")
        return Path(remembered) if remembered else None

    def data(self, directory: Path | None) -> SearchData:
        """Return the search data of the study, checked by its hash.

        Args:
            directory: the folder with the files of the data; None for the one that the study remembers.

        Raises:
            StudyDiffersError: the data is not what the study was run on.
        """
        directory = self.data_directory(directory)
        data = prepare(self.definition.data, directory, self.folder.results)
        expected = self.study.user_attrs["fingerprint"]["data"]
        if data.data_hash != expected:
            raise StudyDiffersError(
                f"study {self.definition.name} was run on data of hash {expected[:12]}, "
                f"{directory or 'its source'} has {data.data_hash[:12]}; {self._way_to_data(directory)}"
            )
        return data

    def _way_to_data(self, directory: Path | None) -> str:
        """Return how to go on where a folder has other rows than the study was run on: where those are, if they are."""
        expected = self.study.user_attrs["fingerprint"]["data"]
        for version in versions_of(directory.resolve()) if directory else []:
            with suppress(DataError):
                found = prepare(self.definition.data, version.folder, self.folder.results)
                if found.data_hash == expected:
                    return f"{version.folder} has it: give --data {version.folder}."
        return (
            "give --data with the rows of then (the same log prepared with another --out), or study those of now under "
            "another name."
        )


def require_maximized(study: optuna.Study) -> None:
    """Refuse a study that does not maximize one objective, which would take the worst trials for the best.

    Raises:
        StudyDiffersError: the study was made outside blade-tune, with another direction or with several.
    """
    if study.directions != [StudyDirection.MAXIMIZE]:
        directions = ", ".join(direction.name.lower() for direction in study.directions)
        raise StudyDiffersError(
            f"study {study.study_name} in this database was not made by blade-tune, which maximizes, but to "
            f"{directions}; take another name or --storage."
        )
