"""Export of a study's final configuration: train it again, test it once on the sealed rows, and write a bundle.

The bundle is read back and must score exactly as the model does before it takes its final place.
"""

import itertools
import logging
import shutil
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from optuna.trial import FrozenTrial
from torch import Tensor

from blade_tune.data import folder
from blade_tune.data.sealed import SealedData
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import SearchData
from blade_tune.errors import BladeTuneError, ConfigError, NothingToExportError
from blade_tune.export import Rule
from blade_tune.export.bundle import Bundle
from blade_tune.export.checksums import PROGRAM
from blade_tune.export.data_origin import DataOrigin
from blade_tune.export.model_card import below_untuned_on_test
from blade_tune.export.program import Program, check_program, scoring_program
from blade_tune.export.reading import load_bundle
from blade_tune.export.training_plan import member_trainings
from blade_tune.export.writing import write_bundle
from blade_tune.metrics import gains
from blade_tune.models.base import RecommenderModel
from blade_tune.selection.confirm import load_confirmation
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.ensemble_study import ENSEMBLE
from blade_tune.selection.protocol import loss_of, protocol_line, told_of
from blade_tune.selection.statistics import estimate
from blade_tune.spec.definition import max_length
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import best_trial, num_scored
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import of_pair, pair
from blade_tune.study.warm_start import warm_origin
from blade_tune.training.baselines import REFERENCE, measure
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.evaluation import Evaluation, Evaluator
from blade_tune.training.loop import Hooks, TrainingResult
from blade_tune.trial.objective import build_training
from blade_tune.trial.provenance import environment

log = logging.getLogger(__name__)

USERS_COMPARED = 256  # users on whom the bundle that was read back is compared with the model


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export."""

    out: Path  # folder of the bundle
    device: torch.device
    data_directory: Path | None = None  # folder of the data's files, if it is not the study's own
    rule: Rule | None = None  # how to choose; None: confirmed if a winner is confirmed, else best
    # Whether to train on validation rows too, for as many epochs as were best without them
    with_valid: bool = False
    on_epoch: Callable[[EpochRecord], None] = lambda _: None
    # Whether to add the file that torch alone runs, where the model allows it
    with_program: bool = False


@dataclass(frozen=True)
class Choice:
    """The trial that is exported, and the rule that chose it."""

    rule: Rule
    search_trial: int  # number of the trial in the search that had this configuration first
    source: StoredStudy  # the study of `trial`: the search, or the runs that confirmed its top
    trial: FrozenTrial
    confirmation: Confirmation | None = None  # by which it was chosen

    @property
    def expectation(self) -> dict[str, Any]:
        """What to expect of a winner for other users, for the bundle's metrics; empty where it is not known."""
        found = self.confirmation
        if found is None or found.expected is None or found.winner.trial != self.search_trial:
            return {}
        return {"expected": asdict(found.expected)}

    @property
    def facts(self) -> dict[str, Any]:
        """Plain facts of the choice for the bundle's provenance."""
        return {
            "rule": self.rule,
            "trial": self.search_trial,
            "trained_as": f"{self.source.definition.name} {self.trial.number}",
        }


def choose(stored: StoredStudy, rule: Rule | None) -> Choice:
    """Choose the trial to export.

    Of a confirmed configuration it is the run on the first of the fresh seeds, so that no seed is chosen for its luck.

    Args:
        stored: the study.
        rule: how to choose; None for `confirmed` if there is a confirmation, else `best`, with a warning.

    Raises:
        NothingToExportError: no trial has completed.
        ConfigError: the rule needs a confirmation, and there is none.
    """
    name = stored.definition.name
    best = best_trial(stored.trials)
    if best is None:
        raise NothingToExportError(f"study {name} has no completed trial; run it first.")
    confirmation = load_confirmation(stored)

    # The best trial of the search; an ensemble is the only one of its study, and was judged before
    if rule is None and confirmation is None:
        rule = "best"
        if ENSEMBLE not in TrialRecord(best).get(TrialRecord.metadata, {}):
            log.warning(
                "study=%s no winner is confirmed: trial %d is the luckiest of %d noisy ones, and its value too high "
                "on average; `blade-tune confirm --study %s` trains the top ones on fresh seeds",
                *(name, best.number, num_scored(stored.trials), name),
            )
    if rule == "best":
        return Choice("best", best.number, stored, best)

    # A confirmed configuration
    if confirmation is None:
        raise ConfigError(
            f"--rule {rule} needs a confirmation; run `blade-tune confirm --study {name}` first."
        )
    if best.number not in {candidate.trial for candidate in confirmation.candidates}:
        log.warning(
            "study=%s trial=%d is now the best of the search and was not confirmed",
            name,
            best.number,
        )
    candidate = confirmation.smallest if rule == "1se" else confirmation.winner
    runs = confirmation.runs
    run_on_first_seed = runs.trials[candidate.runs[0]]
    return Choice(rule or "confirmed", candidate.trial, runs, run_on_first_seed, confirmation)


