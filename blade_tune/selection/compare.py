"""Models beside each other, honestly: the same data, split, sampler, pruner, epochs and budget, defaults tried first.

Each model has a search of its own, `<study>.compare-<model>`, and its winner is confirmed there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blade_tune.config import read_yaml
from blade_tune.data.store import SearchData, prepare
from blade_tune.errors import ConfigError, RunsMissingError
from blade_tune.fleet.settings import RunSettings
from blade_tune.loss_names import NextItemLoss
from blade_tune.models.build import model_class
from blade_tune.parameter import Value
from blade_tune.selection.confirm import confirm, load_confirmation
from blade_tune.selection.confirmation import Candidate
from blade_tune.selection.runs import RunExecutor
from blade_tune.selection.scores import EvaluatedPart, Scores, load_scores, tested_beside, user_groups, verdict_on
from blade_tune.selection.statistics import Comparison, Floats, holm, paired_bootstrap
from blade_tune.selection.testing import Opening, test_runs
from blade_tune.spec.catalog import available, find
from blade_tune.spec.definition import StudyDefinition, defaults_first, is_fitted
from blade_tune.spec.recipes import OF_FILES, RecipeName
from blade_tune.spec.space_files import load_space
from blade_tune.storage.folder import TrialFolder
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import logical_trials, num_scored
from blade_tune.study.create import Total, open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict, below_untuned
from blade_tune.training.baselines import REFERENCE
from blade_tune.trial.model import build_study_model

TOLERANCE = 0.05  # budgets that differ by more are not equal
PROTOCOL = ("max_epochs", "eval_every", "patience", "early_stop")  # the training settings that all models share


@dataclass(frozen=True)
class Budget:
    """What every model gets."""

    trials: int
    top: int
    seeds: int
    max_epochs: int | None = None  # else the study file's


@dataclass(frozen=True)
class HowTrained:
    """What all neural models of a comparison have in common."""

    recipe: RecipeName | None = None  # else the study file's
    loss: NextItemLoss | None = None  # else the recipe's, or the one that each was published with


@dataclass(frozen=True)
class Contender:
    """One model of a comparison."""

    model: str
    study: StoredStudy
    files: TrialFolder  # of the winner's first run
    winner: Candidate
    scores: Scores
    is_told: bool  # the behavior set of the item to predict
    window: int  # newest interactions that it sees, whose items are not ranked for it
    loss: str  # that the winner was trained with
    spent: Mapping[str, float]  # by its search
    baselines: Mapping[str, Mapping[str, float]]  # what untuned models reach on the same rows
    verdict: Verdict | None  # None where the reference baseline was not measured

    def warning(self, metric: str) -> str:
        """Which untuned baselines its mean is below, in words; empty where it is below none."""
        reached = {name: figures[metric] for name, figures in self.baselines.items()}
        return below_untuned(self.model, self.scores.estimate(metric).mean, reached)


@dataclass(frozen=True)
class Pair:
    """Two models, the first minus the second."""

    first: str
    second: str
    comparison: Comparison
    p_adjusted: float  # Holm's, over all pairs


@dataclass(frozen=True)
class Comparisons:
    """All models, the best mean first, and all pairs of them."""

    metric: str
    part: EvaluatedPart
    entries: tuple[Contender, ...]
    pairs: tuple[Pair, ...]
    groups: Mapping[str, NDArray[np.bool_]]  # head and tail users, True for each evaluated one of them

    @property
    def left_out(self) -> Mapping[str, str]:
        """Which untuned models were not measured, and why."""
        return self.entries[0].study.baselines_left_out

    @property
    def warnings(self) -> list[str]:
        """Of each model that is below an untuned baseline, in words."""
        return [words for entry in self.entries if (words := entry.warning(self.metric))]

    @property
    def windows(self) -> list[int]:
        """The different windows of the models, the longest first."""
        return sorted({entry.window for entry in self.entries}, reverse=True)

    @property
    def baselines(self) -> Mapping[str, Mapping[str, float]]:
        """What untuned models reach on the same rows, by name; once for each window where models differ in that."""
        found = {entry.window: entry.baselines for entry in self.entries}
        several = len(found) > 1
        return {
            f"{name}, untuned" + (f", window {window}" if several else ""): figures
            for window in self.windows
            for name, figures in found[window].items()
        }


def define(
    study: str, models: Sequence[str], budget: Budget, training: HowTrained = HowTrained()
) -> list[StudyDefinition]:
    """The search of each model, after a study file's data, protocol, epochs, sampler and pruner.

    A model is searched over `<model>-extended`, or over the space of its own name; its defaults are tried first, as far
    as they lie in it.

    Args:
        study: name or path of the study file.
        models: to compare.
        budget: of each.
        training: of all of them.

    Raises:
        ConfigError: an unknown model, or one named twice.
    """
    if len(set(models)) < max(2, len(models)):
        raise ConfigError(f"--models must name two or more different models, got {','.join(models)}.")
    path = find("studies", study)
    content = read_yaml(path)
    said = content.get("recipe", OF_FILES)
    recipe = training.recipe or said
    prefix = "".join(f"{word}-" for word in (recipe if recipe != said else None, training.loss) if word)
    definitions = []
    for model in models:
        model_class(model)
        space = _space(model, recipe, training.loss)
        shared: dict[str, Any] = {key: content[key] for key in ("data", "objective") if key in content}
        epochs = {} if is_fitted(model) else _epochs(content, budget.max_epochs)
        search = {**(content.get("search") or {}), "trials": budget.trials}
        asked: dict[str, Any] = {**shared, "model": model, "space": space, "train": epochs, "search": search}
        asked["recipe"] = recipe
        name = f"{path.stem}.compare-{prefix}{model}"
        definition = StudyDefinition.from_mapping(name, asked, f"{path} for {model}")
        first = {"enqueue": [defaults_first(definition)]}
        definitions.append(StudyDefinition.from_mapping(name, asked | first, f"{path} for {model}"))
    return definitions


def run_comparison(definitions: Sequence[StudyDefinition], budget: Budget, executor: RunExecutor) -> list[StoredStudy]:
    """Search and confirm with every model in turn; what is done is not done again.

    Raises:
        ConfigError: the data is too large for a model; nothing was run.
        InterruptedStudyError: the user stopped it; the same call goes on from there.
        RunsMissingError: a winner could not be confirmed.
    """
    settings = executor.settings
    check_sizes(definitions, settings)
    studies = []
    for definition in definitions:
        known = search_of(definition, settings)
        directory = known.data_directory(settings.data) if known else settings.data
        data = prepare(definition.data, directory, settings.results)
        stored = open_study(definition, data, settings.workspace, Total(budget.trials), directory=directory)
        executor.work(stored)
        confirm(stored, budget.top, budget.seeds, executor)
        studies.append(stored)
    return studies


def check_sizes(definitions: Sequence[StudyDefinition], settings: RunSettings) -> None:
    """Refuse a comparison with a model that the data is too large for.

    Raises:
        ConfigError: with the model, and what to do.
    """
    data = prepared(definitions[0], settings)
    for definition in definitions:
        if reason := model_class(definition.model).too_large(data.num_users, data.num_items):
            raise ConfigError(f"--models: {reason} Leave {definition.model} out.")


def prepared(definition: StudyDefinition, settings: RunSettings) -> SearchData:
    """The data of a comparison, from where its searches have it."""
    known = search_of(definition, settings)
    return prepare(definition.data, known.data_directory(settings.data) if known else settings.data, settings.results)


def search_of(definition: StudyDefinition, settings: RunSettings) -> StoredStudy | None:
    """The search as far as it is stored."""
    return settings.workspace.find(definition.name)


def loss_of(definition: StudyDefinition, values: Mapping[str, Value]) -> str:
    """The loss that a configuration of a study is trained with; empty where it is fitted without one."""
    if definition.is_fitted:
        return ""
    default = definition.configs["model"].model_fields["loss"].default
    return str({**definition.space.fixed, **values}.get("model.loss", default))


def spent(stored: StoredStudy) -> dict[str, float]:
    """What a search has cost: scored trials, and epochs and hours of all its trials."""
    trials = stored.trials
    latest = [TrialRecord(trial) for trial in logical_trials(trials)]
    return {
        "trials": num_scored(trials),
        "epochs": 0 if stored.definition.is_fitted else sum(record.get(TrialRecord.epochs, 0) for record in latest),
        "hours": sum(record.get(TrialRecord.seconds, 0.0) for record in latest) / 3600,
        "gpu_hours": stored.attempts.gpu_seconds() / 3600,
    }


def uneven(studies: Sequence[StoredStudy], gpu_hours: float | None) -> list[str]:
    """The budgets that differ by more than TOLERANCE, in words; what counts is what was limited."""
    costs = {stored.definition.model: spent(stored) for stored in studies}
    lines = []
    for name in ["trials"] if gpu_hours is None else ["trials", "gpu_hours"]:
        amounts = {model: cost[name] for model, cost in costs.items()}
        if max(amounts.values()) - min(amounts.values()) > TOLERANCE * max(amounts.values()):
            lines.append(f"{name} of " + ", ".join(f"{model} {amount:g}" for model, amount in amounts.items()))
    return lines


def compare(studies: Sequence[StoredStudy], part: EvaluatedPart, opening: Opening) -> Comparisons:
    """Put the confirmed winners beside each other.

    Args:
        studies: of `run_comparison`.
        part: test opens the sealed rows for each run of each winner.
        opening: who opens them.
    """
    entries = [_entry(stored, part, opening) for stored in studies]
    metric = studies[0].definition.objective.metric
    entries.sort(key=lambda entry: -entry.scores.estimate(metric).mean)
    pairs = list(combinations(entries, 2))
    comparisons = [paired_bootstrap(*same_seeds(a.scores.gains(metric), b.scores.gains(metric))) for a, b in pairs]
    adjusted = holm([comparison.p_value for comparison in comparisons])
    whole = [
        Pair(a.model, b.model, comparison, p)
        for (a, b), comparison, p in zip(pairs, comparisons, adjusted, strict=True)
    ]
    return Comparisons(metric, part, tuple(entries), tuple(whole), _groups(entries[0], part, opening))


def same_seeds(first_SU: Floats, second_SU: Floats) -> tuple[Floats, Floats]:
    """Both with a row for each seed: a model that no seed changes has one row, the same on all of them."""
    first, second = np.broadcast_arrays(first_SU, second_SU)
    return first, second


def _entry(stored: StoredStudy, part: EvaluatedPart, opening: Opening) -> Contender:
    confirmation = load_confirmation(stored)
    if confirmation is None:
        raise RunsMissingError(f"study {stored.definition.name}: no winner is confirmed; the same command goes on.")
    study, runs = confirmation.runs, confirmation.winning_runs
    if part == "test":
        test_runs(stored, confirmation, opening)
    model, winner, files = stored.definition.model, confirmation.winner, study.files(runs[0])
    scores = load_scores(study, model, runs, part)
    data = stored.data(opening.data_directory)
    built = build_study_model(stored.definition, winner.values, data.catalog, f"trial {winner.trial}")
    if part == "test":
        baselines, verdict = tested_beside(files, scores, stored.definition.objective.metric)
    else:
        found, count = stored.measure_baselines(data, winner.values), len(confirmation.candidates)
        baselines = found.metrics
        verdict = verdict_on(scores, found.ranks.get(REFERENCE), stored.definition.objective.metric, count)
    loss = loss_of(stored.definition, winner.values)
    seen = built.told_target_set, built.max_length
    return Contender(model, stored, files, winner, scores, *seen, loss, spent(stored), baselines, verdict)


def _groups(entry: Contender, part: EvaluatedPart, opening: Opening) -> Mapping[str, NDArray[np.bool_]]:
    data = entry.study.data(opening.data_directory)
    return user_groups(data, entry.files if part == "test" else None)


def _space(model: str, recipe: RecipeName, loss: NextItemLoss | None) -> str | dict[str, Any]:
    """The space that a model is compared over, with its loss fixed where one is asked for."""
    name = f"{model}-extended" if f"{model}-extended" in available("search_spaces") else model
    if loss is None or is_fitted(model):
        return name
    groups = load_space(find("search_spaces", name), recipe).to_mapping()
    return {**groups, "model": {**groups.get("model", {}), "loss": loss}}


def _epochs(content: Mapping[str, Any], max_epochs: int | None) -> dict[str, Value]:
    """What a study file says of how long trials train; the rest of its training settings is its own model's."""
    said = {key: value for key, value in (content.get("train") or {}).items() if key in PROTOCOL}
    return said if max_epochs is None else {**said, "max_epochs": max_epochs}
