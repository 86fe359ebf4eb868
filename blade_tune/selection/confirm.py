"""Confirming a search's winner: its top configurations again, all on the same fresh seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from blade_tune.errors import NothingToExportError
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.selection.runs import Crew, Run, execute, find_runs, is_complete, rows, seeds
from blade_tune.selection.statistics import estimate, probability_best, winner_interval
from blade_tune.study.repeats import configuration
from blade_tune.study.stored import StoredStudy
from blade_tune.study.trials import ranked

ATTRIBUTE = "confirmation"  # of the search: {"trials": [numbers], "seeds": count}


def confirm(stored: StoredStudy, top: int, num_seeds: int, crew: Crew) -> Confirmation | None:
    """Train the `top` best configurations of a search on `num_seeds` fresh seeds each, two at least.

    Gives what `load_confirmation` gives.

    Raises:
        NothingToExportError: no trial has completed.
        InterruptedStudyError: the user stopped it; the same call goes on from there.
    """
    trials = leaders(stored, top)
    stored.study.set_user_attr(ATTRIBUTE, {"trials": [trial.number for trial in trials], "seeds": num_seeds})
    execute(stored, _wanted(stored, trials, num_seeds), crew)
    return load_confirmation(stored)


def leaders(stored: StoredStudy, top: int) -> list[FrozenTrial]:
    """The best trial of each of the `top` best configurations; fewer where fewer have completed."""
    best: dict[Any, FrozenTrial] = {}
    for trial in ranked(stored.trials):
        best.setdefault(configuration(stored.definition.space, trial.params), trial)
    if not best:
        raise NothingToExportError(f"study {stored.definition.name} has no completed trial; run it first.")
    return list(best.values())[:top]


def load_confirmation(stored: StoredStudy) -> Confirmation | None:
    """What the latest confirmation of a search found; None where there is none, or it has not ended.

    A configuration of which a run failed is no candidate any more: it cannot be relied on.
    """
    asked = stored.study.user_attrs.get(ATTRIBUTE)
    if asked is None:
        return None
    search = stored.trials
    trials, num_seeds = [search[number] for number in asked["trials"]], asked["seeds"]
    runs = rows(stored, _wanted(stored, trials, num_seeds))
    ended = [run for run in runs if run and run.state.is_finished()]
    if len(ended) < len(runs):
        return None
    groups = [ended[first : first + num_seeds] for first in range(0, len(ended), num_seeds)]
    whole = [(trial, group) for trial, group in zip(trials, groups, strict=True) if all(map(is_complete, group))]
    return _confirmation(stored, whole, num_seeds) if whole else None


def winning_runs(stored: StoredStudy, confirmation: Confirmation) -> list[FrozenTrial]:
    """The winner's runs, one a seed."""
    runs = find_runs(stored)
    trials = runs.trials if runs else []
    return [trials[number] for number in confirmation.winner.runs]


def _wanted(stored: StoredStudy, trials: Sequence[FrozenTrial], num_seeds: int) -> list[Run]:
    """Trial after trial, each on every seed."""
    fresh = seeds(stored.definition, num_seeds)
    return [Run(stored.values(trial), seed, f"trial {trial.number}") for trial in trials for seed in fresh]


def _confirmation(
    stored: StoredStudy, whole: Sequence[tuple[FrozenTrial, list[FrozenTrial]]], num_seeds: int
) -> Confirmation:
    scores_CS = np.array([[run.value for run in runs] for _, runs in whole])
    probabilities = probability_best(scores_CS)
    candidates = [
        Candidate(
            trial=trial.number,
            values=stored.values(trial),
            search_value=float(trial.value or 0.0),
            runs=tuple(run.number for run in runs),
            scores=tuple(map(float, scores_S)),
            estimate=estimate(scores_S.tolist()),
            prob_best=float(probability),
            num_parameters=runs[0].user_attrs["num_parameters"],
            seconds_per_epoch=sum(r.user_attrs["seconds"] for r in runs) / sum(r.user_attrs["epochs"] for r in runs),
        )
        for (trial, runs), scores_S, probability in zip(whole, scores_CS, probabilities, strict=True)
    ]
    candidates.sort(key=lambda candidate: (-candidate.estimate.mean, candidate.trial))
    return Confirmation(
        metric=stored.definition.objective.metric,
        seeds=seeds(stored.definition, num_seeds),
        candidates=tuple(candidates),
        winner_interval=winner_interval(candidates[0].scores, len(candidates)),
    )
