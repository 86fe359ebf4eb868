"""Export of an ensemble of confirmed runs as one bundle, by way of a study of its own."""

from dataclasses import replace
from typing import Any

from blade_tune.export.final import ExportOptions, export_best
from blade_tune.selection.ensemble import Ensemble
from blade_tune.selection.ensemble_study import store_ensemble
from blade_tune.selection.runs import RunExecutor


def export_ensemble(
    ensemble: Ensemble, name: str, executor: RunExecutor, options: ExportOptions
) -> dict[str, Any]:
    """Store a taken ensemble as a study, test it once on the sealed rows, and write its bundle.

    Args:
        ensemble: the ensemble.
        name: name of its study, see `store_ensemble`.
        executor: evaluates its trial.
        options: of the export; the rule is always `best`, of the study's one trial.

    Returns:
        What `export_best` returns, and the name of the study as `study`.

    Raises:
        NothingToExportError: the ensemble is not taken.
        BladeTuneError: what `store_ensemble` and `export_best` raise.
    """
    stored = store_ensemble(ensemble, name, executor)
    return {"study": stored.definition.name, **export_best(stored, replace(options, rule="best"))}
