"""A study as it is stored: what the commands after `run` work on."""

import uuid
from collections.abc import Mapping, Sequence
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
from blade_tune.errors import ConfigError, StudyDiffersError
from blade_tune.parameter import Value
from blade_tune.search.samplers import build_pruner, build_sampler
from blade_tune.spec.definition import OF_RUNS, StudyDefinition, max_length
from blade_tune.storage.attempts import Attempts
from blade_tune.storage.connect import creating, load_study, masked
from blade_tune.storage.folder import StudyFolder, TrialFolder
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import best_trial, logical_trials, num_scored, ranked, root_number, trial_values
from blade_tune.study.ownership import Identity, Ownership
from blade_tune.study.verdict import Verdict, below_untuned, of_best
from blade_tune.training.baselines import Baselines, valid_baselines
from blade_tune.trial.callback import StudySummary
from blade_tune.trial.provenance import now

BASELINES = "baselines"  # user attribute of a study: their window, their metrics, and which were left out


@dataclass(frozen=True)
class StopRequest:
    """Somebody asked all runs of a study to end."""

    id: str
    now: bool  # without waiting for the end of an epoch


@dataclass(frozen=True)
class StoredStudy:
    """A study, its definition and its folder."""

    study: optuna.Study
    definition: StudyDefinition
    folder: StudyFolder
    storage: StudyStorage

    @classmethod
    def of(cls, storage: StudyStorage, name: str, results: Path) -> "StoredStudy":
        """Open a study of a database that is open.

        Raises:
            ConfigError: it has no study of this name, or one that was not made by a run.
        """
        study = load_study(storage, name)
        if "definition" not in study.user_attrs:
            raise ConfigError(f"study {name!r} in this database was not made by blade-tune run.")
        definition = StudyDefinition.from_stored(name, study.user_attrs["definition"])
        definition = replace(definition, home=StudyFolder(results, name.removesuffix(OF_RUNS)).path)
        study.sampler = build_sampler(definition.search, definition.space)
        study.pruner = build_pruner(definition.search.pruner, definition.train)
        ownership = Ownership(study, definition, masked(storage.engine.url))
        return cls(study, definition, StudyFolder(results, name, ownership), storage)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All rows, in order of number."""
        return self.study.get_trials(deepcopy=False)

    @property
    def budget(self) -> int:
        """Scored trials in all, as the latest run settled it."""
        return int(self.study.user_attrs["budget"])

    @cached_property
    def study_id(self) -> int:
        """The study's row in its database."""
        return self.storage.get_study_id_from_name(self.definition.name)

    @cached_property
    def attempts(self) -> Attempts:
        """Who is at work on it."""
        return Attempts(self.storage, self.study_id)

    def claim_folder(self) -> None:
        """Make the study's folder its own, before anything is written there; a study of before gets its id.

        Raises:
            StudyDiffersError: the folder has the files of another study; the message names both.
        """
        if Identity.of(self.study) is None:
            with creating(self.storage.engine.url):
                if Identity.of(self.study) is None:
                    Identity.new().store(self.study)
        if isinstance(self.folder.guard, Ownership):
            self.folder.guard.claim(self.folder)

    def ask_to_stop(self, *, now: bool) -> None:
        """Have every supervisor that works on the study at this moment end its run, wherever it is."""
        self.study.set_user_attr("stop", {"id": uuid.uuid4().hex, "now": now})

    def stop_request(self) -> StopRequest | None:
        """The latest request to stop; who sees another one than at his start is meant."""
        asked = self.study.user_attrs.get("stop")
        return StopRequest(**asked) if asked else None

    def summary(self) -> StudySummary:
        """How far the study is."""
        trials = self.trials
        best = best_trial(trials)
        return StudySummary(
            name=self.definition.name,
            metric=self.definition.objective.metric,
            scored=num_scored(trials),
            budget=self.budget,
            best_number=best.number if best else None,
            best_value=best.value if best else None,
            best_params=best.params if best else None,
            verdict=str(self.verdict(trials) or ""),
            warning=self.warning(trials),
        )

    def verdict(self, trials: Sequence[FrozenTrial]) -> Verdict | None:
        """Whether the best of these trials, which are all of a search's, lies above the reference baseline."""
        if self.definition.is_given:  # of runs none is chosen
            return None
        completed = ranked(logical_trials(trials))
        return of_best(next(iter(completed), None), len(completed))

    def warning(self, trials: Sequence[FrozenTrial]) -> str:
        """Which untuned baselines a search's best trial is below, in words; empty where it is below none."""
        completed = [] if self.definition.is_given else ranked(logical_trials(trials))
        if not completed:
            return ""
        best = completed[0]
        figures = TrialRecord(best).get(TrialRecord.paired, {}).get("baselines", self.baseline_figures)
        return below_untuned(f"trial {best.number}", best.value or 0.0, figures)

    @property
    def baseline_figures(self) -> dict[str, float]:
        """What untuned models reach on validation rows by the study's metric; empty where it was never measured."""
        metrics = self.study.user_attrs.get(BASELINES, {}).get("metrics", {})
        return {name: figures[self.definition.objective.metric] for name, figures in metrics.items()}

    @property
    def baselines_left_out(self) -> dict[str, str]:
        """Which of them were not measured, and why."""
        return dict(self.study.user_attrs.get(BASELINES, {}).get("left_out", {}))

    def measure_baselines(self, data: SearchData, values: Mapping[str, Value] = {}) -> Baselines:
        """Measure them, or read what was measured before for the same data, protocol and window.

        What a model's own window holds is not ranked for it, so a baseline beside it has the same window.

        Args:
            data: the search data of the study.
            values: the configuration that they shall stand beside; without any, what the study's space fixes.
        """
        known = self.study.user_attrs.get(BASELINES)
        shared = known["max_length"] if known else max_length(self.definition, self.definition.space.fixed)
        length = max_length(self.definition, values) if values else shared
        found = valid_baselines(data, self.definition.objective, length, self.folder.results)
        if known is None and length == shared:
            facts = {"max_length": length, "metrics": found.metrics, "left_out": found.left_out}
            self.study.set_user_attr(BASELINES, facts)
        return found

    def values(self, trial: FrozenTrial) -> dict[str, Value]:
        """The configuration of one of its trials by dotted name."""
        return trial_values(self.definition.space, trial)

    def files(self, trial: FrozenTrial) -> TrialFolder:
        """Where one of its trials has its files, whichever row it began with."""
        folder = self.folder.trial(root_number(trial))
        return replace(folder, digests=TrialRecord(trial).get(TrialRecord.files, {}))

    def open_test(self, data: SearchData, directory: Path | None, entry: Mapping[str, Any]) -> SealedData:
        """Open the sealed rows, with a line in the study's ledger, whose end the database remembers.

        Args:
            data: the search data of the study.
            directory: where its files are, if anywhere but where the study remembers them.
            entry: which trial is evaluated, on which seed, by which command.
        """
        self.claim_folder()
        line = {"study": self.definition.name, **entry, "when": now()}
        return open_for_evaluation(data, self.data_directory(directory), self.ledger, line)

    @property
    def ledger(self) -> Ledger:
        """Every opening of the test rows for this study."""
        known = self.study.user_attrs.get("ledger")
        return Ledger(
            self.folder.ledger, Head(**known) if known else None, lambda h: self.study.set_user_attr("ledger", vars(h))
        )

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


def require_maximized(study: optuna.Study) -> None:
    """Refuse to go on with a study whose best trials are taken for its worst.

    Raises:
        StudyDiffersError: it was made outside blade-tune, with another direction or with several.
    """
    if study.directions != [StudyDirection.MAXIMIZE]:
        directions = ", ".join(direction.name.lower() for direction in study.directions)
        raise StudyDiffersError(
            f"study {study.study_name} in this database was not made by blade-tune, which maximizes, but to "
            f"{directions}; take another name or --storage."
        )
