"""A model from its name and its settings."""

from collections.abc import Mapping, Sequence

from blade_tune.batch import Catalog
from blade_tune.config import parse
from blade_tune.models import MODELS
from blade_tune.models.base import Recommender
from blade_tune.parameter import Value
from blade_tune.registry import load

MemberModel = tuple[str, Mapping[str, Value]]  # a model's name and settings


def model_class(name: str) -> type[Recommender]:
    """The class behind a name.

    Raises:
        ConfigError: there is none.
    """
    return load(MODELS, "model", name)


def build_model(
    name: str, settings: Mapping[str, Value], catalog: Catalog, place: str, members: Sequence[MemberModel] = ()
) -> Recommender:
    """A model on the CPU, neither trained nor fitted; what it draws it draws from torch's default generator.

    Args:
        name: of the model.
        settings: of its Config, by field.
        catalog: of the data set.
        place: where the settings stood, the first words of an error.
        members: name and settings of each model that a combination is made of.

    Raises:
        ConfigError: there is no such model, or the settings break a rule of its Config.
    """
    found = model_class(name)
    config = parse(found.Config, settings, f"{place}: model")
    if not members:
        return found(config, catalog)
    built = [build_model(member, own, catalog, f"{place}: member {member}") for member, own in members]
    return found(config, catalog, built)  # type: ignore[call-arg]  # of a Combination
