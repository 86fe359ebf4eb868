"""Fair comparison of models: the same data, split, sampler, pruner, epochs and budget, each model's defaults tried.

Each model has a search of its own, the study `<study>.compare-<model>`, whose winner is confirmed on fresh seeds.
`define` declares the searches and `run_comparison` runs and confirms them; `contenders.compare` computes the result.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from blade_tune.choices import NextItemLoss
from blade_tune.data.store import SearchData, prepare
from blade_tune.errors import ConfigError
from blade_tune.fleet.settings import RunSettings
from blade_tune.models import config_class
from blade_tune.parameter import Value
from blade_tune.selection.comparison_name import ComparisonKind, ComparisonName
from blade_tune.selection.confirm import confirm
from blade_tune.selection.contrasts import name_contrasts
from blade_tune.selection.runs import RunExecutor
from blade_tune.spec.catalog import StudySource, available, find
from blade_tune.spec.definition import (
    COMBINATION,
    MOST_MEMBERS,
    StudyDefinition,
    defaults_first,
    is_fitted,
)
from blade_tune.spec.published import LENGTH, TAG, published_entries, published_length
from blade_tune.spec.recipes import OF_FILES, RecipeName
from blade_tune.spec.space_files import load_space
from blade_tune.storage.spending import UNLIMITED, Limit, cpu_hours, hours, steps
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import logical_trials, num_scored
from blade_tune.study.create import TrialBudget, open_study
from blade_tune.study.members import check_members, keep_members, settle_members
from blade_tune.study.stored import StoredStudy

TOLERANCE = 0.05  # relative difference from which on budgets count as unequal
FITS = 200  # scored trials at most of a fitted model where steps or hours are limited


@dataclass(frozen=True)
class Budget:
    """The budget of each model in a comparison."""

    trials: int  # of its search; under a limit, of that of a fitted model
    top: int  # configurations that are confirmed
    seeds: int  # fresh seeds that each of these is trained on
    max_epochs: int | None = None  # None for the study file's
    limit: Limit | None = None  # of steps or hours, in place of the number of trials

    def of(self, definition: StudyDefinition) -> TrialBudget:
        """Return the budget of one model's search.

        A fitted model has no steps and takes seconds, so under a limit its search ends at `trials` at the latest.
        """
        if self.limit is None:
            return TrialBudget(self.trials)
        if definition.is_fitted:
            return TrialBudget(
                self.trials, limit=None if self.limit.unit == "steps" else self.limit
            )
        return TrialBudget(UNLIMITED, limit=self.limit)


@dataclass(frozen=True)
class HowTrained:
    """The way of training that all neural models of a comparison share."""

    recipe: RecipeName | None = None  # None for the study file's
    # None for the recipe's loss, or the one that each model was published with.
    loss: NextItemLoss | None = None


def define(
    study: str,
    models: Sequence[str],
    budget: Budget,
    training: HowTrained = HowTrained(),
    kind: ComparisonKind = "compare",
) -> list[StudyDefinition]:
    """Return the definition of each model's search, with data, protocol, epochs, sampler and pruner of a study file.

    A model is searched over the space `<model>-extended` if there is one, else over the space of its own name. Its
    defaults are tried first, as far as they lie in the space, and then its published settings, whether they do or not.
    Under the recipe `published` each model trains as long as it was published with, where that is known.

    Args:
        study: name or path of the study file.
        models: names of the models to compare.
        budget: the budget of each model.
        training: what all models are trained with.
        kind: the command that makes the searches, which is part of their names.

    Raises:
        ConfigError: a model is unknown or named twice, or there are fewer than two.
    """
    if len(set(models)) < max(2, len(models)):
        raise ConfigError(
            f"--models must name two or more different models, got {','.join(models)}."
        )
    source = StudySource.read(study)
    path, content = source.path, source.content
    recipe_of_file = content.get("recipe", OF_FILES)
    recipe = training.recipe or recipe_of_file
    # Searches that train in another way than the file have names of their own.
    changed = recipe if recipe != recipe_of_file else None
    comparison = ComparisonName(path.stem, changed, training.loss, kind)
    definitions = []
    for model in models:
        config_class(model)  # raises for an unknown one
        asked: dict[str, Any] = {
            **{key: content[key] for key in ("data", "objective") if key in content},
            "model": model,
            "space": _space(model, recipe, training.loss),
            "train": _length(content, model, recipe, budget.max_epochs),
            "search": {**source.section("search"), "trials": budget.trials},
            "recipe": recipe,
        }
        if model == COMBINATION:
            asked["members"] = [comparison.search(member) for member in _combined(models)]
        name, place = comparison.search(model), f"{path} for {model}"
        definitions.append(_with_known_settings(name, asked, place, training.loss))
    return definitions


def _combined(models: Sequence[str]) -> list[str]:
    """Return the models of a comparison that its combination is made of: all that are fitted.

    Raises:
        ConfigError: they are too few or too many.
    """
    members = [model for model in models if model != COMBINATION and is_fitted(model)]
    if not 2 <= len(members) <= MOST_MEMBERS:
        raise ConfigError(
            f"--models: {COMBINATION} is made of the 2 to {MOST_MEMBERS} fitted models beside it, got "
            f"{', '.join(members) or 'none'}."
        )
    return members


def _with_known_settings(
    name: str, asked: Mapping[str, Any], place: str, loss: NextItemLoss | None
) -> StudyDefinition:
    """Return the definition of a search that tries the model's defaults first, and then its published settings.

    A grid, which has all its points anyway, has no published settings: they may lie outside of it.
    """
    # The defaults are known only once the definition has been read.
    definition = StudyDefinition.from_mapping(name, asked, place)
    enqueue = [defaults_first(definition)]
    if definition.search.sampler != "grid":
        for entry in published_entries(definition.model, definition.data.name):
            asked_for = {"loss": loss} if loss else {}
            enqueue.append({**entry, "model": {**entry["model"], **asked_for}})
    definition = StudyDefinition.from_mapping(name, {**asked, "enqueue": enqueue}, place)
    # Where both are one configuration, it is tried once, as the published one.
    points = [definition.enqueued_params(index) for index in range(len(enqueue))]
    is_one = len(enqueue) > 1 and points[0] == points[1] and definition.given_whole(1) is None
    return replace(definition, enqueue=definition.enqueue[1:]) if is_one else definition


def published_trial(stored: StoredStudy) -> FrozenTrial | None:
    """Return the trial of a search with the model's published settings, in any state; None where it has none."""
    for trial in logical_trials(stored.trials):
        if TrialRecord(trial).get(TrialRecord.tag) == TAG:
            return trial
    return None


