"""The one way from a name and settings to a model."""

from collections.abc import Mapping, Sequence

from blade_tune.catalog import Catalog
from blade_tune.config import parse
from blade_tune.models import MODELS
from blade_tune.models.base import RecommenderModel
from blade_tune.parameter import Value
from blade_tune.registry import load

MemberModel = tuple[str, Mapping[str, Value]]  # a model's name and settings


def model_class(name: str) -> type[RecommenderModel]:
    """Import the class of a model.

    Raises:
        ConfigError: no model has this name.
    """
    return load(MODELS, "model", name)


def build_model(
    name: str,
    settings: Mapping[str, Value],
    catalog: Catalog,
    place: str,
    members: Sequence[MemberModel] = (),
) -> RecommenderModel:
    """Build a model on the CPU, neither trained nor fitted; it draws from torch's default generator.

    Args:
        name: a name in MODELS.
        settings: values of its Config by field; fields left out have their defaults.
        catalog: what is known of the data set.
        place: where the settings stood, the first words of an error.
        members: name and settings of each model that a combination is made of.

    Raises:
        ConfigError: there is no such model, or the settings break a rule of its Config.
        TypeError: the model lacks a declaration (see RecommenderModel).
    """
    model_type = model_class(name)
    config = parse(model_type.Config, settings, f"{place}: model")
    if members:
        built = []
        for member, own in members:
            built.append(build_model(member, own, catalog, f"{place}: member {member}"))
        model = model_type(config, catalog, built)  # type: ignore[call-arg]  # a Combination takes them
    else:
        model = model_type(config, catalog)
    model.check_declarations()
    return model
