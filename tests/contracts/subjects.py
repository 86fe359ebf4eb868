"""What contracts of models are tried on, and what there is of each kind."""

from typing import Any, get_args

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from blade_tune.models import MODELS
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.build import model_class
from blade_tune.models.settings.base import ModelConfig
from tests.builders import make_batch, make_catalog

CATALOG = make_catalog()
BATCH = make_batch(CATALOG)
CONFIGS: dict[str, type[ModelConfig]] = {name: model_class(name).Config for name in MODELS}
FIELDS = [(name, field) for name, config in CONFIGS.items() for field in config.model_fields]
NEURAL = [name for name in MODELS if issubclass(model_class(name), NeuralRecommender)]
FITTED = [name for name in MODELS if name not in NEURAL]


def having(*fields: str) -> list[str]:
    """The neural models whose Config has all these fields."""
    return [name for name in NEURAL if set(fields) <= set(CONFIGS[name].model_fields)]


def other_values(field: FieldInfo) -> list[Any]:
    """What a field may be instead of its default: the other choices, or the ends of its range."""
    if field.annotation is bool:
        values = [True, False]
    elif get_args(field.annotation):
        values = list(get_args(field.annotation))
    else:
        ends = (
            getattr(bound, "ge", getattr(bound, "le", None))
            for bound in field.metadata
            if isinstance(bound, Ge | Le)
        )
        values = [type(field.default)(end) for end in ends]
    return [value for value in values if value != field.default]


def conditions(name: str, field: str) -> dict[str, list[Any]]:
    return (CONFIGS[name].model_fields[field].json_schema_extra or {}).get("only_when", {})
