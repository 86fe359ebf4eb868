"""From searched families to one model: the best are confirmed on fresh seeds, and the simplest that holds is chosen."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from blade_tune.auto.family import Family
from blade_tune.auto.schedule import EXPORT_S, SLACK, Schedule
from blade_tune.errors import BladeTuneError, InterruptedStudyError, RunsMissingError, StorageError
from blade_tune.selection.comparison import Comparisons, Contender
from blade_tune.selection.confirm import confirm
from blade_tune.selection.contenders import compare
from blade_tune.selection.ensemble import Ensemble, choose_ensemble, confirmed_runs
from blade_tune.selection.runs import SHORTEST_S, RunExecutor
from blade_tune.selection.statistics import Comparison
from blade_tune.selection.testing import Opening

log = logging.getLogger(__name__)

COMMAND = "auto"  # as the ledger names it
NUM_FITTED = 3  # families that are fitted at once and are confirmed
# A simpler model is taken unless the best one is better with a p-value at most so high, two-sided.
SIMPLER_UNLESS = 0.1


@dataclass(frozen=True)
class Chosen:
    """The chosen family among those whose winner was confirmed."""

    comparisons: Comparisons
    chosen: Contender
    # The chosen minus the best other model that is fitted at once; None where there is none
    over_classical: tuple[str, Comparison] | None
    # Of all confirmed runs; None where there was no time for one, or there is one run only
    ensemble: Ensemble | None = None

    @property
    def is_ensemble(self) -> bool:
        """Whether the ensemble is taken, which is better than the best run alone beyond chance."""
        return self.ensemble is not None and self.ensemble.is_taken

    @property
    def best(self) -> Contender:
        """The confirmed winner with the highest mean, which is not the chosen one where that is simpler."""
        return self.comparisons.entries[0]


def confirm_best(
    families: Sequence[Family],
    schedule: Schedule,
    executor: RunExecutor,
    num_seeds: int,
    num_neural: int,
) -> list[Family]:
    """Confirm the winners of the best families of both kinds, as far as the time lasts.

    Args:
        families: the searched families.
        schedule: the time, of which enough is left for the export.
        executor: trains the runs.
        num_seeds: fresh seeds of each winner.
        num_neural: how many of the families that train in epochs are confirmed, the best first.

    Returns:
        The families whose winner is confirmed.
    """
    scored = [family for family in families if family.seen.best is not None]
    scored.sort(key=lambda family: family.seen.best or 0.0, reverse=True)
    neural = [family for family in scored if not family.is_fitted][:num_neural]
    fitted = [family for family in scored if family.is_fitted][:NUM_FITTED]
    confirmed = []
    # Fits take seconds, so they come first
    for family in [*fitted, *neural]:
        training_s = family.seen.longest_s
        left_s = schedule.left_s - EXPORT_S - SLACK * training_s  # which the export takes
        if _confirm(family, left_s, executor, num_seeds):
            confirmed.append(family)
    # One in any case, beyond the time if need be: a model that is late is better than none
    for family in [*fitted, *neural]:
        if not confirmed and _confirm(family, None, executor, num_seeds):
            confirmed.append(family)
    return confirmed


def _confirm(family: Family, left_s: float | None, executor: RunExecutor, num_seeds: int) -> bool:
    """Confirm the winner of one family in some seconds; return False where time or a failure prevents it."""
    limit = None if left_s is None else max(SHORTEST_S, left_s)
    settings = executor.settings.model_copy(update={"time": limit})
    timed = RunExecutor(settings, executor.placements, executor.callback)
    try:
        confirm(family.stored, 1, num_seeds, timed)
    except (InterruptedStudyError, StorageError):
        raise
    except RunsMissingError:
        family.left = family.left or "there was no time to confirm its winner"
        return False
    except BladeTuneError as error:
        log.warning("model=%s cannot be confirmed: %s", family.model, error)
        return False
    return True


def choose(
    confirmed: Sequence[Family], schedule: Schedule, executor: RunExecutor, num_seeds: int
) -> Chosen:
    """Compare confirmed winners, and choose the simplest that cannot be told from the best, or an ensemble.

    Args:
        confirmed: families whose winner is confirmed, at least one.
        schedule: the time, of which enough is left for the export.
        executor: says where the data is.
        num_seeds: fresh seeds of each winner, whose runs may be members of an ensemble.
    """
    opening = Opening(COMMAND, torch.device("cpu"), executor.settings.data)
    found = compare([family.stored for family in confirmed], "valid", opening)
    # The best of each kind, the simplest kind first; entries are in order of their means, so that the first is the best
    best = found.entries[0]
    chosen = best
    for is_of_kind in (_is_popularity, _is_fitted):
        of_kind = next(filter(is_of_kind, found.entries), None)
        if of_kind and _is_as_good(of_kind, found):
            chosen = of_kind
            break
    classical = [
        entry for entry in found.entries if entry.study.definition.is_fitted and entry is not chosen
    ]
    over = None
    if classical:
        rival = classical[0].label
        over = rival, found.difference(chosen.label, rival)
    training_s = max(family.seen.longest_s for family in confirmed)
    left_s = schedule.left_s - EXPORT_S - SLACK * training_s
    ensemble = None
    if left_s > 0:
        runs = confirmed_runs([family.stored for family in confirmed], num_seeds=num_seeds)
        device = torch.device(executor.placements[0].device)
        if len(runs) > 1:
            ensemble = choose_ensemble(runs, device, executor.settings.data)
    return Chosen(found, chosen, over, ensemble)


def _is_popularity(model: Contender) -> bool:
    return model.label == "popularity"


def _is_fitted(model: Contender) -> bool:
    return model.study.definition.is_fitted


def _is_as_good(model: Contender, found: Comparisons) -> bool:
    """Whether the best model of a comparison is not better than this one beyond chance."""
    best = found.entries[0]
    return model is best or found.difference(best.label, model.label).p_value > SIMPLER_UNLESS
