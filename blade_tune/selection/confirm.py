"""Confirming a search's winner: its top configurations again, all on the same fresh seeds."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from blade_tune.errors import NothingToExportError, RunsMissingError
from blade_tune.models.build import model_class
from blade_tune.search.replicates import configuration
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.selection.runs import Run, RunExecutor, execute, find_runs, is_complete, rows, seeds
from blade_tune.selection.scores import load_scores, verdict_on
from blade_tune.selection.statistics import Floats, estimate, probability_best, winner_interval
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import ranked
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict
from blade_tune.training.baselines import REFERENCE, Baselines

log = logging.getLogger(__name__)

# Of the search: {"trials": [numbers], "seeds": count, "verdict": on the winner, "baselines": name -> figure}.
ATTRIBUTE = "confirmation"


def confirm(stored: StoredStudy, top: int, num_seeds: int, executor: RunExecutor) -> Confirmation:
    """Train the `top` best configurations of a search on `num_seeds` fresh seeds each, two at least.

    A model that no seed changes is fitted once; its candidates are told apart over users.

    Gives what `load_confirmation` gives.

    Raises:
        NothingToExportError: no trial has completed.
        RunsMissingError: a limit ended it before every run came to its end; the same call goes on from there.
        InterruptedStudyError: the user stopped it; the same call goes on from there.
    """
    trials = leaders(stored, top)
    num_seeds = num_seeds if is_seeded(stored.definition) else 1
    asked = {"trials": [trial.number for trial in trials], "seeds": num_seeds}
    stored.study.set_user_attr(ATTRIBUTE, asked)
    execute(stored, _wanted(stored, trials, num_seeds), executor)
    confirmation = load_confirmation(stored)
    if confirmation is None:
        raise RunsMissingError(
            f"study {stored.definition.name}: not every run came to its end; the same command goes on from there."
        )
    found = stored.measure_baselines(stored.data(executor.settings.data), confirmation.winner.values)
    verdict = _verdict(confirmation, found)
    baselines = {name: figures[confirmation.metric] for name, figures in found.metrics.items()}
    facts = {**asked, "verdict": vars(verdict) if verdict else None, "baselines": baselines}
    stored.study.set_user_attr(ATTRIBUTE, facts)
    return replace(confirmation, verdict=verdict, baselines=baselines)


def is_seeded(definition: StudyDefinition) -> bool:
    """Whether another seed gives another model of the same configuration."""
    return model_class(definition.model).is_seeded


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
    if (runs := find_runs(stored)) is None:
        return None
    search = stored.trials
    trials, num_seeds = [search[number] for number in asked["trials"]], asked["seeds"]
    found = rows(runs, _wanted(stored, trials, num_seeds))
    ended = [run for run in found if run and run.state.is_finished()]
    if len(ended) < len(found):
        return None
    groups = [ended[first : first + num_seeds] for first in range(0, len(ended), num_seeds)]
    whole = [(trial, group) for trial, group in zip(trials, groups, strict=True) if all(map(is_complete, group))]
    if not whole:
        return None
    confirmation = _confirmation(stored, runs, whole, num_seeds)
    verdict = Verdict(**asked["verdict"]) if asked.get("verdict") else None
    return replace(confirmation, verdict=verdict, baselines=asked.get("baselines", stored.baseline_figures))


def _wanted(stored: StoredStudy, trials: Sequence[FrozenTrial], num_seeds: int) -> list[Run]:
    """Trial after trial, each on every seed."""
    fresh = seeds(stored.definition, num_seeds)
    return [Run(stored.values(trial), seed, f"trial {trial.number}") for trial in trials for seed in fresh]


def _seconds_per_epoch(runs: Sequence[TrialRecord]) -> float:
    return sum(run.seconds for run in runs) / sum(run.epochs for run in runs)


def _confirmation(
    stored: StoredStudy, study: StoredStudy, whole: Sequence[tuple[FrozenTrial, list[FrozenTrial]]], num_seeds: int
) -> Confirmation:
    """All candidates of a search whose runs, in their own study, are whole."""
    scores_CX = _scores(study, [runs for _, runs in whole])
    scores = {trial.number: scores_X for (trial, _), scores_X in zip(whole, scores_CX, strict=True)}
    probabilities = probability_best(scores_CX)
    candidates = [
        Candidate(
            trial=trial.number,
            values=stored.values(trial),
            search_value=float(trial.value or 0.0),
            runs=tuple(run.number for run in runs),
            scores=tuple(float(run.value or 0.0) for run in runs),
            estimate=estimate(scores_X.tolist()),
            prob_best=float(probability),
            num_parameters=TrialRecord(runs[0]).num_parameters,
            seconds_per_epoch=_seconds_per_epoch(list(map(TrialRecord, runs))),
        )
        for (trial, runs), scores_X, probability in zip(whole, scores_CX, probabilities, strict=True)
    ]
    candidates.sort(key=lambda candidate: (-candidate.estimate.mean, candidate.trial))
    return Confirmation(
        metric=stored.definition.objective.metric,
        over="fresh seed" if is_seeded(stored.definition) else "user",
        seeds=seeds(stored.definition, num_seeds),
        candidates=tuple(candidates),
        winner_interval=winner_interval(scores[candidates[0].trial].tolist(), len(candidates)),
        runs=study,
    )


def _scores(study: StoredStudy, groups: Sequence[Sequence[FrozenTrial]]) -> Floats:
    """scores_CX of each candidate: its runs' values, or, where seeds change nothing, what each user adds to the one."""
    if is_seeded(study.definition):
        return np.array([[run.value for run in runs] for runs in groups], dtype=np.float64)
    metric = study.definition.objective.metric
    return np.concatenate([load_scores(study, "", runs, "valid").gains(metric) for runs in groups])


def _verdict(confirmation: Confirmation, baselines: Baselines) -> Verdict | None:
    """On the winner; None where its ranks are elsewhere or damaged, with a warning."""
    try:
        scores = load_scores(confirmation.runs, "the winner", confirmation.winning_runs, "valid")
    except RunsMissingError as error:
        log.warning("the winner cannot be compared with %s user by user: %s", REFERENCE, error)
        return None
    return verdict_on(scores, baselines.ranks.get(REFERENCE), confirmation.metric, len(confirmation.candidates))
