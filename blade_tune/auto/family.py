"""A family of models in an automatic choice: its search as it is stored, and what has been seen of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from blade_tune.auto.forecast import Forecast, Seen, TrialCurve, forecast
from blade_tune.models import MODELS
from blade_tune.spec.definition import COMBINATION, is_fitted
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import num_configurations, num_scored, root_number
from blade_tune.study.stored import StoredStudy
from blade_tune.xray.hits import METRIC
from blade_tune.xray.verdict import Finding

# Seconds of a fit, or of an epoch with the shared recipe, on QK-Video with one thread, of all models that are searched
# by themselves, by `compare --dry-run`. Only their order and their ratios count.
COST_S = {
    "popularity": 0.02,
    "pure_svd": 0.2,
    "sequential_rules": 0.3,
    "item_knn": 0.8,
    "ials": 0.9,
    "ease": 7.7,
    "sasrec": 0.8,
    "mb_str": 1.7,
    "mbht": 2.4,
    "cl4srec": 2.8,
    "eidp": 3.8,
    "dymus": 4.7,
    "blade": 5.5,
    "blade_released": 15.3,
    "dymus_plus": 47.7,
}
# What those that train in epochs read beside items: whole sets, or the type that stands for a set
READS_SETS = ("eidp", "blade", "blade_released")
READS_TYPES = ("mb_str", "mbht", "dymus", "dymus_plus")
NEW_TRIALS = 1  # for each worker and turn of a family that trains in epochs
NEW_FITS = 4  # for each worker and turn of a family that is fitted at once


@dataclass
class Family:
    """One model's search, and the reason for which it was left, if it was."""

    model: str
    stored: StoredStudy
    left: str = ""  # why it got no more time; empty where it may still get some
    counted: float = 0.0  # what the x-ray reached by counts of what the model reads beside items
    turns: int = 0  # in this run
    # What was stored of its trials at the latest `refresh`
    seen: Seen = field(default_factory=Seen)
    is_exhausted: bool = False  # whether every configuration of the space was tried by then

    def refresh(self) -> None:
        """Read from the database what is stored of the family's trials at this moment."""
        trials = self.stored.trials
        points = self.stored.definition.space.count()
        self.seen = seen_of(trials)
        self.is_exhausted = points is not None and num_configurations(trials) >= points

    @property
    def is_fitted(self) -> bool:
        """Whether the model is fitted at once."""
        return self.stored.definition.is_fitted

    def forecast(self, reference: TrialCurve | None) -> Forecast | None:
        """Return what is expected of the family's next trial, see `forecast.forecast`."""
        return forecast(self.seen, reference, self.counted)

    def ask_for(self, workers: int) -> None:
        """Set the budget of the search to a turn's trials more than are scored; those that wait come first."""
        per_worker = NEW_FITS if self.is_fitted else NEW_TRIALS
        scored = num_scored(self.stored.trials)
        self.stored.study.set_user_attr("budget", scored + per_worker * workers)


def best_of(families: Iterable[Family]) -> Family | None:
    """Return the family with the highest value; None before a trial has ended."""
    scored = [family for family in families if family.seen.best is not None]
    return max(scored, key=lambda family: family.seen.best or 0.0, default=None)


def reference_of(families: Iterable[Family]) -> TrialCurve | None:
    """Return the curve of the best ended trial that was trained in epochs; None before there is one."""
    curves = [curve for family in families if not family.is_fitted for curve in family.seen.ended]
    return max(curves, key=lambda curve: curve.best, default=None)


def searchable() -> tuple[str, ...]:
    """Return the names of all models that are searched by themselves."""
    return tuple(name for name in MODELS if name != COMBINATION)


def in_order_of_cost(models: Iterable[str]) -> list[str]:
    """Return models the cheapest first, those that are fitted at once before those that train in epochs."""
    return sorted(models, key=lambda model: (not is_fitted(model), COST_S[model]))


def counted_sets(findings: Mapping[str, Finding]) -> float:
    """Return what the x-ray reached by counts of behavior sets; 0 where they do not matter."""
    sets = findings.get("sets")
    return sets.with_it if sets and sets.verdict == "matters" else 0.0


def counted(model: str, metric: str, findings: Mapping[str, Finding]) -> float:
    """Return what the x-ray reached by counts of what a model reads beside items; 0 where it does not matter.

    Args:
        model: name of the model.
        metric: the metric of the search, whose figures those of the x-ray have to be comparable with.
        findings: the x-ray of the data, by name.
    """
    is_reader = model in READS_SETS or model in READS_TYPES
    return counted_sets(findings) if is_reader and metric == METRIC else 0.0


def in_order(models: Iterable[str], findings: Mapping[str, Finding]) -> list[str]:
    """Return models in the order in which they are looked at.

    The cheapest come first; but where behavior sets matter, of the models that train in epochs those that read them
    come before others, all but the cheapest, whose curve is the reference. Models that are fitted at once come first.

    Args:
        models: the models.
        findings: the x-ray of the data, by name.
    """
    by_cost = in_order_of_cost(models)
    if not counted_sets(findings):
        return by_cost

    def tier(model: str) -> int:
        if is_fitted(model):
            return 0
        return 1 if model in READS_SETS else 2 if model in READS_TYPES else 3

    ordered = sorted(by_cost, key=tier)
    reference = next((model for model in by_cost if not is_fitted(model)), None)
    if reference is None:
        return ordered
    ordered.remove(reference)
    place = sum(map(is_fitted, ordered))
    return [*ordered[:place], reference, *ordered[place:]]


def seen_of(rows: Sequence[FrozenTrial]) -> Seen:
    """Return the curves of the trials of a search, each made of all rows of the trial.

    Args:
        rows: all rows of the study, in order of number.
    """
    figures: dict[int, dict[int, float]] = {}
    latest: dict[int, FrozenTrial] = {}
    for row in rows:
        root = root_number(row)
        figures.setdefault(root, {}).update(row.intermediate_values)
        latest[root] = row
    ended, unfinished = [], []
    for root, row in latest.items():
        if not figures[root]:
            continue
        seconds = TrialRecord(row).get(TrialRecord.seconds, 0.0)
        curve = TrialCurve(tuple(sorted(figures[root].items())), seconds)
        if row.state in (TrialState.COMPLETE, TrialState.PRUNED):
            ended.append(curve)
        elif row.state == TrialState.WAITING:
            unfinished.append(curve)
    return Seen(tuple(ended), tuple(unfinished))
