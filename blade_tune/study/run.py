"""A run: open or create the study, then trial after trial until the budget is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL

from blade_tune.config import write_yaml
from blade_tune.data.store import SearchData
from blade_tune.errors import StudyDiffersError, TooManyFailuresError
from blade_tune.study.definition import StudyDefinition
from blade_tune.study.fingerprint import fingerprint, require_same
from blade_tune.study.folder import StudyFolder, write_text
from blade_tune.study.objective import Objective, max_length
from blade_tune.study.observer import Observer, Standing
from blade_tune.study.sampling import build_pruner, build_sampler
from blade_tune.study.signals import StopSignals
from blade_tune.study.storage import open_storage, storage_errors
from blade_tune.study.trials import best_trial, is_continued, latest_failures, num_scored, ranked, root_number
from blade_tune.training.device_data import resolve_device
from blade_tune.training.floors import popularity_scorers


@dataclass(frozen=True)
class RunOptions:
    """Where and how a study runs; none of it is part of the study's identity."""

    results: Path
    url: URL
    data_directory: Path | None = None
    device: str = "auto"
    keep: int = 5  # best trials whose weights stay on disk
    max_consecutive_failures: int = 5


def open_study(definition: StudyDefinition, data: SearchData, options: RunOptions) -> optuna.Study:
    """Create the study, or open the stored one if it asks the same question.

    Raises:
        StudyDiffersError: the stored study has another fingerprint; nothing was added.
    """
    identity = fingerprint(definition, data.data_hash)
    storage = open_storage(options.url, create=True)
    sampler = build_sampler(definition.search.sampler, definition.search.seed)
    pruner = build_pruner(definition.search.pruner, definition.train)
    if definition.name in [study.study_name for study in storage.get_all_studies()]:
        study = optuna.load_study(study_name=definition.name, storage=storage, sampler=sampler, pruner=pruner)
    else:
        study = optuna.create_study(
            study_name=definition.name, storage=storage, sampler=sampler, pruner=pruner, direction="maximize"
        )
    if "fingerprint" in study.user_attrs:
        require_same(study.user_attrs["fingerprint"], identity, definition.name)
    else:
        _enqueue(study, definition)
        study.set_user_attr("fingerprint", identity)  # after all that is done only once
    study.set_user_attr("definition", definition.to_mapping())
    study.set_user_attr("budget", definition.search.trials)
    study.set_user_attr("data_directory", str(options.data_directory.resolve()) if options.data_directory else None)
    return study


def _enqueue(study: optuna.Study, definition: StudyDefinition) -> None:
    """Fill a study that is new, or that was new when another process was killed right here."""
    if any(trial.state != TrialState.WAITING for trial in study.get_trials(deepcopy=False)):
        raise StudyDiffersError(
            f"study {definition.name} in this database was not made by blade-tune; take another name or --storage."
        )
    for index, entry in enumerate(definition.enqueue):
        attrs = {"tag": entry.tag, "metadata": entry.model_dump(mode="json")["metadata"]}
        study.enqueue_trial(definition.enqueued_params(index), user_attrs=attrs, skip_if_exists=True)


def run_study(definition: StudyDefinition, data: SearchData, options: RunOptions, observer: Observer) -> str:
    """Run trials until the study has as many scored ones as its budget; gives why it stopped.

    Raises:
        StudyDiffersError: see `open_study`.
        TooManyFailuresError: so many trials in a row failed.
        InterruptedStudyError: a signal came; the trial it met is queued with its checkpoint.
    """
    folder = StudyFolder(options.results, definition.name)
    with storage_errors(options.url), StopSignals().listening() as signals:
        study = open_study(definition, data, options)
        write_text(folder.definition, write_yaml(definition.to_mapping()))
        device = resolve_device(options.device)
        objective = Objective(definition, data, folder, device, observer, lambda: bool(signals))
        evaluator = objective.device_data(max_length(definition, definition.space.fixed)).evaluator
        popularity = popularity_scorers(data.train, data.num_items, data.catalog.auxiliary)["all"]
        floor = evaluator.measure(popularity).metrics[definition.objective.metric]
        observer.run_started(standing(study, definition), floor, definition.train.max_epochs)
        why = _run_trials(study, definition, objective, options, signals)
        observer.run_ended(why, standing(study, definition))
    return why


def _run_trials(
    study: optuna.Study, definition: StudyDefinition, objective: Objective, options: RunOptions, signals: StopSignals
) -> str:
    budget = definition.search.trials
    before = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}

    def after_trial(study: optuna.Study, trial: FrozenTrial) -> None:
        _trim(study, objective.folder, options.keep)
        objective.observer.trial_ended(trial.number, _describe(trial), trial.value, standing(study, definition))

    while (scored := num_scored(trials := study.get_trials(deepcopy=False))) < budget:
        if signals:
            raise signals.error()
        failures = latest_failures(trial for trial in trials if trial.number not in before)
        if len(failures) >= options.max_consecutive_failures:
            raise TooManyFailuresError(
                f"study {definition.name}: {len(failures)} trials in a row came to nothing; the latest, trial "
                f"{failures[0].number}: {failures[0].user_attrs.get('message', 'see its train.log')}"
            )
        if definition.search.sampler == "grid" and _num_configurations(trials) == definition.space.count():
            return f"every point of the grid is tried: {scored} trials are scored"
        try:
            study.optimize(objective, n_trials=1, catch=(Exception,), callbacks=[after_trial], gc_after_trial=True)
        except KeyboardInterrupt:
            raise signals.error() from None
    return f"{scored} of {budget} trials are scored"


def standing(study: optuna.Study, definition: StudyDefinition) -> Standing:
    """How far the study is."""
    trials = study.get_trials(deepcopy=False)
    best = best_trial(trials)
    return Standing(
        name=definition.name,
        metric=definition.objective.metric,
        scored=num_scored(trials),
        budget=definition.search.trials,
        best_number=best.number if best else None,
        best_value=best.value if best else None,
        best_params=best.params if best else None,
    )


def _num_configurations(trials: Sequence[FrozenTrial]) -> int:
    tried = (trial for trial in trials if trial.state != TrialState.WAITING and not is_continued(trial))
    return len({tuple(sorted(trial.params.items())) for trial in tried})


def _describe(trial: FrozenTrial) -> str:
    reason = trial.user_attrs.get("reason", "")
    message = trial.user_attrs.get("message", "")
    state = trial.state.name.lower()
    return state if reason in ("", "pruned") else f"{state} ({reason}{': ' + message if message else ''})"


def _trim(study: optuna.Study, folder: StudyFolder, keep: int) -> None:
    """Keep the weights of the best trials only."""
    for trial in ranked(study.get_trials(deepcopy=False))[keep:]:
        folder.trial(root_number(trial.user_attrs, trial.number)).weights.unlink(missing_ok=True)
