"""Test figures of finished runs: each is ranked on the sealed rows once, with a line in the ledger of its search."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from safetensors.torch import load_file

from blade_tune.data.sequences import rows_with
from blade_tune.errors import RunsMissingError
from blade_tune.models.build import build_model
from blade_tune.selection.runs import find_runs
from blade_tune.space import nest
from blade_tune.study.folder import write_text
from blade_tune.study.stored import StoredStudy
from blade_tune.training.baselines import REFERENCE, measure
from blade_tune.training.evaluation import Evaluator


@dataclass(frozen=True)
class Opening:
    """Who opens the test rows, and with what."""

    command: str
    device: torch.device
    data_directory: Path | None


def test_runs(stored: StoredStudy, runs: Sequence[FrozenTrial], opening: Opening) -> None:
    """Rank the test rows with each of these runs of a search's study of runs, but for those that were ranked before.

    A run was ranked before where it has test figures and the ledger has a line of it.

    Writes test.json, test_ranks.npy and test_baseline_ranks.npy beside a run's weights.

    Raises:
        RunsMissingError: a run's weights are not here.
        DataError: the ledger is broken, or the data has changed.
    """
    study = find_runs(stored)
    assert study is not None, "runs have a study"  # noqa: S101 - for the type checker
    data = stored.data(opening.data_directory)
    for run in runs:
        folder = study.files(run)
        if folder.test.exists() and _is_written_down(stored, study, run):
            continue
        if not folder.weights.exists():
            raise RunsMissingError(f"{folder.weights}: the weights of run {run.number} must be here to be tested.")
        settings = nest(study.values(run)).get("model", {})
        place, members = f"run {run.number}", study.definition.member_models
        model = build_model(study.definition.model, settings, data.catalog, place, members)
        model.load_state_dict(load_file(folder.weights))
        entry = {"trial": run.number, "of": study.definition.name, "seed": run.user_attrs["seed"]}
        sealed = stored.open_test(data, opening.data_directory, {**entry, "command": opening.command})
        windows = sealed.windows(model.max_length).to(opening.device)
        rows_U = rows_with(sealed.test)
        evaluator = Evaluator(windows, rows_U, data.catalog, study.definition.objective)
        evaluation, baselines = evaluator(model.to(opening.device)), measure(evaluator, data.train, data.catalog)
        if REFERENCE in baselines.ranks:
            _save(folder.test_baseline_ranks, baselines.ranks[REFERENCE].numpy())
        _save(folder.test_ranks, np.stack((rows_U.numpy() + 1, evaluation.ranks_U.numpy())))
        facts = {"sealed_hash": sealed.data_hash, "baselines": baselines.metrics, **evaluation.metrics}
        write_text(folder.test, json.dumps(facts) + "\n")


def _is_written_down(stored: StoredStudy, study: StoredStudy, run: FrozenTrial) -> bool:
    """Whether the ledger of a search says that a run of its study of runs was ranked: no figure is shown without."""
    line = {"trial": run.number, "of": study.definition.name, "seed": run.user_attrs["seed"]}
    return any(line.items() <= entry.items() for entry in stored.ledger.entries())


def _save(path: Path, ranks: NDArray[Any]) -> None:
    np.save(path, ranks.astype(np.int32))
