"""Training of a bundle's model again on newer rows, its comparison with the model of before, and the next bundle.

The bundle alone says how: no study and no database is needed. It is never written to.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from blade_tune.data import folder
from blade_tune.data.raw.prepare import OnStep
from blade_tune.data.sealed import SealedData, open_for_evaluation
from blade_tune.errors import ConfigError, DataError
from blade_tune.export import JudgedOn
from blade_tune.export.against_earlier import Outcome, against_earlier
from blade_tune.export.bundle import Bundle
from blade_tune.export.checksums import PROGRAM
from blade_tune.export.earlier_bundle import EarlierBundle
from blade_tune.export.earlier_ranks import NewestRows
from blade_tune.export.final import made_program, publish, test
from blade_tune.export.model_card import below_untuned_on_test
from blade_tune.export.newer_data import NewerData, appended, newer_data
from blade_tune.export.retrain_ledger import ledger_beside
from blade_tune.export.training_plan import Ground, TrainingPlan
from blade_tune.models.base import RecommenderModel
from blade_tune.models.build import build_model
from blade_tune.models.combination import Combination
from blade_tune.space import nest
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.fitting import Fitting
from blade_tune.training.loop import Hooks, TrainingResult
from blade_tune.trial.provenance import environment, now

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetrainOptions:
    """Options of a retraining."""

    bundle: Path
    out: Path  # folder of the next bundle, which must not exist or be empty
    device: torch.device
    results: Path  # the folder in which prepared data is kept
    data: Path | None = None  # the folder of a prepared split of newer rows
    sources: Sequence[Path] = ()  # or logs of newer rows, to be added to the bundle's
    judged_on: JudgedOn = "valid"
    if_better: bool = False  # whether the next bundle is written only where its model is better
    on_step: OnStep = lambda *_: None
    on_epoch: Callable[[EpochRecord], None] = lambda _: None

    @property
    def place(self) -> Path:
        """The folder to write, without links."""
        return self.out.resolve()


@dataclass(frozen=True)
class Retrained:
    """What became of a retraining."""

    comparison: Mapping[str, Any]  # of the new model with the one of before
    outcome: Outcome
    bundle: Path | None  # the folder that was written, if any
    is_same_data: bool  # whether the rows are those of the bundle of before


def retrain_bundle(options: RetrainOptions) -> Retrained:
    """Train a bundle's model on newer rows, compare it with the one of before, and write the next bundle.

    Raises:
        ConfigError: before any training: a folder cannot be written, or the bundle does not say what is needed.
        DataError: before any training: the bundle is damaged, or the rows do not go with it.
        NonFiniteError: a loss or a score became NaN or infinite.
    """
    # All that may be refused is refused before training
    options.on_step(f"reading {options.bundle}", lambda: 0.0)
    _check_place(options)
    bundle = EarlierBundle.read(options.bundle)
    plans = [bundle.plan, *(bundle.member_plans if bundle.is_combination else [])]
    if bundle.with_valid and options.judged_on == "valid":
        raise ConfigError(
            f"{options.bundle}: was trained on validation rows too (--with-valid), which can then judge neither model; "
            "give --judge-on test."
        )
    ledger_beside(options.place.parent).entries()
    newer = _newer(bundle, options)

    # Train
    ground = Ground(
        newer.data, bundle.objective, options.device, bundle.with_valid, options.on_epoch
    )
    model, result = _train(bundle, plans, ground, options)

    # Compare, and decide; test rows are opened once at most
    sealed = _open(bundle, newer, options) if options.judged_on == "test" else None
    options.on_step("comparing with the model of before", lambda: 0.0)
    rows = _newest(newer, sealed, ground)
    compared = against_earlier(model, bundle, rows, newer.origin, options.judged_on)
    facts, outcome = compared.facts, compared.outcome
    if options.if_better and outcome != "better":
        return Retrained(facts, outcome, None, newer.is_same)
    following = Following(bundle, newer, sealed or _open(bundle, newer, options), facts)
    _write(following, model, result, options)
    return Retrained(facts, outcome, options.out, newer.is_same)


@dataclass(frozen=True)
class Following:
    """What the next bundle follows from, besides its model."""

    before: EarlierBundle
    newer: NewerData
    sealed: SealedData  # the test rows, open
    comparison: Mapping[str, Any]


def _write(
    following: Following, model: RecommenderModel, result: TrainingResult, options: RetrainOptions
) -> None:
    """Measure a model on test rows, and write its bundle."""
    options.on_step("measuring on test rows, and writing", lambda: 0.0)
    before, newer, sealed = following.before, following.newer, following.sealed
    evaluation, metrics = test(model, sealed, before.objective, options.device)
    valid = {"valid": None if before.with_valid else result.metrics}
    # Whoever runs the program of the bundle before needs one of the next, too
    program = made_program(model, asked=(before.folder / PROGRAM).is_file())
    bundle = Bundle(
        model_name=before.model_name,
        values=before.values,
        members=before.members,
        catalog=newer.data.catalog,
        weights=result.weights,
        log=newer.origin.log,
        formats=newer.origin.several,
        user_ids_U=newer.origin.users,
        item_ids_V=newer.origin.items,
        metrics={**valid, **metrics, "comparison": following.comparison},
        ranks_U=evaluation.ranks_U,
        provenance=_provenance(following, options)
        | {"program": program.facts if program else None},
        program=program.content if program else b"",
    )
    with folder.writing(options.place):
        publish(bundle, model, sealed, options.place)
    warning = below_untuned_on_test(metrics)
    if warning:
        log.warning("bundle=%s %s", options.out, warning)


def _check_place(options: RetrainOptions) -> None:
    """Refuse a folder that holds anything, or lies in the bundle: what was written before is never touched."""
    place, before = options.place, options.bundle.resolve()
    if place == before or place.is_relative_to(before):
        raise ConfigError(
            f"{options.out}: is the bundle of before, or lies in it, which stays as it is; give a new folder."
        )
    if place.is_dir() and any(place.iterdir()):
        raise ConfigError(
            f"{options.out}: holds something already, and nothing is replaced; give a new folder."
        )
    folder.check_place(place, "provenance.json")


def _newer(bundle: EarlierBundle, options: RetrainOptions) -> NewerData:
    directory = options.data
    if directory is None:
        directory = appended(bundle, options.sources, options.results, options.on_step)
    options.on_step(f"preparing {directory}", lambda: 0.0)
    return newer_data(bundle, directory, options.results)


def _train(
    bundle: EarlierBundle,
    plans: Sequence[TrainingPlan],
    ground: Ground,
    options: RetrainOptions,
) -> tuple[RecommenderModel, TrainingResult]:
    """Train a bundle's model; of a combination each member, then what sums them.

    Args:
        bundle: the bundle.
        plans: of the bundle's model, then of its members.
        ground: what is trained on.
        options: told of each step.
    """
    own, *members = plans
    if not members:
        return _trained(own, ground, options)
    states = [_trained(member, ground, options)[1].weights for member in members]
    settings = nest(own.values).get("model", {})
    place = str(bundle.folder / "best.yaml")
    model = build_model(own.model, settings, ground.data.catalog, place, bundle.members)
    assert isinstance(model, Combination)  # noqa: S101 - for the type checker
    model.load_members(states)
    device_data = ground.device_data(model.max_length)
    fitting = Fitting(model.to(ground.device), device_data.rows, own.seed, ground.device)
    return model.eval(), fitting.run(Hooks(device_data.evaluator))


def _trained(
    plan: TrainingPlan, ground: Ground, options: RetrainOptions
) -> tuple[RecommenderModel, TrainingResult]:
    """Train one model, and show how many of its epochs are done."""
    if plan.epochs is None:
        options.on_step(f"fitting {plan.model}", lambda: 0.0)
        return plan.train(ground)
    done, num_epochs = 0, plan.epochs

    def on_epoch(record: EpochRecord) -> None:
        nonlocal done
        done = record.epoch
        ground.on_epoch(record)

    options.on_step(
        f"training {plan.model} for {num_epochs} epochs", lambda: 100 * done / num_epochs
    )
    return plan.train(replace(ground, on_epoch=on_epoch))


def _open(bundle: EarlierBundle, newer: NewerData, options: RetrainOptions) -> SealedData:
    """Open the test rows of the newer data, with a line in the ledger beside the bundles."""
    purpose = "to decide" if options.judged_on == "test" else "to measure what is written"
    entry = {
        "bundle": bundle.loaded.digest,
        "out": options.place.name,
        "data_hash": newer.data.data_hash,
        "seed": bundle.provenance["training_seed"],
        "purpose": purpose,
        "command": "retrain",
        "when": now(),
    }
    return open_for_evaluation(
        newer.data, newer.directory, ledger_beside(options.place.parent), entry
    )


def _newest(newer: NewerData, sealed: SealedData | None, ground: Ground) -> NewestRows:
    """Return the rows that models are compared on: the test rows where they are open, else the validation rows."""
    parts = [newer.data.train, newer.data.valid]
    if sealed is not None:
        parts += [sealed.between, sealed.test]
    return NewestRows(parts, newer.data.catalog, ground.objective, ground.device)


def _provenance(following: Following, options: RetrainOptions) -> dict[str, Any]:
    """Return the content of provenance.json: what the bundle of before says of the choice, and what is new."""
    bundle, newer, sealed = following.before, following.newer, following.sealed
    before, opening = bundle.provenance, sealed.opening
    if opening is None:
        raise DataError("test rows are opened with a line in the ledger only.")
    ledger = ledger_beside(options.place.parent)
    count = len(ledger.openings())
    words = "opened once" if count == 1 else f"opened {count:,} times"
    protocol = str(before.get("protocol", "")).partition(", test rows ")[0]
    return {
        **before,
        "protocol": f"{protocol}, test rows {words} by retrains into this folder",
        "data": dict(newer.origin.facts),
        "ledger": {
            "lines": opening.lines,
            "hash": opening.hash,
            "file": str(ledger.path.resolve()),
        },
        "data_hash": newer.data.data_hash,
        "sealed_hash": sealed.data_hash,
        "fingerprint": {**before["fingerprint"], "data": newer.data.data_hash},
        "history": [*bundle.history, bundle.entry],
        **environment(options.device),
    }
