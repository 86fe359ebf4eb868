"""Settings of a data set that every source needs, and how the `data` section of a study is read.

A source with settings of its own subclasses `DataConfig` and names the subclass as its `Config`.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from blade_tune.config import Settings, parse
from blade_tune.data.auxiliary import as_written, auxiliaries
from blade_tune.data.sources import SOURCES
from blade_tune.errors import ConfigError
from blade_tune.registry import load


class DataConfig(Settings):
    """Name, source and behaviors of a data set."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][\w.-]*$", description="name of the data set, and of its folder"
    )
    source: str = Field(description="how it is read, a name in SOURCES")
    behaviors: tuple[str, ...] = Field(
        min_length=1, description="names of the behaviors, in column order"
    )
    auxiliary: str | tuple[str, ...] | None = Field(
        description="the behavior that is no target (click, read), a list of several, or null for none"
    )
    long_tail: tuple[str, ...] = Field(
        (), description="the rare behaviors by which head and tail users are told apart"
    )

    @field_validator("auxiliary", mode="before")
    @classmethod
    def _in_one_form(cls, value: Any, info: ValidationInfo) -> Any:
        """Return several behaviors in the order of columns and one by itself, so that one meaning has one hash."""
        names = auxiliaries(value)
        if not all(isinstance(name, str) for name in names):
            raise ValueError("must be a behavior, a list of behaviors, or null")
        order = [*info.data.get("behaviors", ()), *names]
        return as_written(sorted(names, key=order.index))

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if len(set(self.behaviors)) < len(self.behaviors):
            raise ValueError(f"behaviors must differ, got {', '.join(self.behaviors)}")
        auxiliary = auxiliaries(self.auxiliary)
        for field, names in (("auxiliary", auxiliary), ("long_tail", self.long_tail)):
            for name in names:
                if name not in self.behaviors:
                    known = ", ".join(self.behaviors)
                    raise ValueError(f"{field} must be one of the behaviors {known}, got {name}")
        for name in auxiliary:
            if auxiliary.count(name) > 1:
                raise ValueError(f"auxiliary must name a behavior once, got {name} twice")
        if len(auxiliary) == len(self.behaviors):
            raise ValueError(
                f"auxiliary must leave a behavior that is a target, got all: {', '.join(auxiliary)}; null makes all "
                "targets"
            )
        return self

    @property
    def auxiliary_columns(self) -> tuple[int, ...]:
        """Columns of the auxiliary behaviors in a behavior set; empty where every behavior is a target."""
        return tuple(self.behaviors.index(name) for name in auxiliaries(self.auxiliary))


def data_config(raw: Mapping[str, Any], place: str) -> DataConfig:
    """Build the settings of a data set with the Config of the source it names.

    Args:
        raw: the `data` section of a study.
        place: where the section stands, the first words of an error.

    Raises:
        ConfigError: the source is unknown, or the section is invalid; the message has a line for each problem.
    """
    name = raw.get("source")
    if name is None:
        return parse(DataConfig, raw, place)  # fails, and says all that is missing
    try:
        settings: type[DataConfig] = load(SOURCES, "source", str(name)).Config
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    return parse(settings, raw, place)
