"""Option `--dry-run`: prints what would be run, and where every value comes from."""

from collections.abc import Mapping
from typing import Any

from blade_tune.cli.output import print_rows
from blade_tune.fleet.devices import assign
from blade_tune.fleet.precedence import Resolved
from blade_tune.report.plan import definition_rows, run_rows, settle_budget, stored_rows
from blade_tune.spec.catalog import StudySource
from blade_tune.spec.definition import StudyDefinition
from blade_tune.study.create import TrialBudget


def print_plan(
    source: StudySource,
    definition: StudyDefinition,
    resolved: Resolved,
    total: TrialBudget,
    flags: Mapping[str, Any],
    launcher: str | None,
) -> None:
    """Print every value of a run with its origin, without starting, preparing or writing anything.

    Args:
        source: the study's file.
        definition: the study as it would be run.
        resolved: the settings of the run.
        total: how many trials are asked for.
        flags: model, recipe, epochs, seed, sampler and pruner as typed, or None.
        launcher: the cluster that would place the workers; None for this machine.
    """
    settings = resolved.settings
    stored = settings.workspace.find(definition.name)
    budget = settle_budget(resolved, definition, total, stored)
    places = [] if launcher else assign(settings)
    # With --per-gpu auto, how many workers share a GPU is only measured by the run
    shown_places = [] if settings.per_gpu == "auto" else places
    rows = run_rows(resolved, shown_places, budget, stored)
    rows += definition_rows(definition, source, flags)
    print_rows(rows + stored_rows(definition, stored), "table")
