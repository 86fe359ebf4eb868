"""Test figures of finished runs: each is ranked on the sealed rows once, with a line in the ledger of its search."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from optuna.trial import FrozenTrial
from torch import Tensor

from blade_tune.data.sequences import rows_with
from blade_tune.errors import DamagedFileError, RunsMissingError
from blade_tune.selection.confirmation import Confirmation
from blade_tune.storage.folder import TrialFolder
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from blade_tune.training.baselines import REFERENCE, measure
from blade_tune.training.evaluation import Evaluator
from blade_tune.trial.files import read_test, read_weights, write_test
from blade_tune.trial.model import build_study_model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opening:
    """Who opens the test rows, and with what."""

    command: str
    device: torch.device
    data_directory: Path | None


def test_runs(stored: StoredStudy, confirmation: Confirmation, opening: Opening) -> None:
    """Rank the test rows with each run of a search's confirmed winner, but for those that were ranked before.

    A run was ranked before where it has test figures and the ledger has a line of it.

    Writes test.json, test_ranks.npy and test_baseline_ranks.npy beside a run's weights.

    Raises:
        RunsMissingError: a run's weights are not here.
        DataError: the ledger is broken, or the data has changed.
    """
    study, data = confirmation.runs, stored.data(opening.data_directory)
    for run in confirmation.winning_runs:
        folder = study.files(run)
        if _is_tested(folder) and _is_written_down(stored, study, run):
            continue
        weights = _weights(study, run)
        model = build_study_model(study.definition, study.values(run), data.catalog, f"run {run.number}")
        model.load_state_dict(weights)
        entry = {"trial": run.number, "of": study.definition.name, "seed": TrialRecord(run).seed}
        sealed = stored.open_test(data, opening.data_directory, {**entry, "command": opening.command})
        windows = sealed.windows(model.max_length).to(opening.device)
        rows_U = rows_with(sealed.test)
        evaluator = Evaluator(windows, rows_U, data.catalog, study.definition.objective)
        evaluation, baselines = evaluator(model.to(opening.device)), measure(evaluator, data.train, data.catalog)
        ranks = {folder.test_ranks: np.stack((rows_U.numpy() + 1, evaluation.ranks_U.numpy()))}
        if REFERENCE in baselines.ranks:
            ranks[folder.test_baseline_ranks] = baselines.ranks[REFERENCE].numpy()
        facts = {"sealed_hash": sealed.data_hash, "baselines": baselines.metrics, **evaluation.metrics}
        write_test(folder, facts, ranks)


def _is_tested(folder: TrialFolder) -> bool:
    """Whether a run's test figures are there; damaged ones are taken again, with a warning."""
    if not folder.test.exists():
        return False
    try:
        read_test(folder)
    except DamagedFileError as error:
        log.warning("%s This is done now.", error)
        return False
    return True


def _is_written_down(stored: StoredStudy, study: StoredStudy, run: FrozenTrial) -> bool:
    """Whether the ledger of a search says that a run of its study of runs was ranked: no figure is shown without."""
    line = {"trial": run.number, "of": study.definition.name, "seed": TrialRecord(run).seed}
    return any(line.items() <= entry.items() for entry in stored.ledger.entries())


def _weights(study: StoredStudy, run: FrozenTrial) -> dict[str, Tensor]:
    path = study.files(run).weights
    again = f"`blade-tune reproduce --study {study.definition.name} --trial {run.number}` makes them again."
    if not path.exists():
        raise RunsMissingError(f"{path}: the weights of run {run.number} must be here to be tested; {again}")
    try:
        return read_weights(study.files(run))
    except DamagedFileError as error:
        raise RunsMissingError(f"{error} {again}") from None
