"""What a group of runs scored: one configuration on several seeds, user by user.

Shapes stand in names: S seeds, U evaluated users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from torch import Tensor

from blade_tune.data.sequences import rows_with
from blade_tune.data.statistics import tail_users
from blade_tune.data.store import SearchData
from blade_tune.errors import DamagedFileError, RunsMissingError
from blade_tune.metrics import METRICS, agree, gains, summarize
from blade_tune.selection.statistics import Estimate, estimate, paired_bootstrap
from blade_tune.storage.folder import TrialFolder
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import LEVEL, Verdict
from blade_tune.training.baselines import REFERENCE
from blade_tune.trial.files import read_ranks, read_test, read_test_baseline_ranks, read_test_ranks

EvaluatedPart = Literal["valid", "test"]

FEWEST_USERS = 30  # of a group whose mean is shown


@dataclass(frozen=True)
class Scores:
    """Ranks of one configuration on the rows of one part, a row a seed, and the figures that they give."""

    label: str
    ranks_SU: NDArray[np.int32]

    @cached_property
    def metrics(self) -> dict[str, tuple[float, ...]]:
        """The figures of every metric, one a seed; a metric may be younger than the runs."""
        summaries = [summarize(torch.from_numpy(ranks_U)) for ranks_U in self.ranks_SU]
        return {name: tuple(summary[name] for summary in summaries) for name in METRICS}

    def estimate(self, metric: str) -> Estimate:
        """Mean over seeds."""
        return estimate(self.metrics[metric])

    def gains(self, metric: str) -> NDArray[np.float64]:
        """gains_SU: what each user adds to the metric."""
        gained: NDArray[np.float64] = gains(torch.from_numpy(self.ranks_SU), metric).numpy()
        return gained

    def of_users(self, mask_U: NDArray[np.bool_], metric: str) -> Estimate | None:
        """Mean over seeds among some of the users; None where they are too few to say anything."""
        if mask_U.sum() < FEWEST_USERS:
            return None
        return estimate(self.gains(metric)[:, mask_U].mean(axis=1).tolist())


def load_scores(study: StoredStudy, label: str, runs: Sequence[FrozenTrial], part: EvaluatedPart) -> Scores:
    """Read what complete runs of one configuration scored.

    Args:
        study: the study of runs they are trials of.
        label: of the configuration.
        runs: one a seed.
        part: test where `test_runs` ranked it.

    Raises:
        RunsMissingError: their files are not in this results folder, or not as they were.
        DamagedFileError: those of test rows are not as they were.
    """
    ranks_of = _tested if part == "test" else _validated
    return Scores(label, np.stack([ranks_of(study, run) for run in runs]))


def valid_figures(study: StoredStudy, trial: FrozenTrial) -> dict[str, float]:
    """Return a trial's validation figures by metric: those that were stored, and those that its ranks add.

    Ranks add metrics that were declared after the trial, where they are at hand and whole.
    """
    stored = TrialRecord(trial).metrics
    if not stored or stored.keys() >= set(METRICS):
        return stored
    try:
        found = summarize(torch.from_numpy(_validated(study, trial)))
    except RunsMissingError:
        return stored
    return stored | {metric: figure for metric, figure in found.items() if metric not in stored}


def _validated(study: StoredStudy, run: FrozenTrial) -> NDArray[np.int32]:
    """Return ranks_U of a run on the valid rows."""
    folder = study.files(run)
    again = f"`blade-tune reproduce --study {study.definition.name} --trial {run.number}` makes it again"
    if not folder.ranks.exists():
        raise RunsMissingError(f"{folder.ranks}: must be in this results folder; give --results, or {again}.")
    try:
        return _agreed(folder.ranks, read_ranks(folder), TrialRecord(run).metrics)
    except DamagedFileError as error:
        raise RunsMissingError(f"{error} {again[0].upper()}{again[1:]}.") from None


def _tested(study: StoredStudy, run: FrozenTrial) -> NDArray[np.int32]:
    """Return ranks_U of a run on the test rows."""
    folder = study.files(run)
    if not folder.test.exists():
        raise RunsMissingError(f"{folder.test}: the test figures of run {run.number} must be in this results folder.")
    facts = read_test(folder)  # first, for it checks the ranks beside it too
    return _agreed(folder.test_ranks, read_test_ranks(folder)[1], facts)


def _agreed(path: Path, ranks_U: NDArray[np.int32], facts: Mapping[str, Any]) -> NDArray[np.int32]:
    """Return the ranks, which must give the figures among the facts that were stored beside them.

    Raises:
        DamagedFileError: they give others.
    """
    if not agree(torch.from_numpy(ranks_U), facts):
        raise DamagedFileError(f"{path}: holds other ranks than those that its figures come from.")
    return ranks_U


def verdict_on(scores: Scores, baseline_ranks_U: Tensor | None, metric: str, num_candidates: int) -> Verdict | None:
    """Whether a winner lies above the reference baseline for other seeds and users than these.

    Args:
        scores: of the winner.
        baseline_ranks_U: of the baseline, for the same users; None where it was not measured.
        metric: to compare by.
        num_candidates: how many the winner was chosen from by these users.
    """
    if baseline_ranks_U is None:
        return None
    gains_SU = scores.gains(metric)
    baseline_SU = np.broadcast_to(gains(baseline_ranks_U, metric).numpy(), gains_SU.shape)
    found = paired_bootstrap(gains_SU, baseline_SU, level=1 - (1 - LEVEL) / num_candidates)
    return Verdict(REFERENCE, found.difference, found.low, found.high)


def tested_beside(
    files: TrialFolder, scores: Scores, metric: str
) -> tuple[Mapping[str, Mapping[str, float]], Verdict | None]:
    """What baselines reached on the test rows when a run was tested, and the verdict there.

    Neither is known of runs that an earlier version tested. Of the metrics that were declared since, only the reference
    baseline has figures, for its ranks are kept.

    Args:
        files: of the run.
        scores: of the winner on test rows, which played no part in its choice.
        metric: to compare by.
    """
    metrics = read_test(files).get("baselines", {})
    ranks_U = torch.from_numpy(read_test_baseline_ranks(files)) if files.test_baseline_ranks.exists() else None
    if ranks_U is not None and REFERENCE in metrics:
        metrics[REFERENCE] = {**summarize(ranks_U), **metrics[REFERENCE]}
    return metrics, verdict_on(scores, ranks_U, metric, num_candidates=1)


def user_groups(data: SearchData, tested: TrialFolder | None = None) -> dict[str, NDArray[np.bool_]]:
    """mask_U of the head and the tail users among those that were evaluated (BLADE, Figure 4).

    Tail users mostly show long-tail behaviors. No groups where the data names no such behaviors.

    Args:
        data: of the search.
        tested: of a run, for the users with a test row; else those with a validation row.
    """
    if not data.config.long_tail:
        return {}
    users_U = rows_with(data.valid).numpy() + 1 if tested is None else read_test_ranks(tested)[0]
    is_tail_U = tail_users(data)[users_U]
    return {"head": ~is_tail_U, "tail": is_tail_U}
