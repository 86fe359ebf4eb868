"""The keys of a study file, one pydantic class a section, whose descriptions are printed by the command line."""

from typing import Annotated, Any, Literal

from pydantic import Field

from blade_tune.config import Settings
from blade_tune.parameter import Value
from blade_tune.spec.recipes import RecipeName
from blade_tune.training.config import EvaluationConfig

SamplerName = Literal["tpe", "random", "grid", "qmc", "gp"]
PrunerName = Literal["percentile", "median", "asha", "hyperband", "promote", "none"]
TrialCount = Annotated[int, Field(ge=1)]
TRIALS = "scored trials in all"


class PrunerConfig(Settings):
    """The rule by which weak trials end early or pause, from the validation figures of all trials at the same epoch."""

    kind: PrunerName = Field("percentile", description="rule")
    percentile: float = Field(
        75.0, gt=0.0, lt=100.0, description="percentile: the share of better trials that is kept"
    )
    startup_trials: int = Field(
        10, ge=0, description="percentile, median: completed trials before any is pruned"
    )
    warmup: float = Field(
        0.2, ge=0.0, lt=1.0, description="share of max_epochs in which no trial is pruned"
    )
    audit: float = Field(
        0.05,
        ge=0.0,
        le=1.0,
        description="share of the trials to be pruned that is finished anyway, to see what is lost",
    )
    reduction_factor: int = Field(
        3, ge=2, description="asha, hyperband, promote: one in so many goes on at each rung"
    )
    rungs: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = Field(
        (0.25,),
        min_length=1,
        description="promote: shares of max_epochs after which all but the best trials pause",
    )


class SearchConfig(Settings):
    """Settings of the search: its budget, sampler, pruner and seed."""

    trials: TrialCount = Field(50, description=f"{TRIALS}; --trials wins")
    sampler: SamplerName = Field("tpe", description="what proposes configurations")
    pruner: PrunerConfig = PrunerConfig()
    seed: int = Field(
        2026, ge=0, description="study seed: every sampler and training seed comes from it"
    )


class Enqueued(Settings):
    """A configuration to try before any that the sampler proposes; the parameters that it leaves out are sampled.

    A whole configuration may lie outside the space. Then it is trained as it is, and is nothing to the sampler.
    """

    model: dict[str, Value] = Field({}, description="model parameters")
    train: dict[str, Value] = Field({}, description="training parameters")
    tag: str = Field("enqueued", description="shown beside the trial")
    whole: bool = Field(
        False, description="what it leaves out has its default, but for the length of training"
    )
    metadata: dict[str, Any] = Field({}, description="kept with the trial, used for nothing")

    @property
    def values(self) -> dict[str, Value]:
        """Its settings by dotted name."""
        return {
            **{f"model.{key}": value for key, value in self.model.items()},
            **{f"train.{key}": value for key, value in self.train.items()},
        }


class Member(Settings):
    """A trained model that a combination is made of, which is a trial of another study."""

    study: str = Field(description="the study")
    trial: int = Field(ge=0, description="the trial's number there")
    model: str = Field(description="the model")
    settings: dict[str, Value] = Field(description="its settings")
    digest: str = Field(description="SHA-256 of its weights")


class StudyFile(Settings):
    """The keys of a study file."""

    model: str = Field(description="what is tuned, a name of `blade-tune models`")
    recipe: RecipeName = Field(
        "published", description="what holds where neither space nor train says; see recipes"
    )
    space: str | dict[str, dict[str, Any]] | None = Field(
        None, description="name, path, or the space itself"
    )
    data: dict[str, Any] = Field(
        description="the interactions: their source, name, behaviors, and those that are no targets"
    )
    objective: EvaluationConfig = Field(
        EvaluationConfig(), description="how a trial is judged: metric, and what is ranked and told"
    )
    train: dict[str, Value] = Field({}, description="training settings fixed for every trial")
    search: SearchConfig = Field(
        SearchConfig(), description="how far and by which sampler and pruner it is searched"
    )
    enqueue: tuple[Enqueued, ...] = Field((), description="configurations that are tried first")
    members: tuple[Member | str, ...] = Field(
        (), description="combination: studies, or STUDY:TRIAL"
    )
    run: dict[str, Any] = Field({}, description="settings of a run; no part of the study itself")
    given: bool = Field(
        False, description="nothing is proposed, trials are put in; for studies of runs only"
    )
