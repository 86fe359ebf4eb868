"""Opening a study for a run: made if it is new, refused if it asks another question."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import TrialState

from blade_tune.config import write_yaml
from blade_tune.data.store import SearchData
from blade_tune.errors import ConfigError, StudyDiffersError
from blade_tune.models.build import model_class
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.fingerprint import fingerprint, require_same
from blade_tune.storage.attempts import Attempts
from blade_tune.storage.connect import await_database, creating, open_storage, storage_errors
from blade_tune.storage.folder import write_text
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.trial_record import attributes
from blade_tune.study.ownership import Identity
from blade_tune.study.stored import StoredStudy, require_maximized
from blade_tune.study.workspace import Workspace


@dataclass(frozen=True)
class Total:
    """How many scored trials are asked for: a number, so many more than before, or what was settled before."""

    trials: int | None = None
    add: int = 0

    def settle(self, configured: int, study: optuna.Study) -> int:
        """The study's budget.

        What was settled last holds until somebody says otherwise, here or by another number in the configuration.
        """
        before = study.user_attrs
        known = "budget" in before and before.get("configured_budget", configured) == configured
        settled = int(before["budget"]) if known else configured
        return (settled if self.trials is None else self.trials) + self.add


def open_study(
    definition: StudyDefinition,
    data: SearchData,
    workspace: Workspace,
    total: Total = Total(),
    *,
    directory: Path | None = None,
) -> StoredStudy:
    """Create the study, or open the stored one if it asks the same question.

    Of several processes that do so at once, one creates it.

    Args:
        definition: the study.
        data: its search data.
        workspace: where it is stored.
        total: how many scored trials are asked for.
        directory: where the files of its data are, which the study remembers; None for data without files.

    Raises:
        ConfigError: the model does not go with data of this size; nothing was made.
        StudyDiffersError: the stored study has another fingerprint; nothing was added.
        StorageError: the database cannot be reached.
    """
    if reason := model_class(definition.model).too_large(data.num_users, data.num_items):
        raise ConfigError(f"study {definition.name}: {reason}")
    await_database(workspace.url)
    with storage_errors(workspace.url):
        storage = open_storage(workspace.url, create=True)
        with creating(workspace.url):
            Attempts.create_table(storage)
            study = _load_or_create(storage, definition.name)
            _name_metric(study, definition.objective.metric)
            _identify(study, definition, data.data_hash)
            budget = total.settle(definition.search.trials, study)
            study.set_user_attr("configured_budget", definition.search.trials)
            study.set_user_attr("budget", budget)
            search = definition.search.model_copy(update={"trials": budget})
            content = replace(definition, search=search).to_mapping()
            study.set_user_attr("definition", content)
            study.set_user_attr("data_directory", str(directory.resolve()) if directory else None)
        stored = StoredStudy.of(storage, definition.name, workspace.results)
        stored.claim_folder()
        write_text(stored.folder.definition, write_yaml(content))
        return stored


def _load_or_create(storage: StudyStorage, name: str) -> optuna.Study:
    """The study of a name, whichever process made it.

    Whoever made an empty one by Optuna itself may have given it another direction, which nothing changes later, so it
    is made anew.
    """
    if name in [study.study_name for study in storage.get_all_studies()]:
        study = optuna.load_study(study_name=name, storage=storage)
        if study.user_attrs or study.get_trials(deepcopy=False):
            require_maximized(study)
            return study
        optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(study_name=name, storage=storage, direction=StudyDirection.MAXIMIZE)
    Attempts(storage, storage.get_study_id_from_name(name)).clear()
    Identity.new().store(study)  # from here on it is ours, whatever ends this process
    return study


def _name_metric(study: optuna.Study, metric: str) -> None:
    """Have axes and tables say what a trial's value is, of a study from before it was named too."""
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([f"valid {metric.upper()}"])


def _identify(study: optuna.Study, definition: StudyDefinition, data_hash: str) -> None:
    if "fingerprint" in study.user_attrs:
        require_same(study.user_attrs["fingerprint"], definition, data_hash)
    else:
        _enqueue(study, definition)
        study.set_user_attr("fingerprint", fingerprint(definition, data_hash))  # after all that is done only once


def _enqueue(study: optuna.Study, definition: StudyDefinition) -> None:
    """Fill a study that is new, or that was new when another process was killed right here."""
    if Identity.of(study) is None or any(trial.state != TrialState.WAITING for trial in study.get_trials()):
        raise StudyDiffersError(
            f"study {definition.name} in this database was not made by blade-tune; take another name or --storage."
        )
    for index, entry in enumerate(definition.enqueue):
        attrs = attributes(tag=entry.tag, metadata=entry.model_dump(mode="json")["metadata"])
        study.enqueue_trial(definition.enqueued_params(index), user_attrs=attrs, skip_if_exists=True)
