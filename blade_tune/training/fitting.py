"""Fitting of models without epochs, such as item-kNN, with the interface of `Training`: one epoch, one evaluation."""

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
    """The fit of one model, which a trial can run in place of a `Training`.

    There is no checkpoint, since a fit takes seconds: an interrupted fit is repeated, with a bit-identical result.

    Args:
        model: the model, built but not fitted.
        rows: the interactions to fit to.
        seed: seed of everything that the fit draws.
        device: the device that the model ranks on; it is fitted on the CPU.
    """

    def __init__(
        self,
        model: FittedRecommender,
        rows: Interactions,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.model = model
        self.rows = rows
        self.seed = seed
        self.device = device
        self.history: list[EpochRecord] = []
        self.num_restored = 0
        # Empty until the fit
        self.result = TrainingResult(0, {}, {}, torch.empty(0, dtype=torch.int64), self.history)

    def run(self, hooks: Hooks) -> TrainingResult:
        """Fit and evaluate the model once; `hooks.checkpoint` is not used.

        Raises:
            ConfigError: the model cannot be fitted to data of this size with this configuration.
            NonFiniteError: a score is NaN or infinite.
            InterruptedStudyError: `hooks.should_stop` returned True before the fit.
        """
        if hooks.should_stop():
            raise InterruptedStudyError("stopped before the fit.")
        start = time.perf_counter()
        self.fit()
        evaluation = hooks.evaluate(self.model)
        record = EpochRecord(1, {}, None, time.perf_counter() - start, evaluation.metrics)
        self.history.append(record)
        log.info(
            "fitted s=%.3f %s",
            record.seconds,
            " ".join(f"{k}={v:.6g}" for k, v in record.metrics.items()),
        )
        hooks.on_epoch(record)
        weights = {
            name: weight.cpu().clone().contiguous()
            for name, weight in self.model.state_dict().items()
        }
        self.result = TrainingResult(
            1, evaluation.metrics, weights, evaluation.ranks_U, self.history
        )
        return self.result

    def fit(self) -> None:
        """Fit the model on the CPU, then move it to the device."""
        # With one thread, the last bits do not depend on the machine's cores
        with threadpool_limits(1, "blas"):
            self.model.fit(self.rows, self.seed)
        self.model.to(self.device)
