"""Fitting of models without epochs, such as item-kNN, with the interface of `Training`: one epoch, one evaluation."""

import logging
import time

import torch
from threadpoolctl import threadpool_limits

from blade_tune.catalog import Interactions
from blade_tune.errors import InterruptedStudyError
from blade_tune.models.fitted import FittedRecommender
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.loop import Hooks, TrainingResult

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
        self.num_steps = 0  # of an optimizer, which a fit does without
        self.is_over = False  # whether the model is fitted
        # The result is empty until the fit.
        no_ranks_U = torch.empty(0, dtype=torch.int64)
        self.result = TrainingResult(0, {}, {}, no_ranks_U, self.history)

    def run(self, hooks: Hooks) -> TrainingResult:
        """Fit and evaluate the model once; `hooks.checkpoint` is not used.

        Raises:
            ConfigError: the model cannot be fitted to data of this size with this configuration.
            NonFiniteError: a score is NaN or infinite.
            InterruptedStudyError: `hooks.should_stop` returned True before the fit.
        """
        if hooks.should_stop():
            raise InterruptedStudyError("stopped before the fit.")

        # Fit and evaluate.
        start, cpu_start = time.perf_counter(), time.process_time()
        self.fit()
        evaluation = hooks.evaluate(self.model)
        seconds = time.perf_counter() - start
        cpu_seconds = time.process_time() - cpu_start

        # Report the fit as one epoch.
        record = EpochRecord(1, {}, None, seconds, evaluation.metrics, cpu_seconds)
        self.history.append(record)
        self.is_over = True
        figures = " ".join(f"{name}={value:.6g}" for name, value in record.metrics.items())
        log.info("fitted s=%.3f %s", seconds, figures)
        hooks.on_epoch(record)

        weights = {}
        for name, weight in self.model.state_dict().items():
            weights[name] = weight.cpu().clone().contiguous()
        self.result = TrainingResult(
            best_epoch=1,
            metrics=evaluation.metrics,
            weights=weights,
            ranks_U=evaluation.ranks_U,
            history=self.history,
        )
        return self.result

    def fit(self) -> None:
        """Fit the model on the CPU, then move it to the device."""
        # With one thread, the last bits do not depend on the machine's cores.
        with threadpool_limits(1, "blas"):
            self.model.fit(self.rows, self.seed)
        self.model.to(self.device)
