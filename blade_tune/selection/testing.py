"""Evaluation of a confirmed winner's runs on the sealed test rows, once per run, recorded in the search's ledger.

The ledger shows how often the test rows were looked at. A line is written to it each time that they are opened, and no
test figure is shown without one.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import FrozenTrial

from blade_tune.catalog import Catalog
from blade_tune.errors import DamagedFileError, RunsMissingError
from blade_tune.selection.confirmation import Confirmation
from blade_tune.storage.folder import TrialFolder
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from blade_tune.training.baselines import REFERENCE, measure
from blade_tune.trial.files import read_test, read_weights, write_test

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from blade_tune.models.base import RecommenderModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opening:
    """The circumstances in which the test rows are opened."""

    command: str  # the command line, for the ledger
    device: "torch.device"  # where models rank
    # The folder of the data on this machine; None for the one that the study remembers.
    data_directory: Path | None


def test_runs(stored: StoredStudy, confirmation: Confirmation, opening: Opening) -> None:
    """Rank the test rows with each run of a search's confirmed winner, as `open_for` does."""
    open_for(stored, confirmation.runs, confirmation.winning_runs, opening)


def are_tested(stored: StoredStudy, confirmation: Confirmation) -> bool:
    """Return whether every run of a search's confirmed winner was tested before, so that `test_runs` opens nothing."""
    study = confirmation.runs
    return all(
        is_tested(study.files(run)) and is_written_down(stored, ledger_entry(study, run))
        for run in confirmation.winning_runs
    )


def open_for(
    stored: StoredStudy, study: StoredStudy, runs: Sequence[FrozenTrial], opening: Opening
) -> None:
    """Rank the test rows with runs of a search, except for runs that were tested before.

    A run was tested before if it has undamaged test figures and the ledger has a line for it. For each other run, the
    files test.json, test_ranks.npy and test_baseline_ranks.npy are written into its folder.

    Args:
        stored: the search, whose ledger gets a line for each run.
        study: the search's study of runs.
        runs: the runs, which are trials of that study.
        opening: the command, the device and the data folder.

    Raises:
        RunsMissingError: a run's weights are missing in this results folder, or damaged.
        DataError: the ledger is broken, or the data has changed.
    """
    from blade_tune.data.sequences import rows_with  # these load torch, which reports do not need
    from blade_tune.training.evaluation import Evaluator

    data = stored.data(opening.data_directory)
    for run in runs:
        folder = study.files(run)
        if is_tested(folder) and is_written_down(stored, ledger_entry(study, run)):
            continue
        # The model, before the rows are opened, so that a missing file costs no line in the ledger
        model = trained_model(study, run, data.catalog)
        # The rows, and a line in the ledger
        entry = {**ledger_entry(study, run), "command": opening.command}
        sealed = stored.open_test(data, opening.data_directory, entry)
        # The ranks, of the model and of the baselines
        windows = sealed.windows(model.max_length).to(opening.device)
        rows_U = rows_with(sealed.test)
        evaluator = Evaluator(windows, rows_U, data.catalog, study.definition.objective)
        evaluation = evaluator(model.to(opening.device))
        baselines = measure(evaluator, data.train, data.catalog)
        # Their files
        users_U = rows_U.numpy() + 1  # rows count from 0, users from 1
        ranks = {folder.test_ranks: np.stack((users_U, evaluation.ranks_U.numpy()))}
        if REFERENCE in baselines.ranks:
            ranks[folder.test_baseline_ranks] = baselines.ranks[REFERENCE]
        facts = {
            "sealed_hash": sealed.data_hash,
            "baselines": baselines.metrics,
            **evaluation.metrics,
        }
        write_test(folder, facts, ranks)


def is_tested(folder: TrialFolder) -> bool:
    """Return whether a run has undamaged test figures; damaged ones are logged as a warning, and computed again."""
    if not folder.test.exists():
        return False
    try:
        read_test(folder)
    except DamagedFileError as error:
        log.warning("%s This is done now.", error)
        return False
    return True


def is_written_down(stored: StoredStudy, line: Mapping[str, Any]) -> bool:
    """Return whether the ledger of a search has a line with these facts.

    A line with a `target_set` is that of an evaluation under another one than the study's, and stands for no other.
    """
    told = line.get("target_set")
    entries = stored.ledger.entries()
    return any(
        line.items() <= entry.items() and entry.get("target_set") == told for entry in entries
    )


def ledger_entry(study: StoredStudy, run: FrozenTrial) -> dict[str, Any]:
    """Return what the ledger of a search says of a run."""
    return {"trial": run.number, "of": study.definition.name, "seed": TrialRecord(run).seed}


def trained_model(study: StoredStudy, run: FrozenTrial, catalog: Catalog) -> "RecommenderModel":
    """Return the model that a run has trained.

    Raises:
        RunsMissingError: its weights are missing or damaged.
    """
    from blade_tune.trial.model import build_study_model  # loads torch, which reports do not need

    weights = _weights(study, run)
    values = study.values(run)
    model = build_study_model(study.definition, values, catalog, f"run {run.number}")
    model.load_state_dict(weights)
    return model


def _weights(study: StoredStudy, run: FrozenTrial) -> "dict[str, Tensor]":
    """Return a run's weights.

    Raises:
        RunsMissingError: they are missing or damaged; the message says how to make them again.
    """
    path = study.files(run).weights
    again = f"`blade-tune reproduce {run.number} --study {study.definition.name}` makes them again."
    if not path.exists():
        raise RunsMissingError(
            f"{path}: the weights of run {run.number} must be here to be tested; {again}"
        )
    try:
        return read_weights(study.files(run))
    except DamagedFileError as error:
        raise RunsMissingError(f"{error} {again}") from None
