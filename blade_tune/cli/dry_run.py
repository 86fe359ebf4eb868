"""Option `--dry-run`: prints what would be run, and where every value comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blade_tune.cli.output import print_rows
from blade_tune.fleet.devices import assign
from blade_tune.fleet.precedence import Resolved
from blade_tune.report.plan import (
    definition_rows,
    run_rows,
    settle_budget,
    stored_rows,
    warm_rows,
)
from blade_tune.spec.catalog import StudySource
from blade_tune.spec.definition import StudyDefinition
from blade_tune.study.create import TrialBudget
from blade_tune.study.warm_start import WarmSource


@dataclass(frozen=True)
class Asked:
    """What a run is asked for beside its study and its settings."""

    total: TrialBudget
    warm: Sequence[WarmSource] = ()
    launcher: str | None = None  # the cluster that would place the workers; None for this machine


def print_plan(
    source: StudySource,
    definition: StudyDefinition,
    resolved: Resolved,
    asked: Asked,
    flags: Mapping[str, Any],
    form: str,
) -> None:
    """Print every value of a run with its origin, without starting, preparing or writing anything.

    Args:
        source: the study's file.
        definition: the study as it would be run.
        resolved: the settings of the run.
        asked: what else is asked for.
        flags: model, recipe, epochs, seed, sampler and pruner as typed, or None.
        form: "json", or any other for a table.
    """
    settings = resolved.settings
    stored = settings.workspace.find(definition.name)
    budget = settle_budget(resolved, definition, asked.total, stored)
    places = [] if asked.launcher else assign(settings)
    # With --per-gpu auto, how many workers share a GPU is only measured by the run
    shown_places = [] if settings.per_gpu == "auto" else places
    rows = run_rows(resolved, shown_places, budget, stored)
    rows += definition_rows(definition, source, flags)
    rows += warm_rows(definition, asked.warm, budget[0], stored)
    print_rows(rows + stored_rows(definition, stored), "json" if form == "json" else "table")
