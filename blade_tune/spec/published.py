"""The published settings of models, declared once in `published.yaml`: for studies to try first."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from blade_tune.config import Settings, parse, read_yaml
from blade_tune.parameter import Value

TAG = "published"  # of the trial that is trained with them
# The training settings that a study has for all its trials: how long they train, and how they are evaluated.
LENGTH = ("max_epochs", "eval_every", "patience", "early_stop")
# The same under the recipe `published`
OF_STUDIES = (*LENGTH, "schedule")


class PublishedSetting(Settings):
    """The settings that a model was published with on one data set."""

    model: dict[str, Value]
    metadata: dict[str, Any] = Field({})  # kept with the trial, used for nothing


class PublishedModel(Settings):
    """An entry of `published.yaml`: what a model was published with."""

    source: str  # where that is said
    train: dict[str, Value]
    settings: dict[str, PublishedSetting]  # by the name of a data set; `any` for others


@cache
def published_models() -> Mapping[str, PublishedModel]:
    """Read the settings of all models from the file beside this module."""
    path = Path(__file__).with_suffix(".yaml")
    return {
        model: parse(PublishedModel, entry, f"{path.name}: {model}")
        for model, entry in read_yaml(path).items()
    }


def published_entries(model: str, data: str) -> list[dict[str, Any]]:
    """Return entries for `enqueue` with the published settings of a model; none where it has none for the data.

    Args:
        model: the name of the model.
        data: the name of the data set.
    """
    entry, found = published_models().get(model), _setting(model, data)
    if entry is None or found is None:
        return []
    train = {name: value for name, value in entry.train.items() if name not in LENGTH}
    metadata = {**found.metadata, "source": entry.source}
    whole = {"model": found.model, "train": train, "whole": True}
    return [{"tag": TAG, "metadata": metadata, **whole}]


def published_length(model: str, data: str) -> dict[str, Value]:
    """Return the published training settings of a model that all trials of a study share; none where it has none."""
    entry = published_models().get(model)
    train = entry.train if entry and _setting(model, data) else {}
    return {name: value for name, value in train.items() if name in OF_STUDIES}


def _setting(model: str, data: str) -> PublishedSetting | None:
    """Return what a model was published with on a data set, or on any; None where nothing is said."""
    entry = published_models().get(model)
    return (entry.settings.get(data) or entry.settings.get("any")) if entry else None


def with_published(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a study file with the published settings in place of `enqueue: published`."""
    if content.get("enqueue") != TAG:
        return content
    data = content.get("data")
    name = data.get("name") if isinstance(data, Mapping) else None
    return {**content, "enqueue": published_entries(str(content.get("model")), str(name))}
