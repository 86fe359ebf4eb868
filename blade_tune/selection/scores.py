"""Scores of a configuration's runs, per seed and user: read from files of ranks, compared with baselines, by groups.

Shapes stand in names: S seeds, U evaluated users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from blade_tune.data.statistics import tail_shares, tail_users
from blade_tune.data.store import SearchData
from blade_tune.errors import DamagedFileError, RunsMissingError
from blade_tune.metrics import METRICS, agree, gains, summarize
from blade_tune.selection.groups import FEWEST_USERS, groups_of
from blade_tune.selection.statistics import Estimate, estimate, paired_bootstrap
from blade_tune.storage.folder import TrialFolder
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import LEVEL, Ranks, Verdict
from blade_tune.training.baselines import REFERENCE
from blade_tune.trial.files import read_ranks, read_test, read_test_baseline_ranks, read_test_ranks

EvaluatedPart = Literal["valid", "test"]


@dataclass(frozen=True)
class Scores:
    """The ranks of one configuration's runs on one part of the data, with one row per seed, and metrics of them."""

    label: str
    ranks_SU: NDArray[np.int32]

    @cached_property
    def metrics(self) -> dict[str, tuple[float, ...]]:
        """The value of every metric, one per seed.

        It is computed from the ranks, so that metrics added to the package after the runs are included.
        """
        summaries = [summarize(ranks_U) for ranks_U in self.ranks_SU]
        return {name: tuple(summary[name] for summary in summaries) for name in METRICS}

    def estimate(self, metric: str) -> Estimate:
        """Return the mean of a metric over seeds, with its interval."""
        return estimate(self.metrics[metric])

    def gains(self, metric: str) -> NDArray[np.float64]:
        """Return gains_SU: each user's own value of a metric, whose mean over users is the metric."""
        return gains(self.ranks_SU, metric)

    def of_users(self, mask_U: NDArray[np.bool_], metric: str) -> Estimate | None:
        """Return the mean of a metric over seeds for some users; None if they are fewer than `FEWEST_USERS`."""
        if mask_U.sum() < FEWEST_USERS:
            return None
        means_S = self.gains(metric)[:, mask_U].mean(axis=1)
        return estimate(means_S.tolist())


def load_scores(
    study: StoredStudy, label: str, runs: Sequence[FrozenTrial], part: EvaluatedPart
) -> Scores:
    """Read the scores of one configuration's complete runs.

    Args:
        study: the study of runs, which the runs are trials of.
        label: name of the configuration.
        runs: the runs, one per seed.
        part: "valid", or "test" for runs that `test_runs` has ranked the test rows with.

    Raises:
        RunsMissingError: a run's files are not in this results folder, or its validation ranks are damaged.
        DamagedFileError: a run's test ranks or figures are damaged.
    """
    ranks_of = _tested if part == "test" else _validated
    return Scores(label, np.stack([ranks_of(study, run) for run in runs]))


def valid_figures(study: StoredStudy, trial: FrozenTrial) -> dict[str, float]:
    """Return a trial's validation figures, by metric.

    Metrics that were added to the package after the trial are computed from its ranks, if these are on this machine and
    not damaged; else they are left out.
    """
    stored = TrialRecord(trial).metrics
    if not stored or stored.keys() >= set(METRICS):
        return stored
    try:
        ranks_U = _validated(study, trial)
    except RunsMissingError:
        return stored
    computed = summarize(ranks_U)
    added = {metric: figure for metric, figure in computed.items() if metric not in stored}
    return stored | added


def _validated(study: StoredStudy, run: FrozenTrial) -> NDArray[np.int32]:
    """Return ranks_U of a run on the validation rows, checked against its stored figures."""
    folder = study.files(run)
    again = f"`blade-tune reproduce {run.number} --study {study.definition.name}` makes it again."
    if not folder.ranks.exists():
        raise RunsMissingError(
            f"{folder.ranks}: must be in this results folder; give --results, or {again}"
        )
    try:
        return _agreed(folder.ranks, read_ranks(folder), TrialRecord(run).metrics)
    except DamagedFileError as error:
        raise RunsMissingError(f"{error} {again}") from None


