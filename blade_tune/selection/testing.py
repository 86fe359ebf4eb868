"""Test figures of finished runs: each is ranked on the sealed rows once, with a line in the ledger of its search."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from optuna.trial import FrozenTrial
from safetensors.torch import load_file

from blade_tune.config import parse
from blade_tune.data.sequences import rows_with
from blade_tune.errors import RunsMissingError
from blade_tune.models import MODELS
from blade_tune.registry import load
from blade_tune.selection.runs import find_runs
from blade_tune.space import nest
from blade_tune.study.folder import write_text
from blade_tune.study.stored import StoredStudy
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.floors import measure_floors


@dataclass(frozen=True)
class Opening:
    """Who opens the test rows, and with what."""

    command: str
    device: torch.device
    data_directory: Path | None


def test_runs(stored: StoredStudy, runs: Sequence[FrozenTrial], opening: Opening) -> None:
    """Rank the test rows with each of these runs of a search's study of runs, but for those that were ranked before.

    Writes test.json and test_ranks.npy beside a run's weights.

    Raises:
        RunsMissingError: a run's weights are not here.
        DataError: the ledger is broken, or the data has changed.
    """
    study = find_runs(stored)
    assert study is not None, "runs have a study"  # noqa: S101 - for the type checker
    data = stored.data(opening.data_directory)
    for run in runs:
        folder = study.files(run)
        if folder.test.exists():
            continue
        if not folder.weights.exists():
            raise RunsMissingError(f"{folder.weights}: the weights of run {run.number} must be here to be tested.")
        config = nest(study.values(run)).get("model", {})
        model_class = load(MODELS, "model", study.definition.model)
        model = model_class(parse(model_class.Config, config, f"run {run.number}: model"), data.catalog)
        model.load_state_dict(load_file(folder.weights))
        entry = {"trial": run.number, "of": study.definition.name, "seed": run.user_attrs["seed"]}
        sealed = stored.open_test(data, opening.data_directory, {**entry, "command": opening.command})
        windows = sealed.windows(model.max_length).to(opening.device)
        rows_U = rows_with(sealed.test)
        evaluator = Evaluator(windows, rows_U, data.catalog, study.definition.objective)
        evaluation, floors = evaluator(model.to(opening.device)), measure_floors(evaluator, data.train, data.catalog)
        np.save(folder.test_ranks, np.stack((rows_U.numpy() + 1, evaluation.ranks_U.numpy())).astype(np.int32))
        write_text(
            folder.test, json.dumps({"sealed_hash": sealed.data_hash, "floors": floors, **evaluation.metrics}) + "\n"
        )
