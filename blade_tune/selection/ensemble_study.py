"""An ensemble as a study: a combination whose members and weights are given, in a search space of one point.

So it is stored, reported, reproduced and exported like any other study. Its folder has copies of its members' weights,
and nothing that happens to the members' studies matters any more.
"""

from dataclasses import replace
from typing import Any

from blade_tune.errors import RunsMissingError
from blade_tune.fleet.settings import RunSettings
from blade_tune.models.combination import weight_of
from blade_tune.selection.ensemble import Ensemble, require_taken
from blade_tune.selection.runs import RunExecutor
from blade_tune.spec.definition import COMBINATION, StudyDefinition
from blade_tune.spec.fingerprint import differences
from blade_tune.storage.trials import best_trial
from blade_tune.study.create import TrialBudget, open_study
from blade_tune.study.members import check_members, keep_members, member_of
from blade_tune.study.stored import StoredStudy

# Tag of an ensemble's trial, whose metadata has the facts of the choice under this key
ENSEMBLE = "ensemble"


def store_ensemble(ensemble: Ensemble, name: str, executor: RunExecutor) -> StoredStudy:
    """Store a taken ensemble as a study of one trial, and evaluate it; an equal one that is stored is opened.

    Args:
        ensemble: the ensemble.
        name: name of the study. Where another ensemble has it, a number is appended, from 2.
        executor: evaluates the trial.

    Returns:
        The study, whose one trial is complete.

    Raises:
        NothingToExportError: the ensemble is not taken.
        ConfigError: a member's weights are not in this results folder.
        RunsMissingError: the trial did not complete.
        InterruptedStudyError: the user stopped it; the same call continues from there.
    """
    require_taken(ensemble)
    settings = executor.settings
    runs = ensemble.candidates[0].runs
    data = runs.data(settings.data)
    definition = _unused(_definition(ensemble, name), data.data_hash, settings)
    check_members(definition, data, settings.workspace)
    stored = open_study(
        definition,
        data,
        settings.workspace,
        TrialBudget(1),
        directory=runs.data_directory(settings.data),
    )
    keep_members(stored)
    if best_trial(stored.trials) is None:
        executor.work(stored)
    if best_trial(stored.trials) is None:
        raise RunsMissingError(
            f"study {stored.definition.name}: its trial is not complete; "
            f"`blade-tune trials --study {stored.definition.name}` says why. The same command again goes on."
        )
    return stored


def _definition(ensemble: Ensemble, name: str) -> StudyDefinition:
    """Return the combination of an ensemble's members by their weights, where that of the first is 1."""
    first = ensemble.candidates[0].runs.definition
    (_, largest), *others = ensemble.members
    model: dict[str, Any] = {
        "max_length": ensemble.window,
        "normalization": ensemble.normalization,
        **{weight_of(place): drawn / largest for place, (_, drawn) in enumerate(others, start=2)},
    }
    content = {
        "model": COMBINATION,
        "space": {"model": model},
        "data": first.data.model_dump(mode="json"),
        "objective": first.objective.model_dump(mode="json"),
        "search": {"trials": 1, "seed": first.search.seed},
        "enqueue": [{"tag": ENSEMBLE, "metadata": {ENSEMBLE: ensemble.facts}}],
        "members": [
            member_of(run.runs, run.trial, run.name).model_dump(mode="json")
            for run, _ in ensemble.members
        ],
    }
    return StudyDefinition.from_mapping(name, content, f"ensemble {name}")


def _unused(definition: StudyDefinition, data_hash: str, settings: RunSettings) -> StudyDefinition:
    """Return a definition under the first name that no other study has: its own, or its own with a number."""
    named, number = definition, 1
    while _is_other(named, data_hash, settings):
        number += 1
        named = replace(definition, name=f"{definition.name}-{number}")
    return named


def _is_other(definition: StudyDefinition, data_hash: str, settings: RunSettings) -> bool:
    """Return whether the name of a definition is that of a stored study which is another one."""
    known = settings.workspace.find(definition.name)
    stored = known.study.user_attrs.get("fingerprint") if known else None
    return stored is not None and bool(differences(stored, definition, data_hash))
