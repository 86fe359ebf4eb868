"""The record of one epoch of a training, which callbacks receive and files keep."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpochRecord:
    """The figures of one epoch."""

    epoch: int  # from 1
    losses: dict[str, float]  # mean over the epoch's steps, by the model's names
    learning_rate: float | None  # of the last step; None for a fitted model
    seconds: float  # of the training steps and the evaluation
    # Figures on validation; empty for an epoch without an evaluation
    metrics: dict[str, float] = field(default_factory=dict)
    # Processor time of this process in the same while, its threads together; 0 in files of earlier versions.
    cpu_seconds: float = 0.0
