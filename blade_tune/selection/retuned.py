"""Re-tuned ablations: each variant of a model is searched anew, over the study's space with the variant's change fixed.

A part that is taken out of a winner is missed with settings that were chosen for having it. Searched anew, the variant
has settings of its own, and what is missing then is what the part is worth. Each variant is a search of its own, the
study `<study>.ablate-<label>`, whose winner is confirmed as the study's own was.
"""

import re
from collections.abc import Mapping
from typing import Any

from blade_tune.errors import ConfigError
from blade_tune.parameter import Value
from blade_tune.selection.compare import TOLERANCE
from blade_tune.selection.confirm import ATTRIBUTE, confirm, require_confirmation
from blade_tune.selection.contrasts import name_contrasts
from blade_tune.selection.effects import Changes, ablations
from blade_tune.selection.runs import RunExecutor
from blade_tune.space import Space, nest
from blade_tune.spec.definition import OF_VARIANTS, StudyDefinition
from blade_tune.spec.recipes import has_effect
from blade_tune.storage.trials import num_scored
from blade_tune.study.create import TrialBudget, open_study
from blade_tune.study.stored import LABEL, StoredStudy
from blade_tune.study.workspace import Workspace

COMMAND = "ablate --tune"


def require_budget(stored: StoredStudy, trials: int) -> None:
    """Raise an error if variants would not have the budget of the study that they are compared with.

    Raises:
        ConfigError: they differ; the message says by how much.
    """
    spent = num_scored(stored.trials)
    if abs(spent - trials) > TOLERANCE * max(spent, trials):
        raise ConfigError(
            f"--tune {trials}: the budgets of a table must be equal within {TOLERANCE:.0%}, and study "
            f"{stored.definition.name} has scored {spent}: give --tune {spent}, or --uneven to print it all the same."
        )


def define_variants(stored: StoredStudy, trials: int) -> dict[str, StudyDefinition]:
    """Return the definition of each variant's search by the variant's label.

    It is the study's own, with the same data, protocol, sampler, pruner and seed; the values of the confirmed winner
    are tried first, as far as they lie in the variant's space.

    Args:
        stored: a search whose winner is confirmed.
        trials: scored trials of each search.

    Raises:
        ConfigError: no winner is confirmed, or the model names no ablations.
    """
    winner = require_confirmation(stored).winner
    (variants,) = ablations(stored).values()
    own = stored.definition
    definitions = {}
    for label, changes in variants.items():
        name = f"{own.name}{OF_VARIANTS}{_short(label)}"
        space = _space(own, changes)
        content: dict[str, Any] = {
            **own.to_mapping(),
            "space": space.to_mapping(),
            "search": {**own.search.model_dump(mode="json"), "trials": trials},
            "enqueue": [_first(own, space, winner.values)],
        }
        definitions[label] = StudyDefinition.from_mapping(name, content, name, is_whole=True)
    return definitions


def _short(label: str) -> str:
    """Return a label as names of studies have it: w-o-EF for "w/o early fusion (EF)"."""
    short = re.sub(r" .*\((\w+)\)$", r" \1", label)
    return re.sub("[^A-Za-z0-9]+", "-", short)


def _space(own: StudyDefinition, changes: Changes) -> Space:
    """Return a study's space with changes fixed, without the parameters that have no effect then."""
    space = own.space.narrowed(changes)
    parts = {name: name.partition(".") for name in space.free}
    idle = [
        name
        for name, (group, _, field) in parts.items()
        if not has_effect(space, group, field, own.configs[group])
    ]
    return space.without(idle)


def _first(own: StudyDefinition, space: Space, values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the entry for `enqueue` by which the winner's values are tried first; defaults where they do not fit."""
    return {"tag": f"winner of {own.name}", **nest(space.defaults(own.configs, values))}


def run_variants(stored: StoredStudy, trials: int, executor: RunExecutor) -> list[StoredStudy]:
    """Run the search of each variant in turn, and confirm its winner. Work that is done already is not repeated.

    The contrasts of all variants with the study are written to its ledger before anything runs.

    Args:
        stored: a search whose winner is confirmed.
        trials: scored trials of each search.
        executor: trains the trials and runs.

    Returns:
        The study itself, and the searches of its variants.

    Raises:
        ConfigError: no winner is confirmed, or the model names no ablations.
        InterruptedStudyError: the user stopped it; the same call continues from there.
        RunsMissingError: a winner could not be confirmed.
    """
    definitions = define_variants(stored, trials)
    data = stored.data(executor.settings.data)
    directory = stored.data_directory(executor.settings.data)
    workspace = Workspace(stored.storage.engine.url, stored.folder.results)
    variants = []
    for label, definition in definitions.items():
        budget = TrialBudget(trials)
        variant = open_study(definition, data, workspace, budget, directory=directory)
        variant.study.set_user_attr(LABEL, label)
        variants.append(variant)
    studies = [stored, *variants]
    name_contrasts(studies, stored.label, COMMAND)
    # As many configurations and seeds as the study's own confirmation had
    confirmed = stored.study.user_attrs[ATTRIBUTE]
    for variant in variants:
        executor.work(variant)
        confirm(variant, len(confirmed["trials"]), confirmed["seeds"], executor)
    return studies
