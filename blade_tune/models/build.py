"""A model from its name and its settings."""

from collections.abc import Mapping

from blade_tune.batch import Catalog
from blade_tune.config import parse
from blade_tune.models import MODELS
from blade_tune.models.base import Recommender
from blade_tune.parameter import Value
from blade_tune.registry import load


def model_class(name: str) -> type[Recommender]:
    """The class behind a name.

    Raises:
        ConfigError: there is none.
    """
    return load(MODELS, "model", name)


def build_model(name: str, settings: Mapping[str, Value], catalog: Catalog, place: str) -> Recommender:
    """A model on the CPU, neither trained nor fitted; what it draws it draws from torch's default generator.

    Args:
        name: of the model.
        settings: of its Config, by field.
        catalog: of the data set.
        place: where the settings stood, the first words of an error.

    Raises:
        ConfigError: there is no such model, or the settings break a rule of its Config.
    """
    found = model_class(name)
    return found(parse(found.Config, settings, f"{place}: model"), catalog)
