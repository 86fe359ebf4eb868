"""Confirmed winners of a comparison's searches beside each other: an estimate of each, and paired tests of pairs."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from blade_tune.choices import TargetSet
from blade_tune.errors import RunsMissingError
from blade_tune.selection.compare import spent
from blade_tune.selection.comparison import Comparisons, Contender, Pair, same_seeds
from blade_tune.selection.confirm import leaders, load_confirmation
from blade_tune.selection.contrasts import contrasts_of
from blade_tune.selection.expectation import expected_of_scores, expected_of_winner
from blade_tune.selection.moves import moves_of
from blade_tune.selection.out_of_bag import Expected
from blade_tune.selection.protocol import loss_of, protocol_line, told_of
from blade_tune.selection.saturation import course
from blade_tune.selection.scores import (
    EvaluatedPart,
    load_scores,
    tested_beside,
    user_groups,
    verdict_on,
)
from blade_tune.selection.statistics import holm, paired_bootstrap
from blade_tune.selection.testing import Opening, test_runs
from blade_tune.selection.told import told_beside
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from blade_tune.training.baselines import REFERENCE


def compare(
    studies: Sequence[StoredStudy],
    part: EvaluatedPart,
    opening: Opening,
    against: str | None = None,
    told: Sequence[TargetSet] = (),
) -> Comparisons:
    """Compare the confirmed winners of several searches.

    Args:
        studies: the searches, as `run_comparison` returns them.
        part: the rows to compare on; "test" opens the sealed rows for each run of each winner.
        opening: with which command, data folder and device rows are opened and models built.
        against: the label of the search that all others are compared with; None to compare all pairs.
        told: target sets under which models that take one are shown too.

    Raises:
        RunsMissingError: a search has no confirmed winner, or files of its runs are not in the results folder.
    """
    entries = [_entry(stored, part, opening) for stored in studies]
    metric = studies[0].definition.objective.metric
    entries.sort(key=lambda entry: -entry.scores.estimate(metric).mean)
    pairs = _pairs(entries, metric, against)
    groups = _groups(entries[0], part, opening)
    first = studies[0]
    told_words = told_of(
        first.definition.objective.target_set, first.data(opening.data_directory).catalog
    )
    num_seeds = max(len(entry.scores.ranks_SU) for entry in entries)
    others = told_beside(entries, told, metric, part, opening)
    protocol = protocol_line(studies, [entry.loss for entry in entries], num_seeds)
    contrasts = contrasts_of(studies, against) if against else None
    return Comparisons(
        metric, part, tuple(entries), pairs, groups, told_words, protocol, others, contrasts
    )


def _is_rising(run: FrozenTrial) -> bool:
    """Whether a run was best at its last epoch, so that more epochs might have raised it."""
    record = TrialRecord(run)
    return record.best_epoch == record.epochs


def _pairs(entries: Sequence[Contender], metric: str, against: str | None) -> tuple[Pair, ...]:
    """Return the difference between the models of each pair, with p-values corrected over these pairs."""
    pairs = [
        (first, second)
        for first, second in combinations(entries, 2)
        if against in (None, first.label, second.label)
    ]
    comparisons = []
    for first, second in pairs:
        gains = same_seeds(first.scores.gains(metric), second.scores.gains(metric))
        comparisons.append(paired_bootstrap(*gains, owed=(first.owed, second.owed)))
    adjusted = holm([comparison.p_value for comparison in comparisons])
    return tuple(
        Pair(first.label, second.label, comparison, p_adjusted)
        for (first, second), comparison, p_adjusted in zip(
            pairs, comparisons, adjusted, strict=True
        )
    )


def _entry(stored: StoredStudy, part: EvaluatedPart, opening: Opening) -> Contender:
    """Return one model's part of a comparison, from its search."""
    confirmation = load_confirmation(stored)
    if confirmation is None:
        raise RunsMissingError(
            f"study {stored.definition.name}: no winner is confirmed; the same command goes on."
        )
    definition, metric = stored.definition, stored.definition.objective.metric
    winner = confirmation.winner
    runs = confirmation.winning_runs
    files = confirmation.runs.files(runs[0])
    # The winner's scores, and the model for what it sees
    if part == "test":
        test_runs(stored, confirmation, opening)
    scores = load_scores(confirmation.runs, stored.label, runs, part)
    data = stored.data(opening.data_directory)
    from blade_tune.trial.model import build_study_model  # loads torch

    model = build_study_model(definition, winner.values, data.catalog, f"trial {winner.trial}")
    # What it reaches for other users, and the untuned baselines on the same rows
    baselines: Mapping[str, Mapping[str, float]]
    expected: Expected | None
    if part == "test":
        expected = expected_of_scores(scores, metric)
        baselines, verdict = tested_beside(files, scores, metric)
    else:
        expected = confirmation.expected
        if expected is None:
            expected = expected_of_winner(stored, confirmation, leaders(stored))
        measured = stored.measure_baselines(data, winner.values)
        baselines = measured.metrics
        owed = expected.owed if expected else 0.0
        verdict = verdict_on(scores, measured.ranks.get(REFERENCE), metric, owed)
    return Contender(
        label=stored.label,
        study=stored,
        files=files,
        winner=winner,
        scores=scores,
        takes_target_set=model.told_target_set,
        window=model.max_length,
        loss=loss_of(definition, winner.values),
        spent=spent(stored),
        course=course(stored),
        moves=moves_of(confirmation.runs, winner.runs),
        num_rising=0 if definition.is_fitted else sum(map(_is_rising, runs)),
        expected=expected,
        baselines=baselines,
        verdict=verdict,
    )


def _groups(
    entry: Contender, part: EvaluatedPart, opening: Opening
) -> Mapping[str, NDArray[np.bool_]]:
    data = entry.study.data(opening.data_directory)
    return user_groups(data, entry.files if part == "test" else None)
