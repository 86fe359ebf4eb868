"""Ensembles of confirmed runs: which runs, how much each counts, and whether that is better than the best run alone.

Runs of any models on the same data and protocol are candidates, several seeds of one configuration among them. They
are weighed by greedy selection on validation users and judged out of bag (`greedy`). Nothing is trained, and no test
row is opened: the weights of confirmed runs are kept.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import FrozenTrial

from blade_tune.choices import Normalization
from blade_tune.data.store import SearchData
from blade_tune.errors import ConfigError, NonFiniteError, NothingToExportError
from blade_tune.metrics import gains_by_rank
from blade_tune.models.settings.combination import CombinationConfig
from blade_tune.selection.confirm import require_confirmation
from blade_tune.selection.contested import Contested, ScoredUsers
from blade_tune.selection.greedy import (
    Counts,
    OutOfBagEnsemble,
    Sums,
    greedy,
    out_of_bag_ensemble,
)
from blade_tune.selection.stored_comparison import require
from blade_tune.selection.testing import trained_model
from blade_tune.spec.definition import MOST_MEMBERS, OF_RUNS, max_length
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace

if TYPE_CHECKING:
    import torch

    from blade_tune.models.base import RecommenderModel
    from blade_tune.training.evaluation import Evaluator

log = logging.getLogger(__name__)

DRAWS = 10  # of the greedy selection, unless other is asked for
# Scores of all candidates that are in memory at once, 16 MiB
SCORES_AT_ONCE = 2**22


@dataclass(frozen=True)
class ConfirmedRun:
    """A trained model that may be a member of an ensemble: a run of a study of runs."""

    runs: StoredStudy
    trial: FrozenTrial

    @property
    def name(self) -> str:
        """The run as members of a combination are named, STUDY.runs:NUMBER."""
        return f"{self.runs.definition.name}:{self.trial.number}"

    @property
    def search(self) -> str:
        """Name of the search that it confirms."""
        return self.runs.definition.name.removesuffix(OF_RUNS)

    @property
    def model(self) -> str:
        """Name of its model."""
        return self.runs.definition.model

    @property
    def window(self) -> int:
        """Number of newest interactions that the model sees."""
        return max_length(self.runs.definition, self.runs.values(self.trial))

    @property
    def seed(self) -> int:
        """The seed that it was trained on."""
        return TrialRecord(self.trial).seed


@dataclass(frozen=True)
class Ensemble:
    """A greedy ensemble of confirmed runs, and what it reaches beside the best of them alone."""

    metric: str
    candidates: tuple[ConfirmedRun, ...]
    counts: Counts  # how often each candidate was drawn
    normalization: Normalization
    single: int  # place of the best candidate alone, by all users
    at_hand: float  # the ensemble's figure for the users that chose it, and so too high on average
    single_at_hand: float  # that of the best candidate alone
    expected: OutOfBagEnsemble  # of both, for users that had no part in the choice
    num_users: int

    @property
    def members(self) -> list[tuple[ConfirmedRun, int]]:
        """The runs that were drawn with how often each was, the most often drawn first."""
        drawn = [pair for pair in zip(self.candidates, self.counts, strict=True) if pair[1]]
        return sorted(drawn, key=lambda pair: -pair[1])

    @property
    def is_taken(self) -> bool:
        """Whether it has several members and is better than the best run alone beyond chance."""
        return len(self.members) > 1 and self.expected.comparison.low > 0

    @property
    def window(self) -> int:
        """The window under which it was chosen, the longest of all candidates."""
        return max(run.window for run in self.candidates)

    @property
    def facts(self) -> dict[str, Any]:
        """Plain facts for JSON."""
        found = self.expected.comparison
        return {
            "metric": self.metric,
            "members": {run.name: count for run, count in self.members},
            "single": self.candidates[self.single].name,
            "candidates": [run.name for run in self.candidates],
            "normalization": self.normalization,
            "users": self.num_users,
            "at_hand": {"ensemble": self.at_hand, "single": self.single_at_hand},
            "expected": {"ensemble": self.expected.ensemble, "single": self.expected.single},
            "difference": found.difference,
            "low": found.low,
            "high": found.high,
            "p_value": found.p_value,
            "is_taken": self.is_taken,
        }

    @property
    def words(self) -> str:
        """The figures of both and the verdict, in sentences."""
        found, best = self.expected.comparison, self.candidates[self.single].name
        if len(self.members) == 1:
            return (
                f"Not taken: no sum of runs is above {best} alone for the {self.num_users:,} users."
            )
        verdict = "Taken." if self.is_taken else "Not taken: the interval does not lie above 0."
        return (
            f"For users that had no part in the choice expect valid {self.metric} {self.expected.ensemble:.4f}, "
            f"and {self.expected.single:.4f} of the best run alone: {found.difference:+.4f} "
            f"({found.low:+.4f} to {found.high:+.4f}, 95%). {verdict}"
        )


def require_taken(ensemble: Ensemble) -> None:
    """Refuse an ensemble that is not better than the best run alone beyond chance.

    Raises:
        NothingToExportError: it is not; the message has its figures and names what to export instead.
    """
    if not ensemble.is_taken:
        search = ensemble.candidates[ensemble.single].search
        raise NothingToExportError(
            f"no ensemble to export. {ensemble.words} `blade-tune export-best --study {search}` writes the best."
        )


def searches_of(names: Sequence[str], workspace: Workspace) -> list[StoredStudy]:
    """Return the searches of some names, of which those of comparisons stand for their confirmed models.

    A comparison's combination is left out, and so, with a warning, are its models that are not confirmed.

    Args:
        names: of stored searches or comparisons.
        workspace: where they are stored.

    Raises:
        ConfigError: there is none of a name, or a comparison has no confirmed model.
    """
    found: dict[str, StoredStudy] = {}
    for name in names:
        stored = require(workspace, name)
        if isinstance(stored, StoredStudy):
            found[stored.definition.name] = stored
            continue
        for model, words in stored.missing.items():
            log.warning("comparison=%s %s is left out: %s", name, model, words)
        ready = [each for each in stored.searches if each.label in stored.confirmations]
        if not ready:
            raise ConfigError(f"comparison {name}: has no confirmed model; `{stored.command}`.")
        found |= {each.definition.name: each for each in ready if not each.definition.members}
    return list(found.values())


def confirmed_runs(
    searches: Sequence[StoredStudy], top: int = 1, num_seeds: int = 3
) -> list[ConfirmedRun]:
    """Return the runs of confirmed searches that may be members of an ensemble.

    Args:
        searches: the searches; a combination cannot be a member of another one.
        top: number of best confirmed configurations of each search.
        num_seeds: number of the first fresh seeds whose runs are taken; a model that no seed changes has one run.

    Raises:
        ConfigError: a search is not confirmed or is one of combinations, or two differ in data or protocol.
    """
    first = searches[0]
    found = []
    for search in searches:
        name = search.definition.name
        if search.definition.members:
            raise ConfigError(
                f"study {name}: is a combination; name the studies that it is made of."
            )
        _require_comparable(first, search)
        confirmation = require_confirmation(search)
        trials = confirmation.runs.trials
        for candidate in confirmation.candidates[:top]:
            for number in candidate.runs[:num_seeds]:
                found.append(ConfirmedRun(confirmation.runs, trials[number]))
    return found


def _require_comparable(first: StoredStudy, other: StoredStudy) -> None:
    """Refuse a search on other data or under another protocol than the first one.

    Raises:
        ConfigError: the message names the study and what differs.
    """
    asked = [study.definition.objective.model_dump(mode="json") for study in (first, other)]
    hashes = [
        {"data": study.study.user_attrs["fingerprint"]["data"][:12]} for study in (first, other)
    ]
    then, now = ({**known, **protocol} for known, protocol in zip(hashes, asked, strict=True))
    differing = [
        f"{name} {now[name]}, not {then[name]}" for name in then if then[name] != now[name]
    ]
    if differing:
        raise ConfigError(
            f"study {other.definition.name}: must have the data and protocol of {first.definition.name}, "
            f"got {'; '.join(differing)}."
        )


def choose_ensemble(
    candidates: Sequence[ConfirmedRun],
    device: "torch.device",
    data_directory: Path | None = None,
    *,
    draws: int = DRAWS,
    normalization: Normalization = "scores",
) -> Ensemble:
    """Choose an ensemble of confirmed runs on the validation users, and judge it on users that had no part in it.

    All candidates rank under one window, the longest of theirs, and so leave out the same items.

    Args:
        candidates: the runs, on the same data and under the same protocol. Of equal ones the first is preferred.
        device: where the models score.
        data_directory: the folder of the data's files, if it is not the studies' own.
        draws: number of draws at most; how often a run is drawn is its weight.
        normalization: what is summed, as in a combination.

    Raises:
        ConfigError: there is no candidate, or fewer than two validation users.
        RunsMissingError: a run's weights are missing or damaged.
        NonFiniteError: a score is NaN or infinite.
    """
    if not candidates:
        raise ConfigError("an ensemble needs a confirmed run, got none.")
    runs = candidates[0].runs
    data = runs.data(data_directory)
    if len(data.valid) < 2:
        raise ConfigError(
            f"users are left out to judge an ensemble, got {len(data.valid)} of them."
        )
    metric = runs.definition.objective.metric
    blocks = _blocks(candidates, data, CombinationConfig(normalization=normalization), device)
    sums = Sums(Contested.of(blocks, len(gains_by_rank(metric))), metric)

    # The choice by all users, and the same choice out of bag
    everybody_RX = np.ones((1, len(sums.contested.users_X)))
    [counts] = greedy(sums, everybody_RX, draws, MOST_MEMBERS)
    [single] = greedy(sums, everybody_RX, 1, MOST_MEMBERS)
    num_users = sums.contested.num_users
    return Ensemble(
        metric=metric,
        candidates=tuple(candidates),
        counts=counts,
        normalization=normalization,
        single=single.index(1),
        at_hand=float(sums.gains(counts).sum()) / num_users,
        single_at_hand=float(sums.gains(single).sum()) / num_users,
        expected=out_of_bag_ensemble(sums, draws, MOST_MEMBERS),
        num_users=num_users,
    )


def _blocks(
    candidates: Sequence[ConfirmedRun],
    data: SearchData,
    config: CombinationConfig,
    device: "torch.device",
) -> Iterator[ScoredUsers]:
    """Yield what the candidates say of all items, a block of validation users at a time."""
    import torch  # reports do not need it

    from blade_tune.data.sequences import rows_with
    from blade_tune.training.evaluation import Evaluator

    models = [
        trained_model(run.runs, run.trial, data.catalog).to(device).eval() for run in candidates
    ]
    windows = data.windows("valid", max(run.window for run in candidates)).to(device)
    objective = candidates[0].runs.definition.objective
    evaluator = Evaluator(windows, rows_with(data.valid), data.catalog, objective)
    places_U = torch.arange(len(evaluator.rows_U), device=device)
    at_once = max(1, SCORES_AT_ONCE // (len(models) * (data.num_items + 1)))
    for places_B in places_U.split(at_once):
        yield _block(models, evaluator, places_B, config)


def _block(
    models: "Sequence[RecommenderModel]",
    evaluator: "Evaluator",
    places_B: "torch.Tensor",
    config: CombinationConfig,
) -> ScoredUsers:
    """Return what models say of all items for some users, as a combination of them would sum it."""
    import torch

    from blade_tune.models.combination import comparable
    from blade_tune.training.ranking import NOT_FINITE

    batch = evaluator.batch(places_B)
    scores = []
    with torch.inference_mode():
        for model in models:
            scores_BV = model.scores(batch.newest(model.max_length))[:, 1:]
            if not torch.isfinite(torch.stack(torch.aminmax(scores_BV))).all():
                raise NonFiniteError(NOT_FINITE)
            scores.append(comparable(scores_BV.float(), config).cpu().numpy())
    targets_B = evaluator.windows.targets(evaluator.rows_U[places_B])
    return ScoredUsers(
        np.stack(scores), targets_B.cpu().numpy(), evaluator.excluded(places_B).cpu().numpy()
    )
