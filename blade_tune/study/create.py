"""Opening a study for a run: a new study is created, and a stored one is continued if it asks the same question.

Two runs of one name ask the same question if their fingerprints are equal (`spec.fingerprint`): the same data, model,
space, objective and seed. Otherwise a run is refused, because the values of its trials could not be compared with those
stored. Many processes may open one study at once: each step here can be made again after a process was killed, and
`fingerprint` is written last, as the mark of a study that is complete.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from blade_tune.config import write_yaml
from blade_tune.data.store import SearchData
from blade_tune.errors import ConfigError, StudyDiffersError
from blade_tune.models import config_class
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.fingerprint import fingerprint, require_same, training_seed
from blade_tune.storage.attempts import Attempts
from blade_tune.storage.connect import await_database, creating, open_storage, storage_errors
from blade_tune.storage.folder import write_text
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.spending import ATTRIBUTE as LIMIT
from blade_tune.storage.spending import Limit
from blade_tune.storage.trial_record import Given, attributes
from blade_tune.study.ownership import Identity
from blade_tune.study.stored import StoredStudy, require_maximized
from blade_tune.study.warm_start import WarmSource, carry_over, queue, settle
from blade_tune.study.workspace import Workspace


@dataclass(frozen=True)
class TrialBudget:
    """How many scored trials a run asks for: a number, some more than before, or as many as were settled before."""

    trials: int | None = None  # in all; None for what was settled before
    add: int = 0  # on top of `trials` or of what was settled before
    # Of steps or hours too; what was settled before holds where `trials` is None.
    limit: Limit | None = None

    def settle(self, configured: int, study: optuna.Study) -> int:
        """Return the study's budget: how many trials shall be scored in all.

        The budget that an earlier run settled holds until a run asks for another, or the number in the study file
        changes.

        Args:
            configured: the number of trials in the study file.
            study: the study, which remembers its budget and the number that its file had then.
        """
        if self.trials is not None:
            return self.trials + self.add
        before = study.user_attrs
        is_file_unchanged = before.get("configured_budget", configured) == configured
        if "budget" in before and is_file_unchanged:
            return int(before["budget"]) + self.add
        return configured + self.add


def open_study(
    definition: StudyDefinition,
    data: SearchData,
    workspace: Workspace,
    total: TrialBudget = TrialBudget(),
    *,
    directory: Path | None = None,
    warm: Sequence[WarmSource] = (),
) -> StoredStudy:
    """Create a study, or open the stored one of its name if it asks the same question.

    Of several processes that call this at once, one creates the study and the others open it.

    Args:
        definition: the definition of the study.
        data: the search data of the study.
        workspace: the database and the results folder.
        total: how many scored trials the run asks for.
        directory: the folder with the files of the data, which the study remembers; None for data without files.
        warm: sources of configurations to try before the sampler proposes any; those that were named before give no
            more.

    Returns:
        The stored study, whose folder is claimed and has the study file.

    Raises:
        ConfigError: the data is too large for the model, or a source of a warm start is of another model; nothing was
            stored. Or a finished study is to take a warm start; nothing was added.
        StudyDiffersError: the stored study has another fingerprint; nothing was added.
        StorageError: the database cannot be reached.
    """
    if reason := config_class(definition.model).too_large(data.num_users, data.num_items):
        raise ConfigError(f"study {definition.name}: {reason}")
    for source in warm:
        carry_over(source, definition)  # raises where it cannot be
    await_database(workspace.url)
    with storage_errors(workspace.url):
        storage = open_storage(workspace.url, create=True)
        with creating(workspace.url):
            Attempts.create_table(storage)
            study = _load_or_create(storage, definition.name)
            _name_metric(study, definition.objective.metric)
            _identify(study, definition, data.data_hash)
            content = _settle(study, definition, total, warm)
            study.set_user_attr("data_directory", str(directory.resolve()) if directory else None)
        stored = StoredStudy.of(storage, definition.name, workspace.results)
        stored.claim_folder()
        write_text(stored.folder.definition, write_yaml(content))
        return stored


def _load_or_create(storage: StudyStorage, name: str) -> optuna.Study:
    """Return the stored study of a name, created if there is none.

    An empty study, which a user may have created with Optuna itself, is created anew: it may have another direction of
    optimization, which cannot be changed later.
    """
    if name in [study.study_name for study in storage.get_all_studies()]:
        study = optuna.load_study(study_name=name, storage=storage)
        if study.user_attrs or study.get_trials(deepcopy=False):
            require_maximized(study)
            return study
        optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(study_name=name, storage=storage, direction=StudyDirection.MAXIMIZE)
    Attempts(storage, storage.get_study_id_from_name(name)).clear()
    # The identity marks the study as made by blade-tune, even if this process is killed now.
    Identity.new().store(study)
    return study


def _name_metric(study: optuna.Study, metric: str) -> None:
    """Name the value of a study's trials for the axes and tables of Optuna's dashboard, where it has no name yet."""
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([f"valid {metric.upper()}"])


def _identify(study: optuna.Study, definition: StudyDefinition, data_hash: str) -> None:
    """Compare a study's fingerprint with the definition's, or fill a new study and store its fingerprint."""
    if "fingerprint" in study.user_attrs:
        require_same(study.user_attrs["fingerprint"], definition, data_hash)
    else:
        _enqueue(study, definition)
        # The fingerprint is stored last, as the mark of a study that is complete.
        study.set_user_attr("fingerprint", fingerprint(definition, data_hash))


def _settle(
    study: optuna.Study,
    definition: StudyDefinition,
    total: TrialBudget,
    warm: Sequence[WarmSource],
) -> dict[str, Any]:
    """Store what may change from run to run: the budget, warm starts, and the definition, which is returned."""
    budget = total.settle(definition.search.trials, study)
    settle(study, definition, warm, budget)  # refuses a warm start without a place for it
    if total.limit:
        total.limit.store(study)
    elif total.trials is not None:
        study.set_user_attr(LIMIT, None)
    study.set_user_attr("configured_budget", definition.search.trials)
    study.set_user_attr("budget", budget)
    search = definition.search.model_copy(update={"trials": budget})
    content = replace(definition, search=search).to_mapping()
    study.set_user_attr("definition", content)
    queue(study, definition, budget)
    return content


def _enqueue(study: optuna.Study, definition: StudyDefinition) -> None:
    """Enqueue the configurations of a new study, or the rest of them where an earlier process was killed meanwhile."""
    has_begun = any(trial.state != TrialState.WAITING for trial in study.get_trials())
    if Identity.of(study) is None or has_begun:
        raise StudyDiffersError(
            f"study {definition.name} in this database was not made by blade-tune; take another name or --storage."
        )
    for index, entry in enumerate(definition.enqueue):
        metadata = entry.model_dump(mode="json")["metadata"]
        attrs = attributes(tag=entry.tag, metadata=metadata)
        whole = definition.given_whole(index)
        if whole is None:
            params = definition.enqueued_params(index)
            study.enqueue_trial(params, user_attrs=attrs, skip_if_exists=True)
            continue
        # The space has no such point, so the row is given its configuration.
        given = Given(whole, training_seed(definition.search.seed, whole))
        attrs |= attributes(given=vars(given))
        if given not in [Given.of(trial) for trial in study.get_trials(deepcopy=False)]:
            study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=attrs))