def run_comparison(
    definitions: Sequence[StudyDefinition],
    budget: Budget,
    executor: RunExecutor,
    against: str | None = None,
) -> list[StoredStudy]:
    """Run the search of each model in turn, and confirm its winner. Work that is done already is not repeated.

    A combination comes last, for it is made of the best trials of others.

    Args:
        definitions: the searches, as `define` returns them.
        budget: the budget of each model.
        executor: trains the trials and runs.
        against: the model that all others will be compared with, which is written to its ledger before anything runs.

    Returns:
        The searches as stored, in the order of the definitions.

    Raises:
        ConfigError: the data is too large for a model, or CPU hours are limited on a GPU; nothing was run.
        InterruptedStudyError: the user stopped it; the same call continues from there.
        RunsMissingError: a winner could not be confirmed.
    """
    settings = executor.settings
    on_gpu = any(placement.device == "cuda" for placement in executor.placements)
    if on_gpu and budget.limit and budget.limit.unit == "cpu_hours":
        raise ConfigError(
            "CPU hours do not measure what a GPU does: take --budget hours:N, or --device cpu."
        )
    check_sizes(definitions, settings)
    single = [definition for definition in definitions if not definition.members]
    combined = [definition for definition in definitions if definition.members]
    studies = {definition.name: _open(definition, budget, settings) for definition in single}
    if against is not None:
        name_contrasts([*studies.values()], against, later=[each.model for each in combined])
    for definition in [*single, *combined]:
        if definition.members:
            settled = settle_members(definition, settings.workspace)
            studies[definition.name] = _open(settled, budget, settings)
        stored = studies[definition.name]
        executor.work(stored)
        confirm(stored, budget.top, budget.seeds, executor)
    return [studies[definition.name] for definition in definitions]


def _open(definition: StudyDefinition, budget: Budget, settings: RunSettings) -> StoredStudy:
    """Open the search of a model, with its data prepared and its members, if it has any, at hand."""
    directory = data_directory(definition, settings)
    data = prepare(definition.data, directory, settings.results)
    check_members(definition, data, settings.workspace)
    total = budget.of(definition)
    stored = open_study(definition, data, settings.workspace, total, directory=directory)
    keep_members(stored)
    return stored