def export_best(stored: StoredStudy, options: ExportOptions) -> dict[str, Any]:
    """Train the chosen configuration again, test it once, and write the bundle.

    Returns:
        The facts of the choice, the bundle's metrics, and `warning`, None unless an untuned baseline is better.

    Raises:
        NothingToExportError: no trial has completed.
        ConfigError: before training: the bundle cannot be written to its folder, or the rule needs a confirmation.
        StudyDiffersError: the data is not what the study was run on.
        BladeTuneError: the bundle, read back, does not score as the model does.
    """
    # All that may be refused is refused before training and before the test rows are opened
    choice = choose(stored, options.rule)
    if options.with_valid and stored.definition.members:
        raise ConfigError(
            "--with-valid: the members of a combination were fitted before, to train rows."
        )
    out = options.out.resolve()
    folder.check_place(out, "provenance.json")

    # Train again on train rows
    data = stored.data(options.data_directory)
    model, result = retrain(choice, data, options)
    _report_difference(choice, result, options)

    # Test once on the sealed rows
    seed = TrialRecord(choice.trial).seed
    entry = {"trial": choice.search_trial, "seed": seed, "command": "export-best"}
    sealed = stored.open_test(data, options.data_directory, entry)
    evaluation, test_metrics = test(model, sealed, stored.definition.objective, options.device)

    # Write the bundle
    valid = {"valid": None if options.with_valid else result.metrics}
    origin = DataOrigin.of(data, stored.data_directory(options.data_directory))
    program = made_program(model, asked=options.with_program)
    bundle = Bundle(
        model_name=stored.definition.model,
        values=choice.source.values(choice.trial),
        members=choice.source.definition.member_models,
        catalog=data.catalog,
        weights=result.weights,
        log=origin.log,
        formats=origin.several,
        user_ids_U=origin.users,
        item_ids_V=origin.items,
        metrics={**choice.expectation, **valid, **test_metrics},
        ranks_U=evaluation.ranks_U,
        provenance=_provenance(stored, choice, options, sealed, result.best_epoch)
        | {"data": dict(origin.facts), "program": program.facts if program else None},
        program=program.content if program else b"",
    )
    with folder.writing(out):
        publish(bundle, model, sealed, out)

    warning = below_untuned_on_test(bundle.metrics)
    if warning:
        log.warning("study=%s %s", stored.definition.name, warning)
    return {**choice.facts, **bundle.metrics, "warning": warning or None}


def _provenance(
    stored: StoredStudy,
    choice: Choice,
    options: ExportOptions,
    sealed: SealedData,
    best_epoch: int,
) -> dict[str, Any]:
    """Return the content of a bundle's provenance.json, but for what is known of the data."""
    definition, data, opening = stored.definition, sealed.search, sealed.opening
    members = [f"{member.study}:{member.trial}" for member in definition.settled_members]
    trials = stored.trials
    warm = dict(warm_origin(trials, trials[choice.search_trial]))
    warm.pop("stored", None)  # a place on this machine
    metadata = TrialRecord(choice.trial).get(TrialRecord.metadata, {})
    return {
        "study": definition.name,
        "members": members,
        "member_trainings": member_trainings(stored),
        "ensemble": metadata.get(ENSEMBLE),
        **choice.facts,
        "warm_start": warm or None,
        "epochs": None if choice.source.definition.is_fitted else best_epoch,
        "with_valid": options.with_valid,
        "study_seed": definition.search.seed,
        "training_seed": TrialRecord(choice.trial).seed,
        "protocol": _protocol(stored, choice),
        "ledger": {"lines": opening.lines, "hash": opening.hash} if opening else None,
        "data_hash": data.data_hash,
        "sealed_hash": sealed.data_hash,
        "fingerprint": stored.study.user_attrs["fingerprint"],
        **environment(options.device),
    }


def _protocol(stored: StoredStudy, choice: Choice) -> str:
    """Return the line of the protocol; a trial that nothing confirmed has no fresh seeds."""
    loss = loss_of(stored.definition, choice.source.values(choice.trial))
    num_seeds = len(choice.confirmation.seeds) if choice.confirmation else 0
    return protocol_line([stored], [loss], num_seeds)


