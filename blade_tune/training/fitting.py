"""The fit of a model that has no epochs, as a training of one."""

import logging
import time

import torch
from threadpoolctl import threadpool_limits

from blade_tune.batch import Interactions
from blade_tune.errors import InterruptedStudyError
from blade_tune.models.fitted import FittedRecommender
from blade_tune.training.loop import EpochRecord, Hooks, TrainingResult

log = logging.getLogger(__name__)


class Fitting:
    """One model's fit, with the surroundings of a training: a trial is made of either.

    It has no checkpoint, for it takes seconds: an interrupted one begins anew, and gives the same, to the last bit.

    Args:
        model: built, not fitted.
        rows: to fit to.
        seed: of what the fit draws.
        device: where the model ranks; it is fitted on the CPU.
    """

    def __init__(
        self, model: FittedRecommender, rows: Interactions, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self.model = model
        self.rows = rows
        self.seed = seed
        self.device = device
        self.history: list[EpochRecord] = []
        self.num_restored = 0
        self.outcome = TrainingResult(0, {}, {}, torch.empty(0, dtype=torch.int64), self.history)  # of no fit yet

    def run(self, hooks: Hooks) -> TrainingResult:
        """Fit and evaluate once.

        Raises:
            ConfigError: the configuration does not go with data of this size.
            NonFiniteError: a score is NaN or infinite.
            InterruptedStudyError: `hooks.should_stop` said so before the fit.
        """
        if hooks.should_stop():
            raise InterruptedStudyError("stopped before the fit.")
        start = time.perf_counter()
        self.fit()
        evaluation = hooks.evaluate(self.model)
        record = EpochRecord(1, {}, None, time.perf_counter() - start, evaluation.metrics)
        self.history.append(record)
        log.info("fitted s=%.3f %s", record.seconds, " ".join(f"{k}={v:.6g}" for k, v in record.metrics.items()))
        hooks.on_epoch(record)
        weights = {name: weight.cpu().clone().contiguous() for name, weight in self.model.state_dict().items()}
        self.outcome = TrainingResult(1, evaluation.metrics, weights, evaluation.ranks_U, self.history)
        return self.outcome

    def fit(self) -> None:
        """Fit; linear algebra outside of torch has one thread, so that its last bits are the same everywhere."""
        with threadpool_limits(1, "blas"):
            self.model.fit(self.rows, self.seed)
        self.model.to(self.device)
