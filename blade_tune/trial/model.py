"""The model of one configuration of a study."""

from collections.abc import Mapping

from blade_tune.catalog import Catalog
from blade_tune.models.base import RecommenderModel
from blade_tune.models.build import build_model
from blade_tune.parameter import Value
from blade_tune.space import nest
from blade_tune.spec.definition import StudyDefinition


def build_study_model(
    definition: StudyDefinition, values: Mapping[str, Value], catalog: Catalog, place: str
) -> RecommenderModel:
    """Build the model of a configuration, neither trained nor fitted; members of a combination are without weights too.

    Args:
        definition: the study.
        values: the configuration, by full parameter names.
        catalog: what is known of the data set.
        place: where the values stood, the first words of an error.

    Raises:
        ConfigError: the values break a rule of the model's Config.
    """
    settings = nest(values).get("model", {})
    return build_model(definition.model, settings, catalog, place, definition.member_models)
