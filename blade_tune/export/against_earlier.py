"""Comparison of a model with that of an earlier bundle, user by user on the newest rows, with untuned baselines."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from blade_tune.errors import DataError
from blade_tune.export import JudgedOn
from blade_tune.export.data_origin import DataOrigin
from blade_tune.export.earlier_bundle import EarlierBundle
from blade_tune.export.earlier_ranks import EarlierNumbers, NewestRows, earlier_ranks
from blade_tune.metrics import gains
from blade_tune.models.base import RecommenderModel
from blade_tune.selection.statistics import paired_bootstrap
from blade_tune.study.verdict import Ranks, of_pair, pair
from blade_tune.training.baselines import REFERENCE, measure

Outcome = Literal["better", "worse", "undecided"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class AgainstEarlier:
    """The ranks of the new and of the earlier model on the same rows, users in one order, and of the baselines."""

    judged_on: JudgedOn
    metric: str
    new_U: Ranks
    earlier_U: Ranks
    knows_U: Mask  # whether the earlier model knows the item of the row
    is_new_user_U: Mask  # whether it does not know the user
    baselines: Mapping[str, Ranks]

    @property
    def outcome(self) -> Outcome:
        """What the 95% interval of new minus earlier says: it lies above 0, below, or around it."""
        difference = self.difference(np.ones(len(self.new_U), bool))
        if difference["low"] > 0:
            return "better"
        return "worse" if difference["high"] < 0 else "undecided"

    def difference(self, rows_U: Mask) -> dict[str, float]:
        """Return the mean of new minus earlier over some rows, its interval over users, and the p-value."""
        first, second = (
            gains(ranks[rows_U], self.metric) for ranks in (self.new_U, self.earlier_U)
        )
        return asdict(paired_bootstrap([first], [second]))

    @property
    def facts(self) -> dict[str, Any]:
        """Plain facts for the bundle's metrics and for people."""
        everywhere = np.ones(len(self.new_U), bool)
        verdicts = {}
        if REFERENCE in self.baselines:
            for name, ranks_U in (("new", self.new_U), ("earlier", self.earlier_U)):
                paired = pair(ranks_U, self.baselines[REFERENCE], self.metric)
                verdicts[name] = str(of_pair(paired))
        return {
            "judged_on": self.judged_on,
            "outcome": self.outcome,
            "metric": self.metric,
            **self._figures(everywhere),
            "baselines": {
                name: self._mean(ranks_U, everywhere) for name, ranks_U in self.baselines.items()
            },
            "verdicts": verdicts,
            # Misses of the earlier model that it could not help
            "rows_of_new_items": int((~self.knows_U).sum()),
            "rows_of_new_users": int(self.is_new_user_U.sum()),
            "where_both_know_the_item": self._figures(self.knows_U) if self.knows_U.any() else None,
        }

    def _figures(self, rows_U: Mask) -> dict[str, Any]:
        return {
            "rows": int(rows_U.sum()),
            "new": self._mean(self.new_U, rows_U),
            "earlier": self._mean(self.earlier_U, rows_U),
            "difference": self.difference(rows_U),
        }

    def _mean(self, ranks_U: Ranks, rows_U: Mask) -> float:
        return float(gains(ranks_U[rows_U], self.metric).mean())


def against_earlier(
    model: RecommenderModel,
    bundle: EarlierBundle,
    rows: NewestRows,
    origin: DataOrigin,
    judged_on: JudgedOn,
) -> AgainstEarlier:
    """Rank the newest rows with a model, an earlier bundle's model and untuned baselines.

    Args:
        model: a model of the newer data.
        bundle: the earlier bundle.
        rows: the newest rows; baselines are fitted to the first of their parts, train.
        origin: of the newer data, for its ids.
        judged_on: which rows they are.

    Raises:
        DataError: there is no row to predict.
    """
    rows_U = rows.rows_U
    if not len(rows_U):
        raise DataError(f"no {judged_on} row is left whose user and item have a train row.")
    evaluator = rows.evaluator(model.max_length)
    baselines = measure(evaluator, rows.parts[0], rows.catalog)
    numbers = EarlierNumbers.of(
        (origin.users, bundle.loaded.users), (origin.items, bundle.loaded.items)
    )
    earlier = bundle.loaded.model.to(rows.device)
    ranks_U, knows_U = earlier_ranks(earlier, rows, numbers)
    return AgainstEarlier(
        judged_on,
        rows.objective.metric,
        evaluator(model).ranks_U.numpy(),
        ranks_U.numpy(),
        knows_U.numpy(),
        numbers.users_U[rows_U.numpy() + 1] == 0,
        baselines.ranks,
    )
