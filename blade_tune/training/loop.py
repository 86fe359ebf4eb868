"""The training loop of all neural models: epochs, evaluation, early stopping, checkpoints and their resumption.

The loop knows nothing of studies or trials; it takes part in them through `Hooks`, functions that its caller passes.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from blade_tune.batch import Batch
from blade_tune.data.sequences import Windows
from blade_tune.errors import InterruptedStudyError, NonFiniteError
from blade_tune.models.base import NeuralRecommender, RecommenderModel
from blade_tune.training.checkpoint import find_checkpoint, restore_rng, rng_state, save_checkpoint
from blade_tune.training.config import TrainConfig
from blade_tune.training.early_stopping import EarlyStopping
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.evaluation import Evaluation
from blade_tune.training.negatives import NegativeSampler

log = logging.getLogger(__name__)


@dataclass
class TrainingResult:
    """The best epoch of a training, and the figures of all epochs."""

    best_epoch: int  # from 1; 0 before the first evaluation
    metrics: dict[str, float]  # of the best epoch, as are weights and ranks
    weights: dict[str, Tensor]  # on the CPU
    ranks_U: Tensor  # rank of each evaluated user's item
    history: list[EpochRecord]
    is_cut: bool = False  # whether `Hooks.is_spent` ended the training before its time


@dataclass(frozen=True)
class Hooks:
    """The functions through which a training's caller evaluates, observes and stops it, and its checkpoint file."""

    evaluate: Callable[[RecommenderModel], Evaluation]
    # Called after every epoch, once its checkpoint is written; may raise an error to end the training
    on_epoch: Callable[[EpochRecord], None] = lambda _: None
    # Called after every epoch; True ends the training with a checkpoint
    should_stop: Callable[[], bool] = lambda: False
    # Called after every evaluation that is not the last; True ends the training with its best epoch so far
    is_spent: Callable[[], bool] = lambda: False
    # The file is loaded if it exists and is whole, and written at each evaluation and when the training is stopped
    checkpoint: Path | None = None


