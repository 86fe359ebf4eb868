"""Studies with trials that nobody trained: what reports say of them is known beforehand."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from blade_tune.data.store import prepare
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.selection.out_of_bag import Expected
from blade_tune.selection.statistics import estimate, winner_interval
from blade_tune.storage.trials import ranked
from blade_tune.study.create import open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict
from blade_tune.study.workspace import Workspace
from tests.tiny import define

SPACE: dict[str, Any] = {
    "embedding_size": 8,
    "max_length": 6,
    "num_blocks": 1,
    "num_experts": 1,
    "num_heads": {"choice": [1, 2]},
    "alpha": {"float": [0.0, 1.0], "step": 0.1},
    "augmentation": {"choice": ["add", "mask"]},
    "mask_exponent": {"choice": [0.5, 1.0], "when": {"augmentation": ["mask"]}},
}
LEARNING_RATE = {"float": [1e-3, 1e-2], "log": True}
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "model.num_heads": CategoricalDistribution([1, 2]),
    "model.alpha": FloatDistribution(0.0, 1.0, step=0.1),
    "model.augmentation": CategoricalDistribution(["add", "mask"]),
    "model.mask_exponent": CategoricalDistribution([0.5, 1.0]),
    "train.learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
}
EPOCHS, EVAL_EVERY = 60, 5
MADE = (
    {
        "time": "2026-11-30T10:00:00+00:00",
        "trials": [8, 4],
        "seeds": 3,
        "winner": 4,
        "mean": 0.2290,
    },
    {
        "time": "2026-12-01T10:00:00+00:00",
        "trials": [8, 4, 20],
        "seeds": 5,
        "winner": 8,
        "mean": 0.231,
    },
)
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
BASELINES = {
    "max_length": 6,
    "metrics": {"popularity": {"ndcg@10": 0.08}, "item_knn": {"ndcg@10": 0.1}},
    "left_out": {},
}


def empty_study(results: Path) -> StoredStudy:
    """A study that was opened and of which no trial was asked for."""
    definition = define(
        space__model=SPACE,
        space__train={"batch_size": 16, "learning_rate": LEARNING_RATE},
        train__max_epochs=EPOCHS,
        train__eval_every=EVAL_EVERY,
        search__trials=40,
        search__pruner={"kind": "percentile"},
    )
    return open_study(
        definition, prepare(definition.data, None, results), Workspace.at(None, results)
    )


def study(results: Path, count: int = 40) -> StoredStudy:
    """A stored study of such trials, with baselines."""
    stored = empty_study(results)
    stored.study.set_user_attr("baselines", BASELINES)
    stored.study.add_trials(trials(count))
    return stored


def in_memory(trials: Sequence[FrozenTrial], stored: StoredStudy) -> StoredStudy:
    """Another study's definition and place with these trials, which no database has."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    return replace(stored, study=study)


def trials(count: int) -> list[FrozenTrial]:
    """So many trials, some in two rows: one in five pruned; others failed, repeated, interrupted, audited."""
    rng = random.Random(7)  # noqa: S311 - made up
    rows: list[FrozenTrial] = []
    for number in range(count):
        params = draw(rng)
        attrs = {
            "epochs": EPOCHS,
            "seconds": 90.0,
            "best_epoch": EPOCHS,
            "replicate": 0,
            "seed": number,
        }
        if number % 5 == 3:
            rows.append(
                trial(
                    params, 15, attrs | {"epochs": 15, "seconds": 22.5, "reason": "pruned"}, PRUNED
                )
            )
        elif number % 20 == 11:
            attrs |= {
                "epochs": 3,
                "seconds": 4.5,
                "reason": "nan",
                "message": "epoch 4: the loss is not finite",
            }
            rows.append(trial(params, 0, attrs, FAIL))
        elif number % 20 == 6:
            half = {"epochs": 30, "seconds": 45.0, "reason": "interrupted"}
            rows.append(trial(params, 30, attrs | half, FAIL))
            rows.append(trial(params, EPOCHS, attrs | {"root": len(rows) - 1}))
        elif number % 10 == 9:
            rows.append(trial(ranked(rows)[0].params, EPOCHS, attrs | {"replicate": 1}))
        else:
            rows.append(
                trial(params, EPOCHS, attrs | ({"pruned_at": 20} if number % 12 == 10 else {}))
            )
    return rows


