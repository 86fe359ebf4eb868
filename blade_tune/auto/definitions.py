"""The searches of an automatic choice: those of a comparison, for data of any size."""

from collections.abc import Sequence

from blade_tune.selection.compare import Budget, define
from blade_tune.spec.definition import StudyDefinition, defaults_first

# The shared spaces were measured on data of 150,000 rows. Where rows are fewer, or their law is clear, a higher rate
# and smaller batches learn it in a tenth of the epochs.
LEARNING_RATE = {"float": [1e-4, 5e-3], "log": True}
QUICK = {"learning_rate": 3e-3, "batch_size": 64}


def families(study: str, models: Sequence[str], seeds: int) -> list[StudyDefinition]:
    """Return the search of each model, which tries its defaults first, and beside them a quick learner.

    Args:
        study: name or path of the study file.
        models: names of the models.
        seeds: fresh seeds of a confirmed winner.

    Raises:
        ConfigError: a model is unknown or named twice, or there are fewer than two.
    """
    return [_for_any_size(each) for each in define(study, models, Budget(1, 1, seeds), kind="auto")]


def _for_any_size(definition: StudyDefinition) -> StudyDefinition:
    """Return the search of a model that trains in epochs with a wider range of rates, and a quick learner tried too."""
    if definition.is_fitted:
        return definition
    content = definition.to_mapping()
    default = defaults_first(definition)
    train = content["space"].get("train", {})
    if QUICK.keys() - default.get("train", {}).keys():
        return definition  # the study file fixes one of them
    content["space"]["train"] = {**train, "learning_rate": LEARNING_RATE}
    quick = {**default, "tag": "quick", "train": {**default["train"], **QUICK}}
    content["enqueue"] = [default, quick]
    return StudyDefinition.from_mapping(definition.name, content, definition.name)