class Training:
    """The training of one model, which can be interrupted and resumed from its checkpoint.

    Everything random is drawn from torch's default generators, which the caller seeds before it builds the model; their
    states are part of a checkpoint. On a CPU, an interrupted and resumed training ends bit-identical to an
    uninterrupted one.

    Args:
        model: the model on its device, freshly initialized.
        windows: training windows on the same device; rows without a real step are left out.
        negatives: draws items that a user never met.
        config: the training settings.
        metric: name of the metric that early stopping follows.
    """

    def __init__(
        self,
        model: NeuralRecommender,
        windows: Windows,
        negatives: NegativeSampler,
        config: TrainConfig,
        metric: str,
    ) -> None:
        self.model = model
        self.windows = windows
        self.rows_U = windows.lengths_U.nonzero()[:, 0]
        self.negatives = negatives
        self.config = config
        self.optimizer = torch.optim.Adam(
            model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.plateau = ReduceLROnPlateau(self.optimizer, factor=0.9, patience=5, min_lr=1e-6)
        self.stopping = EarlyStopping(metric, config.patience, config.early_stop)
        self.history: list[EpochRecord] = []
        self._is_cut = False
        self.num_restored = 0  # epochs of the history that came from a checkpoint
        self.best_weights: dict[str, Tensor] = {}
        self.best_ranks_U = torch.empty(0, dtype=torch.int64)

    def run(self, hooks: Hooks) -> TrainingResult:
        """Train to the last epoch or until patience or `hooks.is_spent` ends it, and return the best epoch.

        If there is a checkpoint, the epochs in it are first replayed through `hooks.on_epoch`, so that a caller sees
        every epoch whether the training was interrupted or not.

        Raises:
            NonFiniteError: a loss or a score is NaN or infinite.
            InterruptedStudyError: `hooks.should_stop` returned True; the checkpoint holds the latest epoch.
        """
        # Go on from the checkpoint, and replay its epochs.
        checkpoint = hooks.checkpoint
        state = None if checkpoint is None else find_checkpoint(checkpoint)
        if state is not None:
            self._restore(state)
            for record in self.history:
                hooks.on_epoch(record)

        while not self.is_over:
            if self.history and self.history[-1].metrics and hooks.is_spent():
                self._is_cut = True
                break
            record = self._epoch(hooks.evaluate)
            # `should_stop` comes before the checkpoint, for it may raise where the file belongs to another process by
            # now.
            stop = hooks.should_stop()
            is_due = bool(record.metrics) or stop
            if checkpoint is not None and is_due:
                self._save(checkpoint)
            hooks.on_epoch(record)
            if stop:
                raise InterruptedStudyError(f"stopped after epoch {record.epoch}.")
        return self.result

    @property
    def is_over(self) -> bool:
        """Whether all epochs are trained, or patience has ended the training."""
        return len(self.history) >= self.config.max_epochs or self.stopping.exhausted

    @property
    def result(self) -> TrainingResult:
        """The result so far, with the best epoch until now."""
        return TrainingResult(
            best_epoch=self.stopping.best_epoch,
            metrics=self.stopping.best,
            weights=self.best_weights,
            ranks_U=self.best_ranks_U,
            history=self.history,
            is_cut=self._is_cut,
        )

    @property
    def num_steps(self) -> int:
        """The number of optimizer steps so far, those before a checkpoint included."""
        return len(self.history) * self.steps_per_epoch

    def _epoch(self, evaluate: Callable[[RecommenderModel], Evaluation]) -> EpochRecord:
        """Train one epoch, evaluate the model if that is due, and return the epoch's record."""
        start, cpu_start = time.perf_counter(), time.process_time()
        epoch = len(self.history) + 1
        losses = self.train_epoch()

        # Note the rate that the epoch was trained with before the schedule lowers it.
        learning_rate = self.optimizer.param_groups[0]["lr"]
        if self.config.schedule == "plateau":
            self.plateau.step(sum(losses.values()))

        metrics: dict[str, float] = {}
        if self.config.evaluates(epoch):
            evaluation = evaluate(self.model)
            metrics = evaluation.metrics
            if self.stopping.update(epoch, metrics):
                self._keep_best(evaluation.ranks_U)

        seconds = time.perf_counter() - start
        cpu_seconds = time.process_time() - cpu_start
        record = EpochRecord(epoch, losses, learning_rate, seconds, metrics, cpu_seconds)
        self.history.append(record)
        log.info("%s", " ".join(f"{name}={value:.6g}" for name, value in _flat(record).items()))
        return record

    def _keep_best(self, ranks_U: Tensor) -> None:
        """Copy the weights of the best epoch so far, which is the latest one, and keep its ranks."""
        self.best_weights = {}
        for name, weights in self.model.state_dict().items():
            self.best_weights[name] = weights.detach().cpu().clone()
        self.best_ranks_U = ranks_U

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimizer steps of an epoch; the last may have fewer users than a batch."""
        return math.ceil(len(self.rows_U) / self.config.batch_size)

    def time_steps(self, num_steps: int) -> float:
        """Train a number of steps, at most an epoch, and return the seconds per step.

        A loss that is not finite is no error here, since such a step costs as much as any.
        """
        start = time.perf_counter()
        with suppress(NonFiniteError):
            self.train_epoch(num_steps)
        return (time.perf_counter() - start) / min(num_steps, self.steps_per_epoch)

    def train_epoch(self, num_steps: int | None = None) -> dict[str, float]:
        """Train on all users once, in a fresh random order.

        Args:
            num_steps: end after so many steps; None for the whole epoch.

        Returns:
            The mean over steps of each loss term, by the term's name.

        Raises:
            NonFiniteError: a loss term is NaN or infinite in some step.
        """
        self.model.train()
        order_N = torch.randperm(len(self.rows_U), device=self.rows_U.device)
        batches = self.rows_U[order_N].split(self.config.batch_size)
        names: tuple[str, ...] = ()
        steps = []
        for rows_B in batches[:num_steps]:
            batch = self._with_negatives(self.windows.rows(rows_B))
            terms = self.model.losses(batch)
            names = tuple(terms)
            losses_T = torch.stack(tuple(terms.values()))
            self.optimizer.zero_grad()
            losses_T.sum().backward()
            self.optimizer.step()
            steps.append(losses_T.detach())

        # Losses are copied to the CPU and checked once per epoch: a copy after each step would stall a GPU.
        losses_ST = torch.stack(steps).cpu()
        self._check_finite(names, losses_ST)
        means = losses_ST.double().mean(dim=0).tolist()
        return dict(zip(names, means, strict=True))

    def _with_negatives(self, batch: Batch) -> Batch:
        """Draw the negatives of a batch, shared ones or one for each step, as the model's loss compares with."""
        num_shared = self.model.num_shared_negatives
        if num_shared:
            return batch.with_shared_negatives(self.negatives.draw_shared(num_shared))
        length = batch.items_BL.shape[1]
        return batch.with_negatives(self.negatives.draw(batch.users_B, length))

    def _check_finite(self, names: Sequence[str], losses_ST: Tensor) -> None:
        """Raise NonFiniteError for the first step of an epoch with a loss term that is NaN or infinite."""
        is_bad_S = ~losses_ST.isfinite().all(dim=1)
        if not is_bad_S.any():
            return
        step = int(is_bad_S.nonzero()[0])
        losses = losses_ST[step].tolist()
        terms = ", ".join(f"{name} {loss}" for name, loss in zip(names, losses, strict=True))
        learning_rate = self.optimizer.param_groups[0]["lr"]
        raise NonFiniteError(
            f"epoch {len(self.history) + 1}, step {step + 1}: a loss is not finite: {terms}, "
            f"learning rate {learning_rate}."
        )

    def _save(self, path: Path) -> None:
        """Write everything that the rest of the training depends on to a checkpoint file."""
        save_checkpoint(
            path,
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "plateau": self.plateau.state_dict(),
                "stopping": self.stopping.state_dict(),
                "history": [vars(record) for record in self.history],
                "best_weights": self.best_weights,
                "best_ranks": self.best_ranks_U,
                "rng": rng_state(),
            },
        )

    def _restore(self, state: dict[str, Any]) -> None:
        """Take over the state of a checkpoint that `_save` wrote."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.plateau.load_state_dict(state["plateau"])
        self.stopping = EarlyStopping(**state["stopping"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.num_restored = len(self.history)
        self.best_weights = state["best_weights"]
        self.best_ranks_U = state["best_ranks"]
        restore_rng(state["rng"])


def _flat(record: EpochRecord) -> dict[str, float]:
    """Return a record as one mapping for a log line, with "loss." in front of the names of losses."""
    losses = {f"loss.{name}": value for name, value in record.losses.items()}
    rate = {} if record.learning_rate is None else {"lr": record.learning_rate}
    return {"epoch": record.epoch, **losses, **record.metrics, **rate, "s": record.seconds}