def check_sizes(definitions: Sequence[StudyDefinition], settings: RunSettings) -> None:
    """Raise an error if the data is too large for one of the models.

    Raises:
        ConfigError: it is; the message names the model.
    """
    data = prepared(definitions[0], settings)
    for definition in definitions:
        if reason := config_class(definition.model).too_large(data.num_users, data.num_items):
            raise ConfigError(f"--models: {reason} Leave {definition.model} out.")


def prepared(definition: StudyDefinition, settings: RunSettings) -> SearchData:
    """Return the prepared data of a search, from the folder that its stored study remembers if there is one."""
    return prepare(definition.data, data_directory(definition, settings), settings.results)


def data_directory(definition: StudyDefinition, settings: RunSettings) -> Path | None:
    """Return the folder of a search's data: that of the settings, or else the one that its stored study remembers."""
    stored = search_of(definition, settings)
    return stored.data_directory(settings.data) if stored else settings.data


def search_of(definition: StudyDefinition, settings: RunSettings) -> StoredStudy | None:
    """Return the stored study of a search, or None if it was never started."""
    return settings.workspace.find(definition.name)


def spent(stored: StoredStudy) -> dict[str, float]:
    """Return what a search has cost.

    Returns:
        `trials` that are scored; `epochs`, `hours`, `cpu_hours` and optimizer `steps` of training in all trials, pruned
        and failed ones included, without the last two if trials of an earlier version did not count them; `gpu_hours`
        for which workers held GPUs. A fitted model has no epochs and no steps.
    """
    trials = stored.trials
    records = map(TrialRecord, logical_trials(trials))
    epochs = sum(record.get(TrialRecord.epochs, 0) for record in records)
    counted = {"steps": steps(trials), "cpu_hours": cpu_hours(trials)}
    return {
        "trials": num_scored(trials),
        "epochs": 0 if stored.definition.is_fitted else epochs,
        "hours": hours(trials),
        **{unit: amount for unit, amount in counted.items() if not math.isnan(amount)},
        "gpu_hours": stored.attempts.gpu_seconds() / 3600,
    }


def uneven(
    studies: Sequence[StoredStudy], gpu_hours: float | None, limit: Limit | None = None
) -> list[str]:
    """Return a line for each budget in which the searches differ by more than `TOLERANCE`.

    Under a limit of steps or hours, fitted models may spend less, and are left out.

    Args:
        studies: the searches.
        gpu_hours: the limit of GPU hours that they were run with; None where only their trials were limited, and
            so only these are compared.
        limit: the limit of steps or hours, which is compared in place of trials.
    """
    if limit:
        studies = [stored for stored in studies if not stored.definition.is_fitted]
    costs = {stored.label: spent(stored) for stored in studies}
    counted = limit.unit if limit else "trials"
    limited = [counted] if gpu_hours is None else [counted, "gpu_hours"]
    lines = []
    for name in limited:
        amounts = {model: cost[name] for model, cost in costs.items()}
        highest = max(amounts.values(), default=0.0)
        lowest = min(amounts.values(), default=0.0)
        if highest - lowest > TOLERANCE * highest:
            listed = ", ".join(f"{model} {amount:.6g}" for model, amount in amounts.items())
            lines.append(f"{name} of {listed}")
    return lines


def _space(model: str, recipe: RecipeName, loss: NextItemLoss | None) -> str | dict[str, Any]:
    """Return the space that a model is searched over: a name, or its groups with the loss fixed if one is asked for."""
    extended = f"{model}-extended"
    name = extended if extended in available("search_spaces") else model
    if loss is None or is_fitted(model):
        return name
    groups = load_space(find("search_spaces", name), recipe).to_mapping()
    return {**groups, "model": {**groups.get("model", {}), "loss": loss}}


def _length(
    content: Mapping[str, Any], model: str, recipe: RecipeName, max_epochs: int | None
) -> dict[str, Value]:
    """Return the training settings that all trials of a search share: how long they train.

    They are those of the study file, whose other settings belong to its own model; under the recipe `published` they
    are the model's, as far as they were published for the data. Fitted models have none.

    Args:
        content: the content of the study file.
        model: the name of the model.
        recipe: the name of the recipe.
        max_epochs: the number of epochs at most; None for the file's or the published one.
    """
    if is_fitted(model):
        return {}
    train, data = content.get("train") or {}, content.get("data") or {}
    protocol = {key: value for key, value in train.items() if key in LENGTH}
    if recipe == "published":
        protocol |= published_length(model, str(data.get("name")))
    if max_epochs is not None:
        protocol["max_epochs"] = max_epochs
    return protocol
