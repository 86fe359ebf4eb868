"""Settings of training and evaluation, as a study file has them. Importing this module does not import torch."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from blade_tune.choices import TargetSet
from blade_tune.config import Settings
from blade_tune.metrics import METRICS

if TYPE_CHECKING:
    Metric = str  # a type checker rejects a Literal whose values are computed
else:
    Metric = Literal[METRICS]


class TrainConfig(Settings):
    """Training settings of neural models: Adam with betas (0.9, 0.999), evaluated on validation rows."""

    learning_rate: float = Field(1e-3, gt=0.0, le=1.0, description="Adam's learning rate")
    batch_size: int = Field(1024, ge=1, le=1_000_000, description="users a step")
    weight_decay: float = Field(0.0, ge=0.0, le=1.0, description="L2 penalty in the loss")
    max_epochs: int = Field(300, ge=1, le=100_000, description="epochs at most")
    eval_every: int = Field(
        5,
        ge=1,
        le=100_000,
        description="epochs from one evaluation to the next; the last epoch too",
    )
    patience: int = Field(
        10, ge=1, le=100_000, description="evaluations without a better one before training stops"
    )
    early_stop: Literal["objective", "eidp"] = Field(
        "objective",
        description="what a better evaluation is: of the study's metric, or EIDP's rule on NDCG@10 and HR@10",
    )
    schedule: Literal["constant", "plateau"] = Field(
        "constant",
        description="of the learning rate: plateau, times 0.9 when the epoch's loss has not fallen for 5 epochs, down "
        "to 1e-6 (EIDP)",
    )

    def evaluates(self, epoch: int) -> bool:
        """Return whether an epoch, counted from 1, ends with an evaluation.

        Every trial of a study is evaluated at the same epochs, so that a pruner can compare trials.
        """
        return epoch % self.eval_every == 0 or epoch == self.max_epochs


class FitConfig(Settings):
    """Training settings of fitted models, which have none to set."""

    max_epochs: ClassVar[int] = 1  # a fit counts as one epoch, with one evaluation
    eval_every: ClassVar[int] = 1


class EvaluationConfig(Settings):
    """The protocol of evaluation. All items are ranked, one held-out item per user is relevant, users are averaged."""

    metric: Metric = Field("ndcg@10", description="what the study maximizes on validation rows")
    exclude: Literal["window", "full", "none"] = Field(
        "window",
        description="items never ranked: those of the input window (EIDP), of the whole history, or none",
    )
    target_set: TargetSet = Field(
        "truth",
        description="behavior set that models are told of the item to predict: its own (EIDP), the train rows' most "
        "frequent one with a target behavior, or all target behaviors",
    )