def retrain(
    choice: Choice, data: SearchData, options: ExportOptions
) -> tuple[RecommenderModel, TrainingResult]:
    """Train the chosen configuration again with its seed up to its best epoch.

    Returns:
        The model with its best weights in evaluation mode, and the result of the training.
    """
    definition, trial = choice.source.definition, choice.trial
    values, record = choice.source.values(trial), TrialRecord(trial)
    if not definition.is_fitted:
        values["train.max_epochs"] = record.best_epoch
    if options.with_valid and not definition.is_fitted:
        # Evaluate at the end only, for no rows are left to choose an epoch by.
        values["train.eval_every"] = record.best_epoch
    make = DeviceData.with_valid_rows if options.with_valid else DeviceData.for_search
    device_data = make(data, max_length(definition, values), definition.objective, options.device)
    # The trial's number of threads, for the last bits of sums on a CPU depend on it
    threads = record.get(TrialRecord.threads)
    training = build_training(definition, values, data, device_data, record.seed, threads)
    result = training.run(Hooks(device_data.evaluator, options.on_epoch))
    training.model.load_state_dict(result.weights)
    return training.model.eval(), result


def test(
    model: RecommenderModel, sealed: SealedData, objective: EvaluationConfig, device: torch.device
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate a model on the test rows under the study's protocol and, for the record, under every other one.

    Returns:
        The evaluation under the study's protocol, and metrics for the bundle, among them `test`, `protocols`,
        `baselines`, `verdict` (on the study's metric, None without the reference baseline), `test_users` and
        `unhittable` (users whose item is excluded from the ranking, a miss by construction).
    """
    # Under the study's protocol
    windows, rows_U = sealed.windows(model.max_length).to(device), rows_with(sealed.test)
    catalog = sealed.search.catalog
    evaluator = Evaluator(windows, rows_U, catalog, objective)
    evaluation = evaluator(model)
    intervals = {name: _interval(evaluation.ranks_U, name) for name in evaluation.metrics}

    # Under every protocol
    protocols = []
    for exclude, target_set in itertools.product(_choices("exclude"), _choices("target_set")):
        other = objective.model_copy(update={"exclude": exclude, "target_set": target_set})
        figures = Evaluator(windows, rows_U, catalog, other)(model).metrics
        protocols.append({"exclude": exclude, "target_set": target_set, **figures})

    # Untuned baselines on the same rows
    baselines = measure(evaluator, sealed.search.train, catalog)
    verdict = None
    if REFERENCE in baselines.ranks:
        verdict = of_pair(
            pair(evaluation.ranks_U.numpy(), baselines.ranks[REFERENCE], objective.metric)
        )
    return evaluation, {
        "test": evaluation.metrics,
        "test_intervals": intervals,
        "test_users": len(rows_U),
        "unhittable": int((evaluation.ranks_U > catalog.num_items).sum()),
        "told_target_set": model.told_target_set,
        "target_set": objective.target_set,
        "told": told_of(objective.target_set, catalog) if model.told_target_set else None,
        "baselines": baselines.metrics,
        "metric": objective.metric,
        "verdict": verdict.facts if verdict else None,
        "protocols": protocols,
    }


def _interval(ranks_U: Tensor, metric: str) -> list[float | None]:
    """Return the ends of the confidence interval of a metric's mean over users; None without users."""
    if not len(ranks_U):
        return [None, None]
    mean = estimate(gains(ranks_U, metric).tolist())
    return [mean.low, mean.high]


def _choices(field: str) -> tuple[str, ...]:
    return get_args(EvaluationConfig.model_fields[field].annotation)


def _report_difference(choice: Choice, result: TrainingResult, options: ExportOptions) -> None:
    """Log a warning if the repeated training had another result, as another machine, thread count or device may."""
    trial = choice.trial
    again = result.metrics[choice.source.definition.objective.metric]
    if not options.with_valid and again != trial.value:
        log.warning(
            "trial=%d value=%.6f retrained=%.6f: not reproduced exactly",
            trial.number,
            trial.value,
            again,
        )


def made_program(model: RecommenderModel, *, asked: bool) -> Program | None:
    """Return a model's scores as a program, with a warning where the model does not allow one; None if not asked."""
    if not asked:
        return None
    program = scoring_program(model)
    if not program.content:
        log.warning("the model allows no %s, so the bundle has none: %s", PROGRAM, program.reason)
    return program


def publish(bundle: Bundle, model: RecommenderModel, sealed: SealedData, out: Path) -> None:
    """Write a bundle to a temporary folder, read it back, compare its scores with the model's, then rename it.

    Raises:
        BladeTuneError: the scores differ.
        OSError: the folder cannot be written; what was there stays.
    """
    # Another process may export to the same place
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    try:
        write_bundle(bundle, temporary)
        first_users = torch.arange(min(USERS_COMPARED, sealed.search.num_users))
        batch = sealed.windows(model.max_length).rows(first_users)
        with torch.inference_mode():
            read_back_BV = load_bundle(temporary).model.scores(batch)
            scores_BV = model.cpu().scores(batch)
        if not torch.equal(read_back_BV, scores_BV):
            raise BladeTuneError(
                "the bundle, read back, gives other scores than the model; nothing is exported."
            )
        if bundle.program:
            check_program(temporary / PROGRAM, batch, scores_BV)
        folder.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
