"""Winners under another `target_set` than their study's: what a model loses where it is told nothing of the next item.

The weights of a winner's runs are stored, so this ranks again and trains nothing. The ranks are stored beside the
run's own, and each time that test rows are ranked so is a line of the ledger.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from optuna.trial import FrozenTrial

from blade_tune.choices import TargetSet
from blade_tune.config import guess
from blade_tune.errors import ConfigError, DamagedFileError
from blade_tune.files import sha256
from blade_tune.metrics import agree
from blade_tune.selection.comparison import Contender, Told, same_seeds
from blade_tune.selection.confirm import load_confirmation
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.protocol import told_of
from blade_tune.selection.scores import EvaluatedPart, Scores, load_scores
from blade_tune.selection.statistics import Comparison, holm, paired_bootstrap
from blade_tune.selection.testing import Opening, is_written_down, ledger_entry, trained_model
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.files import read_told, write_told

if TYPE_CHECKING:
    from torch import Tensor

    from blade_tune.data.sequences import Windows
    from blade_tune.models.base import RecommenderModel

TARGET_SETS: tuple[TargetSet, ...] = get_args(TargetSet)


def target_sets(text: str) -> tuple[TargetSet, ...]:
    """Return the target sets that a list of an option names.

    Raises:
        ConfigError: one is unknown.
    """
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for name in names:
        if name not in TARGET_SETS:
            raise ConfigError(f"--told: unknown target set {name!r}. {guess(name, TARGET_SETS)}")
    return tuple(name for name in TARGET_SETS if name in names)


def told_beside(
    entries: Sequence[Contender],
    wanted: Sequence[TargetSet],
    metric: str,
    part: EvaluatedPart,
    opening: Opening,
) -> tuple[Told, ...]:
    """Return the models of a comparison that take a target set, under each wanted one that is not the study's own.

    Args:
        entries: the models of the comparison, the best first.
        wanted: the target sets.
        metric: name of the metric to compare by.
        part: the rows to rank; on "test" each ranking that was not made before is a line of the ledger.
        opening: with which command, device and data folder rows are opened.
    """
    rival = next((entry for entry in entries if not entry.takes_target_set), None)
    found = []
    for entry in entries:
        confirmation = load_confirmation(entry.study) if entry.takes_target_set else None
        for target_set in wanted:
            if confirmation is None or target_set == entry.target_set:
                continue
            scores = told_scores(entry.study, confirmation, target_set, part, opening)
            found.append((entry, target_set, scores))
    if not found:
        return ()
    catalog = entries[0].study.data(opening.data_directory).catalog
    changes = [_compared(scores, entry.scores, metric) for entry, _, scores in found]
    distances = [_compared(scores, rival.scores, metric) for *_, scores in found] if rival else []
    change_ps = holm([change.p_value for change in changes])
    distance_ps = holm([distance.p_value for distance in distances])
    return tuple(
        Told(
            model=entry.label,
            target_set=target_set,
            words=told_of(target_set, catalog),
            scores=scores,
            change=changes[row],
            change_p=change_ps[row],
            rival=rival.label if rival else None,
            distance=distances[row] if rival else None,
            distance_p=distance_ps[row] if rival else None,
        )
        for row, (entry, target_set, scores) in enumerate(found)
    )


def stored_told(entries: Sequence[Contender], part: EvaluatedPart) -> tuple[TargetSet, ...]:
    """Return the target sets under which every run of all models that take one was ranked before.

    Args:
        entries: the models of a comparison.
        part: the rows that were ranked.
    """
    told = [entry for entry in entries if entry.takes_target_set]
    confirmations = {entry.label: load_confirmation(entry.study) for entry in told}

    def has_ranks(entry: Contender, target_set: TargetSet) -> bool:
        confirmation = confirmations[entry.label]
        return target_set == entry.target_set or (
            confirmation is not None
            and all(
                _is_ranked(entry.study, confirmation.runs, run, target_set, part)
                for run in confirmation.winning_runs
            )
        )

    return tuple(each for each in TARGET_SETS if all(has_ranks(entry, each) for entry in told))


def told_winner(
    stored: StoredStudy,
    confirmation: Confirmation,
    wanted: Sequence[TargetSet],
    opening: Opening,
    *,
    test: bool,
) -> dict[EvaluatedPart, dict[TargetSet, Scores]]:
    """Return the scores of a confirmed winner on validation and, if asked, test rows, by part and target set."""
    parts: tuple[EvaluatedPart, ...] = ("valid", "test") if test else ("valid",)
    return {
        part: {
            target_set: told_scores(stored, confirmation, target_set, part, opening)
            for target_set in wanted
        }
        for part in parts
    }


def told_scores(
    stored: StoredStudy,
    confirmation: Confirmation,
    target_set: TargetSet,
    part: EvaluatedPart,
    opening: Opening,
) -> Scores:
    """Return the scores of a confirmed winner's runs under a target set; ranks that are stored are not made again.

    Args:
        stored: the search, whose ledger gets a line for each run whose test rows are ranked.
        confirmation: the search's confirmation.
        target_set: what the model is told. Under the study's own, and of a model that takes no target set, scores are
            the runs' own.
        part: the rows to rank. Test rows under the study's own target set must have been ranked by `test_runs`.
        opening: the command, the device and the data folder.

    Raises:
        RunsMissingError: a run's weights are missing in this results folder, or damaged.
    """
    from blade_tune.trial.model import build_study_model  # loads torch, which reports do not need

    study, label = confirmation.runs, f"told {target_set}"
    data, values = stored.data(opening.data_directory), confirmation.winner.values
    model = build_study_model(study.definition, values, data.catalog, label)
    if not model.told_target_set or target_set == study.definition.objective.target_set:
        return load_scores(study, label, confirmation.winning_runs, part)
    ranks = []
    for run in confirmation.winning_runs:
        if not _is_ranked(stored, study, run, target_set, part):
            _rank(stored, study, run, target_set, part, opening)
        files = study.files(run)
        _, (_, ranks_U) = read_told(files, files.told(part, target_set))
        ranks.append(ranks_U)
    return Scores(label, np.stack(ranks))


def _is_ranked(
    stored: StoredStudy,
    study: StoredStudy,
    run: FrozenTrial,
    target_set: TargetSet,
    part: EvaluatedPart,
) -> bool:
    """Return whether ranks under a target set are stored: undamaged, of the run's weights, and in the ledger."""
    files = study.files(run)
    told = files.told(part, target_set)
    if not told.figures.exists():
        return False
    try:
        facts, (_, ranks_U) = read_told(files, told)
    except DamagedFileError:
        return False
    weights = files.digests.get(files.weights.name, facts["weights"])
    is_whole = facts["weights"] == weights and agree(ranks_U, facts)
    return is_whole and (part == "valid" or is_written_down(stored, _line(study, run, target_set)))