def _tested(study: StoredStudy, run: FrozenTrial) -> NDArray[np.int32]:
    """Return ranks_U of a run on the test rows, checked against its stored figures."""
    folder = study.files(run)
    if not folder.test.exists():
        raise RunsMissingError(
            f"{folder.test}: the test figures of run {run.number} must be in this results folder."
        )
    facts = read_test(folder)  # first, since it checks the digest of the file of ranks too
    return _agreed(folder.test_ranks, read_test_ranks(folder)[1], facts)


def _agreed(path: Path, ranks_U: NDArray[np.int32], facts: Mapping[str, Any]) -> NDArray[np.int32]:
    """Return ranks_U unchanged, after checking that the stored figures follow from them.

    Args:
        path: the file of ranks, for the message.
        ranks_U: the ranks.
        facts: what was stored with the ranks, metrics among it.

    Raises:
        DamagedFileError: the figures are not those of the ranks.
    """
    if not agree(ranks_U, facts):
        raise DamagedFileError(f"{path}: holds other ranks than those that its figures come from.")
    return ranks_U


def verdict_on(
    scores: Scores, baseline_ranks_U: Ranks | None, metric: str, owed: float = 0.0
) -> Verdict | None:
    """Return the comparison of a winner with the reference baseline, for other users and seeds than those at hand.

    Args:
        scores: the winner's scores.
        baseline_ranks_U: the baseline's ranks for the same users; None where it was not measured.
        metric: name of the metric to compare by.
        owed: how much of the winner's mean is owed to its having been chosen on these users and seeds.

    Returns:
        None where the baseline was not measured.
    """
    if baseline_ranks_U is None:
        return None
    gains_SU = scores.gains(metric)
    # No seed changes the baseline, so its one row of gains is paired with each of the winner's.
    baseline_SU = np.broadcast_to(gains(baseline_ranks_U, metric), gains_SU.shape)
    found = paired_bootstrap(gains_SU, baseline_SU, level=LEVEL)
    return Verdict(REFERENCE, found.difference - owed, found.low - owed, found.high - owed)


def tested_beside(
    files: TrialFolder, scores: Scores, metric: str
) -> tuple[Mapping[str, Mapping[str, float]], Verdict | None]:
    """Return the baselines' metrics on the test rows, measured when a run was tested, and the verdict on these rows.

    Metrics that were added to the package since then are known of the reference baseline only, whose ranks are kept.

    Args:
        files: the run's folder.
        scores: the winner's scores on the test rows, which played no part in its choice.
        metric: name of the metric to compare by.

    Returns:
        Name of a baseline -> metrics, and the verdict; empty and None for runs that an earlier version tested.
    """
    metrics = read_test(files).get("baselines", {})
    ranks_U = None
    if files.test_baseline_ranks.exists():
        ranks_U = read_test_baseline_ranks(files)
    # Stored figures win over those computed from the ranks.
    if ranks_U is not None and REFERENCE in metrics:
        metrics[REFERENCE] = {**summarize(ranks_U), **metrics[REFERENCE]}
    return metrics, verdict_on(scores, ranks_U, metric)


def user_groups(
    data: SearchData, tested: TrialFolder | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Return groups of the evaluated users by the share of long-tail behaviors that they show (BLADE, Figure 4).

    The data's configuration names these behaviors. The groups are the paper's head and tail, or quantiles of the share
    where the paper's rule leaves a group too small (`groups_of`).

    Args:
        data: the search data.
        tested: folder of a run, for the users with a test row; None for the users with a validation row.

    Returns:
        Name of a group -> mask_U, True for the users of the group, the one of the lowest shares first; empty if the
        data names no long-tail behaviors.
    """
    if not data.config.long_tail:
        return {}
    if tested is None:
        users_U = np.unique(data.valid.users_N)
    else:
        users_U, _ = read_test_ranks(tested)
    return groups_of(tail_users(data)[users_U], tail_shares(data)[users_U])
