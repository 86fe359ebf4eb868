"""From a study's best trial to a bundle: train anew, open the sealed test rows once, write, read back, compare."""

import itertools
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from optuna.trial import FrozenTrial

from blade_tune.data.sealed import Ledger, SealedData, open_for_evaluation
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import SearchData
from blade_tune.errors import BladeTuneError, NothingToExportError
from blade_tune.export.bundle import Bundle, check_place, load_model, replace_folder, write_bundle, writing
from blade_tune.export.provenance import environment, now
from blade_tune.models.base import Recommender
from blade_tune.parameter import Value
from blade_tune.study.objective import build_training, max_length
from blade_tune.study.stored import StoredStudy
from blade_tune.study.trials import best_trial
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.evaluation import Evaluation, Evaluator
from blade_tune.training.floors import popularity_floors
from blade_tune.training.loop import EpochRecord, Hooks, Outcome

log = logging.getLogger(__name__)

USERS_COMPARED = 256


@dataclass(frozen=True)
class ExportOptions:
    """How the final model is made."""

    out: Path
    device: torch.device
    data_directory: Path | None = None
    with_valid: bool = False  # train on validation rows too, for the best epoch count
    on_epoch: Callable[[EpochRecord], None] = lambda _: None


def export_best(stored: StoredStudy, options: ExportOptions) -> dict[str, Any]:
    """Retrain the best trial's configuration, test it once, write the bundle; gives its metrics.

    Raises:
        NothingToExportError: no trial has completed.
        ConfigError: the bundle cannot be put where it shall go; nothing was trained or opened.
        StudyDiffersError: the data is not what the study was run on.
        BladeTuneError: the written bundle does not score as the model does.
    """
    trial = best_trial(stored.trials)
    if trial is None:
        raise NothingToExportError(f"study {stored.definition.name} has no completed trial; run it first.")
    out = options.out.resolve()
    check_place(out)
    data = stored.data(options.data_directory)
    values = stored.definition.space.values(trial.params)
    model, outcome = retrain(stored, trial, data, options)
    _report_difference(trial, outcome, stored, options)

    directory = stored.data_directory(options.data_directory)
    seed = trial.user_attrs["seed"]
    opening = {"study": stored.definition.name, "trial": trial.number, "seed": seed, "when": now()}
    ledger = Ledger(stored.folder.ledger)
    sealed = open_for_evaluation(data, directory, ledger, {**opening, "command": "export-best"})
    evaluation, metrics = test(model, sealed, stored.definition.objective, options.device)

    bundle = Bundle(
        model_name=stored.definition.model,
        values=values,
        catalog=data.catalog,
        weights=outcome.weights,
        user_ids_U=data.user_ids_U,
        item_ids_V=data.item_ids_V,
        metrics={"valid": None if options.with_valid else outcome.metrics, **metrics},
        ranks_U=evaluation.ranks_U,
        provenance={
            "study": stored.definition.name,
            "trial": trial.number,
            "epochs": outcome.best_epoch,
            "with_valid": options.with_valid,
            "study_seed": stored.definition.search.seed,
            "training_seed": seed,
            "data_hash": data.data_hash,
            "sealed_hash": sealed.data_hash,
            "fingerprint": stored.study.user_attrs["fingerprint"],
            **environment(options.device),
        },
    )
    with writing(out):
        _publish(bundle, model, sealed, out)
    return dict(bundle.metrics)


def retrain(
    stored: StoredStudy, trial: FrozenTrial, data: SearchData, options: ExportOptions
) -> tuple[Recommender, Outcome]:
    """Train the trial's configuration again, with its seed, up to its best epoch."""
    values: dict[str, Value] = dict(stored.definition.space.values(trial.params))
    values["train.max_epochs"] = trial.user_attrs["best_epoch"]
    make = DeviceData.for_search
    if options.with_valid:
        make = DeviceData.with_valid_rows
        values["train.eval_every"] = trial.user_attrs["best_epoch"]  # nothing is left to choose an epoch by
    length = max_length(stored.definition, values)
    windows = make(data, length, stored.definition.objective, options.device)
    seed, threads = trial.user_attrs["seed"], trial.user_attrs.get("threads")
    training = build_training(stored.definition, values, data, windows, seed, threads)
    outcome = training.run(Hooks(windows.evaluator, options.on_epoch))
    training.model.load_state_dict(outcome.weights)
    return training.model.eval(), outcome


def test(
    model: Recommender, sealed: SealedData, objective: EvaluationConfig, device: torch.device
) -> tuple[Evaluation, dict[str, Any]]:
    """Rank the test rows under the study's protocol, and, for the record, under every other one.

    Gives the study's evaluation, and `test`, `protocols`, `floors`, `test_users` and `unhittable` (users whose item is
    excluded, a miss by construction).
    """
    windows, rows_U = sealed.windows(model.max_length).to(device), rows_with(sealed.test)
    catalog = sealed.search.catalog
    evaluator = Evaluator(windows, rows_U, catalog, objective)
    evaluation = evaluator(model)
    protocols = []
    for exclude, target_set in itertools.product(_choices("exclude"), _choices("target_set")):
        other = objective.model_copy(update={"exclude": exclude, "target_set": target_set})
        figures = Evaluator(windows, rows_U, catalog, other)(model).metrics
        protocols.append({"exclude": exclude, "target_set": target_set, **figures})
    floors = popularity_floors(sealed.search.train, catalog.num_items, catalog.auxiliary)
    return evaluation, {
        "test": evaluation.metrics,
        "test_users": len(rows_U),
        "unhittable": int((evaluation.ranks_U > catalog.num_items).sum()),
        "told_target_set": model.told_target_set,
        "floors": {name: evaluator.measure(floor).metrics for name, floor in floors.items()},
        "protocols": protocols,
    }


def _choices(field: str) -> tuple[str, ...]:
    return get_args(EvaluationConfig.model_fields[field].annotation)


def _report_difference(trial: FrozenTrial, outcome: Outcome, stored: StoredStudy, options: ExportOptions) -> None:
    """Say so where training again gave another validation figure (another machine, threads or device may)."""
    again = outcome.metrics[stored.definition.objective.metric]
    if not options.with_valid and again != trial.value:
        log.warning("trial=%d value=%.6f retrained=%.6f: not reproduced exactly", trial.number, trial.value, again)


def _publish(bundle: Bundle, model: Recommender, sealed: SealedData, out: Path) -> None:
    """Write beside the final place, load back, compare scores, then move."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        write_bundle(bundle, temporary)
        batch = sealed.windows(model.max_length).rows(torch.arange(min(USERS_COMPARED, sealed.search.num_users)))
        with torch.inference_mode():
            same = torch.equal(load_model(temporary).scores(batch), model.cpu().scores(batch))
        if not same:
            raise BladeTuneError("the bundle, read back, gives other scores than the model; nothing is exported.")
        replace_folder(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