def _line(study: StoredStudy, run: FrozenTrial, target_set: TargetSet) -> dict[str, Any]:
    return {**ledger_entry(study, run), "target_set": target_set}


def _rank(
    stored: StoredStudy,
    study: StoredStudy,
    run: FrozenTrial,
    target_set: TargetSet,
    part: EvaluatedPart,
    opening: Opening,
) -> None:
    """Rank the rows of a part with a run under a target set, and write the ranks into the run's folder."""
    from blade_tune.training.evaluation import Evaluator  # loads torch, which reports do not need

    # The model, before any row is opened, so that a missing file costs no line in the ledger
    data = stored.data(opening.data_directory)
    model = trained_model(study, run, data.catalog)
    entry = {**_line(study, run, target_set), "command": opening.command}
    windows, rows_U, data_hash = _rows(stored, model, part, opening, entry)
    objective = study.definition.objective.model_copy(update={"target_set": target_set})
    evaluator = Evaluator(windows.to(opening.device), rows_U, data.catalog, objective)
    evaluation = evaluator(model.to(opening.device))
    files = study.files(run)
    facts = {
        "target_set": target_set,
        "weights": sha256(files.weights),
        "data_hash": data_hash,
        **evaluation.metrics,
    }
    users_U = rows_U.numpy() + 1  # rows count from 0, users from 1
    ranks_2U = np.stack((users_U, evaluation.ranks_U.numpy()))
    write_told(files.told(part, target_set), facts, ranks_2U)


def _rows(
    stored: StoredStudy,
    model: "RecommenderModel",
    part: EvaluatedPart,
    opening: Opening,
    entry: dict[str, Any],
) -> "tuple[Windows, Tensor, str]":
    """Return the windows of a part, its rows to rank and its hash; test rows are opened with a line in the ledger."""
    from blade_tune.data.sequences import rows_with

    data = stored.data(opening.data_directory)
    if part == "valid":
        return data.windows("valid", model.max_length), rows_with(data.valid), data.data_hash
    sealed = stored.open_test(data, opening.data_directory, entry)
    return sealed.windows(model.max_length), rows_with(sealed.test), sealed.data_hash


def _compared(first: Scores, second: Scores, metric: str) -> Comparison:
    return paired_bootstrap(*same_seeds(first.gains(metric), second.gains(metric)))
