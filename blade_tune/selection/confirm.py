"""Confirmation of a search's winner: its top configurations are trained again, all on the same fresh seeds.

The best figure of a search is too high on average, since it is the highest of many noisy ones. Seeds that played no
part in the search give an unbiased mean for each candidate, and the winner is chosen by these means.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from blade_tune.errors import ConfigError, NothingToExportError, RunsMissingError
from blade_tune.models import config_class
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.selection.expectation import expected_of_winner
from blade_tune.selection.out_of_bag import Expected
from blade_tune.selection.runs import (
    Run,
    RunExecutor,
    execute,
    find_runs,
    is_complete,
    missing,
    rows,
    seeds,
)
from blade_tune.selection.scores import load_scores, verdict_on
from blade_tune.selection.statistics import Floats, estimate, probability_best, winner_interval
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import ranked
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict
from blade_tune.training.baselines import REFERENCE, Baselines

log = logging.getLogger(__name__)

# User attribute of the search: {"trials": [numbers], "seeds": count, "expected": of the winner, "verdict": on it,
# "baselines": name -> figure}. The latter three are added when all runs have ended.
ATTRIBUTE = "confirmation"
# User attribute of the search: a list of all confirmations that were made, the latest last, see `_remember`.
MADE = "confirmations"


def confirm(stored: StoredStudy, top: int, num_seeds: int, executor: RunExecutor) -> Confirmation:
    """Train the best configurations of a search on fresh seeds, and return the confirmation.

    A model that no seed changes is fitted once for each configuration, and its candidates are compared over users.

    Args:
        stored: the search.
        top: number of best configurations to train.
        num_seeds: number of seeds that each is trained on, at least two.
        executor: trains the runs.

    Raises:
        NothingToExportError: no trial of the search has completed.
        RunsMissingError: a limit ended the call before every run had ended, or every candidate had a failed run; the
            same call continues from there.
        InterruptedStudyError: the user stopped it; the same call continues from there.
    """
    searched = leaders(stored)
    trials = searched[:top]
    num_seeds = num_seeds if is_seeded(stored.definition) else 1
    asked = {"trials": [trial.number for trial in trials], "seeds": num_seeds}
    stored.study.set_user_attr(ATTRIBUTE, asked)  # by which `load_confirmation` finds the runs
    # The runs
    wanted = _wanted(stored, trials, num_seeds)
    runs = execute(stored, wanted, executor)
    confirmation = load_confirmation(stored)
    if confirmation is None:
        raise missing(runs, wanted)
    # What to expect of the winner, and the verdict, from baselines with a window of its length
    expected = expected_of_winner(stored, confirmation, searched)
    data = stored.data(executor.settings.data)
    measured = stored.measure_baselines(data, confirmation.winner.values)
    verdict = _verdict(confirmation, measured, expected)
    metric = confirmation.metric
    baselines = {name: figures[metric] for name, figures in measured.metrics.items()}
    facts = {
        **asked,
        "expected": asdict(expected) if expected else None,
        "verdict": vars(verdict) if verdict else None,
        "baselines": baselines,
    }
    stored.study.set_user_attr(ATTRIBUTE, facts)
    confirmation = replace(confirmation, expected=expected, verdict=verdict, baselines=baselines)
    return replace(confirmation, made=_remember(stored, asked, confirmation))


def _remember(
    stored: StoredStudy, asked: Mapping[str, Any], confirmation: Confirmation
) -> tuple[Mapping[str, Any], ...]:
    """Add a confirmation to the list of those that were made, unless it is there, and return the list."""
    made: list[dict[str, Any]] = list(stored.study.user_attrs.get(MADE, []))
    facts = {
        **asked,
        "winner": confirmation.winner.trial,
        "mean": confirmation.winner.estimate.mean,
        "expected": confirmation.expected and confirmation.expected.mean,
    }
    if not any(facts.items() <= entry.items() for entry in made):
        made.append({"time": datetime.now(UTC).isoformat(timespec="seconds"), **facts})
        stored.study.set_user_attr(MADE, made)
    return tuple(made)


def is_seeded(definition: StudyDefinition) -> bool:
    """Return whether the trained model depends on the seed, as neural models do and most fitted ones do not."""
    return config_class(definition.model).is_seeded


def leaders(stored: StoredStudy, top: int | None = None) -> list[FrozenTrial]:
    """Return the best trial of each of the `top` best configurations, the best first; of all without `top`.

    Returns:
        At least one trial; fewer than `top` if fewer configurations have completed.

    Raises:
        NothingToExportError: no trial has completed.
    """
    best: dict[Any, FrozenTrial] = {}
    # The best trials come first, so the first trial of a configuration is its best.
    for trial in ranked(stored.trials):
        best.setdefault(frozenset(stored.values(trial).items()), trial)
    if not best:
        raise NothingToExportError(
            f"study {stored.definition.name} has no completed trial; run it first."
        )
    return list(best.values())[:top]


def load_confirmation(stored: StoredStudy) -> Confirmation | None:
    """Return the latest confirmation of a search from the database.

    A configuration of which a run failed is left out of the candidates, since it cannot be relied on.

    Returns:
        None if no confirmation was started, if its runs have not all ended, or if every candidate had a failed run.
    """
    asked = stored.study.user_attrs.get(ATTRIBUTE)
    if asked is None:
        return None
    runs = find_runs(stored)
    if runs is None:
        return None
    search = stored.trials
    trials = [search[number] for number in asked["trials"]]
    num_seeds = asked["seeds"]
    # Whether all runs have ended
    latest = rows(runs, _wanted(stored, trials, num_seeds))
    ended = [run for run in latest if run and run.state.is_finished()]
    if len(ended) < len(latest):
        return None
    # Runs are in the order of `_wanted`: each candidate has `num_seeds` of them in a row.
    groups = [ended[first : first + num_seeds] for first in range(0, len(ended), num_seeds)]
    pairs = zip(trials, groups, strict=True)
    whole = [(trial, group) for trial, group in pairs if all(map(is_complete, group))]
    if not whole:
        return None
    confirmation = _confirmation(stored, runs, whole, num_seeds)
    expected = Expected(**asked["expected"]) if asked.get("expected") else None
    verdict = Verdict(**asked["verdict"]) if asked.get("verdict") else None
    # Without figures of its own (see ATTRIBUTE), the confirmation shows the baselines that the search measured.
    baselines = asked.get("baselines", stored.baseline_figures)
    made = tuple(stored.study.user_attrs.get(MADE, []))
    return replace(confirmation, expected=expected, verdict=verdict, baselines=baselines, made=made)


def require_confirmation(stored: StoredStudy) -> Confirmation:
    """Return the latest confirmation of a search.

    Raises:
        ConfigError: there is none; the message says which command makes one.
    """
    confirmation = load_confirmation(stored)
    if confirmation is None:
        name = stored.definition.name
        raise ConfigError(
            f"study {name} has no confirmed winner; run `blade-tune confirm --study {name}` first."
        )
    return confirmation


def _wanted(stored: StoredStudy, trials: Sequence[FrozenTrial], num_seeds: int) -> list[Run]:
    """Return the runs that a confirmation needs: for one trial after another, a run on each seed."""
    fresh = seeds(stored.definition, num_seeds)
    return [
        Run(stored.values(trial), seed, f"trial {trial.number}")
        for trial in trials
        for seed in fresh
    ]


def _seconds_per_epoch(runs: Sequence[TrialRecord]) -> float:
    seconds = sum(run.seconds for run in runs)
    epochs = sum(run.epochs for run in runs)
    return seconds / epochs


def _confirmation(
    stored: StoredStudy,
    study: StoredStudy,
    whole: Sequence[tuple[FrozenTrial, list[FrozenTrial]]],
    num_seeds: int,
) -> Confirmation:
    """Return a confirmation of the candidates whose runs are complete, without its verdict and baselines.

    Args:
        stored: the search.
        study: the study of runs.
        whole: the trial of each candidate, with its runs in order of seeds.
        num_seeds: number of runs of each candidate.
    """
    scores_CX = _scores(study, [runs for _, runs in whole])
    numbers = [trial.number for trial, _ in whole]
    scores = dict(zip(numbers, scores_CX, strict=True))
    probabilities = probability_best(scores_CX)
    candidates = []
    for (trial, runs), probability in zip(whole, probabilities, strict=True):
        records = [TrialRecord(run) for run in runs]
        candidate = Candidate(
            trial=trial.number,
            values=stored.values(trial),
            search_value=float(trial.value or 0.0),
            runs=tuple(run.number for run in runs),
            scores=tuple(float(run.value or 0.0) for run in runs),
            estimate=estimate(scores[trial.number].tolist()),
            prob_best=float(probability),
            num_parameters=records[0].num_parameters,
            seconds_per_epoch=_seconds_per_epoch(records),
        )
        candidates.append(candidate)
    # Of equal means, the earlier trial is the winner.
    candidates.sort(key=lambda candidate: (-candidate.estimate.mean, candidate.trial))
    scores_of_winner = scores[candidates[0].trial].tolist()
    interval = winner_interval(scores_of_winner, len(candidates))
    return Confirmation(
        metric=stored.definition.objective.metric,
        over="fresh seed" if is_seeded(stored.definition) else "user",
        seeds=seeds(stored.definition, num_seeds),
        candidates=tuple(candidates),
        winner_interval=interval,
        runs=study,
    )


def _scores(study: StoredStudy, groups: Sequence[Sequence[FrozenTrial]]) -> Floats:
    """Return scores_CX: for each candidate the values of its runs, or, if seeds change nothing, each user's gain."""
    if is_seeded(study.definition):
        values = [[run.value for run in runs] for runs in groups]
        return np.array(values, dtype=np.float64)
    metric = study.definition.objective.metric
    gains = [load_scores(study, "", runs, "valid").gains(metric) for runs in groups]
    return np.concatenate(gains)


def _verdict(
    confirmation: Confirmation, baselines: Baselines, expected: Expected | None
) -> Verdict | None:
    """Return the verdict on the winner; None, with a warning, if its ranks are missing on this machine or damaged."""
    try:
        scores = load_scores(confirmation.runs, "the winner", confirmation.winning_runs, "valid")
    except RunsMissingError as error:
        log.warning("the winner cannot be compared with %s user by user: %s", REFERENCE, error)
        return None
    owed = expected.owed if expected else 0.0
    return verdict_on(scores, baselines.ranks.get(REFERENCE), confirmation.metric, owed)