def draw(rng: random.Random) -> dict[str, Any]:
    """A configuration of the space; mask_exponent only with mask."""
    params: dict[str, Any] = {
        "model.num_heads": rng.choice([1, 2]),
        "model.alpha": rng.randrange(11) * 0.1,
        "model.augmentation": rng.choice(["add", "mask"]),
        "train.learning_rate": 10 ** rng.uniform(-3, -2),
    }
    return params | (
        {"model.mask_exponent": rng.choice([0.5, 1.0])}
        if params["model.augmentation"] == "mask"
        else {}
    )


def trial(
    params: dict[str, Any], epochs: int, attrs: dict[str, Any], state: TrialState = COMPLETE
) -> FrozenTrial:
    """A finished trial whose curve is a function of its learning rate, alpha and seed; pruned ones are low.

    An epoch took 1.5 s, and its row half a second more.
    """
    noise = random.Random(attrs["seed"]).gauss(0, 0.004)  # noqa: S311 - made up
    height = (
        0.2
        - 0.1 * abs(math.log10(params["train.learning_rate"]) + 2.4)
        + 0.06 * params["model.alpha"]
        + noise
    )
    height *= 0.6 if state == PRUNED else 1.0
    curve = {e: height * (1 - math.exp(-e / 15)) for e in range(EVAL_EVERY, epochs + 1, EVAL_EVERY)}
    return create_trial(
        state=state,
        value=max(curve.values()) if state == COMPLETE else None,
        params=params,
        distributions={name: DISTRIBUTIONS[name] for name in params},
        intermediate_values=curve,
        user_attrs={"clock": [(epoch, 1.5 * epoch, 1.5 * epoch + 0.5) for epoch in curve], **attrs},
    )


def confirmation(runs: StoredStudy | None = None, seeds: int = 5) -> Confirmation:
    """Three candidates, the first of the highest mean, the last within its standard error and smaller.

    Args:
        runs: a study whose first trials stand for the runs of each; its figures play no part.
        seeds: runs of each.
    """
    means, values = (0.231, 0.224, 0.2305), draw(random.Random(1))  # noqa: S311 - made up
    candidates = [
        Candidate(
            trial=trial,
            values={**values, "model.embedding_size": 8},
            search_value=0.24,
            runs=tuple(range(seeds)),
            scores=tuple(mean + 0.002 * (seed - (seeds - 1) / 2) for seed in range(seeds)),
            estimate=estimate([mean + 0.002 * (seed - (seeds - 1) / 2) for seed in range(seeds)]),
            prob_best=prob_best,
            num_parameters=num_parameters,
            seconds_per_epoch=1.5,
        )
        for trial, mean, prob_best, num_parameters in zip(
            (8, 4, 20), means, (0.6, 0.05, 0.35), (900, 900, 500), strict=True
        )
    ]
    ordered = sorted(candidates, key=lambda candidate: -candidate.estimate.mean)
    return Confirmation(
        "ndcg@10",
        "fresh seed",
        tuple(range(seeds)),
        tuple(ordered),
        winner_interval(ordered[0].scores, 3),
        Verdict("item_knn", 0.131, 0.1, 0.15),
        expected=Expected(0.2215, 0.2102, 0.2331, 0.0095, 30),
        made=MADE,
        runs=runs,
    )


def given(count: int, stored: StoredStudy) -> StoredStudy:
    """A study of so many runs beside another; their configurations are no parameters of its space."""
    rows = []
    for seed in range(count):
        row = trial(draw(random.Random(seed)), EPOCHS, {"seed": seed})  # noqa: S311 - made up
        row.user_attrs["given"] = {"values": row.params, "seed": seed}
        row.distributions, row.params = {}, {}
        rows.append(row)
    return replace(in_memory(rows, stored), definition=stored.definition.of_runs())
