"""Settings of models: the fields that many models share, and what a field must keep."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from blade_tune.choices import NextItemLoss, Reduction
from blade_tune.config import Settings

Augmentation = Literal["add", "mask", "flip", "none"]


class ModelConfig(Settings):
    """The hyperparameters that every model has; a model's own Config adds its own.

    It also says what is known of the model without building it: whether it `is_seeded`, so that another seed gives
    another model, and which data is `too_large` for it.

    What a field must keep:

    - It has a description, and choices (a Literal or a bool) or a bound that includes its end (`ge`, `le`). A class
      with a field that lacks one of them is refused when it is defined.
    - Every other choice, and the end of every range, gives other parameters, losses or scores. Where a field has an
      effect only under certain settings of others, `only_when` says which, and a space must not search it elsewhere.
    - Names have one meaning in all models. A field whose name ends with `dropout` is a rate, at 0 of which nothing is
      drawn; one that ends with `num_heads` must divide `embedding_size`. `lambda_` weighs the loss term `contrastive`,
      `tau` is its temperature, `augmentation` and `rho` make its views of behavior sets, and `crop_share`,
      `mask_share` and `reorder_share` its views of items. `mask_prob` is the probability that a cloze hides a slot,
      `read_sets` whether the sets of past steps are read, and `richness_weight` whether steps are weighed by the size
      of the target's behavior set.
    """

    is_seeded: ClassVar[bool] = False

    max_length: int = Field(
        50, ge=2, le=1000, description="newest interactions of a user that the model sees, L"
    )

    @classmethod
    def too_large(cls, num_users: int, num_items: int) -> str:  # noqa: ARG003 - most models take any size
        """Say why data of this size is too large for the model, and what fits instead; empty where it is not."""
        return ""

    @classmethod
    def __pydantic_init_subclass__(cls, **rest: Any) -> None:
        """Refuse a class with a field that tests and spaces cannot work with.

        Raises:
            TypeError: a field has no description, or neither choices nor a bound that includes its end.
        """
        super().__pydantic_init_subclass__(**rest)
        for name, field in cls.model_fields.items():
            path = f"{cls.__name__}.{name}"
            if not field.description:
                raise TypeError(f"{path} must have a description: Field(..., description=...).")
            if not _is_bounded(field):
                raise TypeError(
                    f"{path} must have choices or a bound that includes its end (ge, le)."
                )


def _is_bounded(field: FieldInfo) -> bool:
    has_choices = field.annotation is bool or bool(get_args(field.annotation))
    has_bound = any(hasattr(bound, "ge") or hasattr(bound, "le") for bound in field.metadata)
    return has_choices or has_bound


def only_when(**settings: tuple[Any, ...]) -> dict[str, Any]:
    """Mark a Config field as without effect unless each named field has one of the given values.

    Returns:
        What to pass as the field's `json_schema_extra`.
    """
    return {"only_when": {name: list(values) for name, values in settings.items()}}


class NeuralConfig(ModelConfig):
    """The hyperparameters that every neural model has.

    Defaults are those of the published recipe (see spec/recipes.py). A model for which one of these fields has no
    meaning names it in `refused`, and only its default is then accepted.
    """

    is_seeded: ClassVar[bool] = True
    refused: ClassVar[Mapping[str, str]] = {}  # field -> why it has no meaning in this model

    embedding_size: int = Field(
        32, ge=8, le=512, description="width of every embedding and state, d"
    )
    dropout: float = Field(0.3, ge=0.0, le=0.9, description="dropout rate")
    loss: NextItemLoss = Field(
        "bce",
        description="of the item to predict: bce, against one sampled negative; ce, softmax over all items; "
        "sampled_softmax, over the item and num_negatives that are drawn for all steps of a batch together",
    )
    num_negatives: int = Field(
        256,
        ge=1,
        le=100_000,
        description="items drawn uniformly for each batch, negatives of all its steps",
        json_schema_extra=only_when(loss=("sampled_softmax",)),
    )
    auxiliary_weight: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="weight in the loss of a target without a target behavior; others have 1",
    )
    item_init: Literal["random", "cooccurrence", "ials"] = Field(
        "random",
        description="start of the item table: drawn; factors of which items the same users met; or the item vectors of "
        "iALS, turned so that a mean of them is about a user's",
    )
    item_std: float = Field(
        0.06,
        gt=0.0,
        le=10.0,
        description="standard deviation of the numbers in these factors",
        json_schema_extra=only_when(item_init=("cooccurrence", "ials")),
    )
    block_init: Literal["random", "identity"] = Field(
        "random",
        description="start of the blocks: drawn, or so that a state is about the mean of the history",
    )

    @model_validator(mode="after")
    def _has_no_refused(self) -> Self:
        for name, reason in self.refused.items():
            value = getattr(self, name)
            default = type(self).model_fields[name].default
            if value != default:
                raise ValueError(f"{name} must be {default}: {reason}, got {value!r}")
        return self


class AttentionConfig(NeuralConfig):
    """The fields of models that split their width into attention heads, and the rule that heads divide the width."""

    layer_norm_eps: float = Field(1e-6, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")
    num_blocks: int = Field(2, ge=1, le=8, description="stacked blocks")
    num_heads: int = Field(
        2, ge=1, le=16, description="attention heads, h; must divide embedding_size"
    )

    @model_validator(mode="after")
    def _heads_divide_size(self) -> Self:
        if self.embedding_size % self.num_heads:
            raise ValueError(
                "embedding_size must be divisible by num_heads, "
                f"got {self.embedding_size} and {self.num_heads}"
            )
        return self


class BehaviorTypeConfig(NeuralConfig):
    """The field of models that know one behavior type for each interaction."""

    reduction: Reduction = Field(
        "rarest",
        description="which behavior stands for a set: the rarest, or the most_frequent in train rows",
    )


class SetAugmentationConfig(NeuralConfig):
    """The fields of models that read behavior sets and contrast views of them."""

    read_sets: bool = Field(
        True, description="read the sets of past steps; if not, each of them counts as empty"
    )
    augmentation: Augmentation = Field(
        "mask",
        description="operator that makes the views; none leaves them to dropout",
        json_schema_extra=only_when(read_sets=(True,)),
    )
    rho: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="share of a user's real steps that an operator changes",
        json_schema_extra=only_when(augmentation=("add", "mask", "flip"), read_sets=(True,)),
    )
    mask_exponent: float = Field(
        0.5,
        gt=0.0,
        le=1.0,
        description="smoothing of behavior frequencies in masking, c (BLADE, Eq. 13)",
        json_schema_extra=only_when(augmentation=("mask",), read_sets=(True,)),
    )

    @property
    def operator(self) -> Augmentation:
        """The operator that makes the views; none where sets are not read, for then it changes nothing."""
        return self.augmentation if self.read_sets else "none"
