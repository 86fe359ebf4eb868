"""When training has seen its best epoch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

EIDP_METRICS = ("ndcg@10", "hr@10")
EIDP_MARGIN = 1e-5


@dataclass
class EarlyStopping:
    """Follows the evaluations of one training.

    Rule "objective": a higher value of `metric` is better. Rule "eidp": the best epoch moves only when NDCG@10 and
    HR@10 both rise by over 1e-5, yet patience starts anew when either beats the stored pair, so it may never stop.
    """

    metric: str
    patience: int
    rule: Literal["objective", "eidp"] = "objective"
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    waited: int = 0

    def update(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Take in one evaluation; gives whether it is the best so far."""
        watched, margin = (EIDP_METRICS, EIDP_MARGIN) if self.rule == "eidp" else ((self.metric,), 0.0)
        rises = [not self.best or metrics[name] > self.best[name] + margin for name in watched]
        if all(rises):
            self.best_epoch, self.best = epoch, dict(metrics)
        self.waited = 0 if any(rises) else self.waited + 1
        return all(rises)

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return asdict(self)
