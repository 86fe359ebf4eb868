"""Early stopping: tracks the best epoch of a training, and decides when to stop waiting for a better one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

EIDP_METRICS = ("ndcg@10", "hr@10")  # the metrics that EIDP's rule looks at
EIDP_MARGIN = 1e-5  # by which a metric must rise under that rule


@dataclass
class EarlyStopping:
    """State of early stopping over the evaluations of one training.

    Rule "objective": a higher value of `metric` is better. Rule "eidp": the best epoch moves only when NDCG@10 and
    HR@10 both rise by over 1e-5, yet patience starts anew when either beats the stored pair, so it may never stop.
    """

    metric: str
    patience: int  # evaluations without a better one, after which training stops
    rule: Literal["objective", "eidp"] = "objective"
    best_epoch: int = 0  # 0 before the first evaluation
    best: dict[str, float] = field(default_factory=dict)  # all metrics of the best epoch
    waited: int = 0  # evaluations since patience last started anew

    def update(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Record one evaluation, and return whether it is the best so far.

        Args:
            epoch: number of the evaluated epoch, from 1.
            metrics: value of every metric at that epoch.
        """
        watched: tuple[str, ...] = (self.metric,)
        margin = 0.0
        if self.rule == "eidp":
            watched = EIDP_METRICS
            margin = EIDP_MARGIN

        # Under rule "objective" one metric is watched, so that "all" and "any" are the same.
        rises = [not self.best or metrics[name] > self.best[name] + margin for name in watched]
        if all(rises):
            self.best_epoch = epoch
            self.best = dict(metrics)
        self.waited = 0 if any(rises) else self.waited + 1
        return all(rises)

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return the state as keyword arguments of the class, for a checkpoint."""
        return asdict(self)
