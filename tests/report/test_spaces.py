"""Search spaces as plain rows."""

from blade_tune.models.settings.blade import BladeConfig
from blade_tune.report.spaces import space_rows
from blade_tune.space import Space
from blade_tune.training.config import TrainConfig

SPACE = Space.from_mapping(
    {
        "model": {
            "embedding_size": 16,
            "augmentation": {"choice": ["add", "mask"]},
            "mask_exponent": {"choice": [0.5, 1.0], "when": {"augmentation": ["mask"]}},
        },
        "train": {"learning_rate": {"float": [1e-3, 1e-2], "log": True}},
    },
    "test",
)
CONFIGS = {"model": BladeConfig, "train": TrainConfig}


def test_every_setting_is_a_row():
    """Each field of model and training is one row with its description, whether it is searched or not."""
    rows = space_rows(SPACE, CONFIGS)
    fields = [
        f"{group}.{field}" for group, config in CONFIGS.items() for field in config.model_fields
    ]
    assert sorted(row["name"] for row in rows) == sorted(fields)
    assert all(row["what"] for row in rows)


def test_what_is_searched_comes_first():
    """Free settings stand before fixed ones, and those before what is left at its default."""
    kinds = [row["kind"] for row in space_rows(SPACE, CONFIGS)]
    assert [kind for kind in kinds if kind != "default"] == ["free", "free", "free", "fixed"]
    assert set(kinds[4:]) == {"default"}


def test_a_value_is_what_a_trial_would_get():
    """A range is shown with its scale and its condition, a fixed value and a default as they are."""
    values = {row["name"]: row["value"] for row in space_rows(SPACE, CONFIGS)}
    assert values["train.learning_rate"] == "[0.001, 0.01] log"
    assert values["model.mask_exponent"] == "{0.5, 1.0} when model.augmentation in ['mask']"
    assert values["model.embedding_size"] == "16"
    assert values["train.batch_size"] == str(TrainConfig().batch_size)
