"""Mapping files: in YAML what the columns of a log mean, of one file or of several with columns of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator

from blade_tune.config import Settings, guess, parse, read_yaml
from blade_tune.data.raw.forms import LogPart
from blade_tune.data.raw.settings import DateOrder, LogFormat, Recipe
from blade_tune.errors import ConfigError

SUFFIXES = (".yaml", ".yml")
EXAMPLE = "{view: page_view, buy: [buy, purchase]}"


def is_mapping(source: Path) -> bool:
    """Return whether a source is a mapping file by its name."""
    return source.suffix.lower() in SUFFIXES


class FileMapping(Settings):
    """What a mapping file says of one file of the log, or of files whose columns are called alike."""

    source: str = Field(
        min_length=1, description="a file, an archive, a folder or a pattern, from the mapping file"
    )
    file: str | None = Field(
        None, description="name of the only file that is meant in an archive or a folder"
    )
    user: str = Field(min_length=1, description="column of the user's id")
    item: str = Field(min_length=1, description="column of the item's id")
    time: str | None = Field(None, description="column of the time")
    type: str | None = Field(None, description="column that names an event's behavior")
    session: str | None = Field(None, description="column whose rows of one user and item merge")
    behaviors: Mapping[str, tuple[str, ...]] = Field(
        description="behavior -> the values of `type`, or the columns, that stand for it; * for every row"
    )
    thresholds: Mapping[str, float] = Field(
        {}, description="columns of numbers, which count from so much on"
    )
    seen: tuple[str, ...] = Field(
        (), description="the values of `type`, or the columns, by which a user only knows an item"
    )
    header: tuple[str, ...] = Field((), description="names of all columns, without a header")
    encoding: str | None = Field(None, description="encoding of a file of text")
    rows: str | None = Field(
        None, description="key of a list of objects in JSON, each of them a row"
    )
    quotes: bool = Field(True, description="whether quotes around a value are not part of it")

    @field_validator("behaviors", mode="before")
    @classmethod
    def _behaviors(cls, value: Any) -> Any:
        if isinstance(value, list):
            value = {name: name for name in value if isinstance(name, str)} or None
        if not isinstance(value, dict) or not value:
            raise ValueError(f"must be a mapping such as {EXAMPLE}, or a list of names")
        for name in value:
            if not isinstance(name, str) or not name:
                raise ValueError(f"must have names that are texts, such as {EXAMPLE}")
        return {name: _texts(entry) for name, entry in value.items()}

    @field_validator("seen", "header", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return _texts(value)


def _texts(value: Any) -> tuple[str, ...]:
    """Return a text or a number, or a list of them, as texts."""
    values = value if isinstance(value, list | tuple) else [value]
    for entry in values:
        if isinstance(entry, bool) or not isinstance(entry, str | int | float) or entry == "":
            raise ValueError(
                "must be texts or numbers; put quotes around what YAML reads as something else"
            )
    return tuple(map(str, values))


class LogMapping(Settings):
    """Content of a mapping file; what stands beside `files` of a file's columns is of every file that says no other."""

    name: str | None = Field(None, description="name of the data set")
    license: str | None = Field(None, description="license of the data")
    auxiliary: tuple[str, ...] = Field(
        (), description="the behavior that is no target; null if all are"
    )
    recipe: Recipe = Field(Recipe(), description="which items and users stay")
    keep_repeats: bool = Field(False, description="whether repeats at a later time stay")
    date_order: DateOrder | None = Field(None, description="what comes first in dates")
    files: tuple[FileMapping, ...] = Field(min_length=1, description="the files, in their order")

    @field_validator("auxiliary", mode="before")
    @classmethod
    def _auxiliary(cls, value: Any) -> Any:
        return () if value in (None, "") else _texts(value)

    @property
    def auxiliary_flag(self) -> str | None:
        """What --auxiliary would say; None if the file says nothing of it."""
        return ",".join(self.auxiliary) if "auxiliary" in self.model_fields_set else None

    @property
    def behaviors(self) -> tuple[str, ...]:
        """The behaviors of all files, in the order in which they are named first."""
        return tuple(dict.fromkeys(name for file in self.files for name in file.behaviors))


@dataclass(frozen=True)
class MappingFile:
    """A mapping file that was read."""

    path: Path
    log: LogMapping

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a mapping file.

        Raises:
            ConfigError: the file cannot be read, or breaks a rule; the message has a line for each broken one.
        """
        data = read_yaml(path)
        of_file, of_log = FileMapping.model_fields, LogMapping.model_fields
        for key in data:
            if key not in of_file and key not in of_log:
                raise ConfigError(
                    f"{path}: unknown key {key}. {guess(str(key), [*of_file, *of_log])}"
                )
        shared = {key: value for key, value in data.items() if key in of_file}
        entries = data.get("files", [{}])
        if not _is_list_of_mappings(entries):
            raise ConfigError(
                f"{path}: files must be a list with an entry a file, each with its source, user, item and behaviors."
            )
        if "files" in data and (twice := {"source", "file"} & shared.keys()):
            raise ConfigError(
                f"{path}: {min(twice)} must stand in the entries of files, and stands beside them."
            )
        files = [
            parse(FileMapping, {**shared, **entry}, _place(path, entries, number))
            for number, entry in enumerate(entries)
        ]
        own = {key: value for key, value in data.items() if key in of_log}
        mapping = cls(path, parse(LogMapping, {**own, "files": files}, str(path)))
        mapping.parts()
        return mapping

    def parts(self, like: LogFormat | None = None) -> tuple[LogPart, ...]:
        """Return the parts of the log.

        Args:
            like: the format of a log of which this is more; it has the behaviors, and all that is not about columns.

        Raises:
            ConfigError: columns do not go together, or not with that log.
        """
        log = self.log
        names = log.behaviors if like is None else like.behaviors
        shared: dict[str, Any] = {"keep_repeats": log.keep_repeats, "date_order": log.date_order}
        if like is not None:
            shared = {
                name: getattr(like, name) for name in ("keep_repeats", "integer_ids", "merges")
            }
            shared["date_order"] = log.date_order or like.date_order
        first_time = like.time if like else log.files[0].time
        parts = []
        for number, file in enumerate(log.files):
            place = _place(self.path, log.files, number)
            for name in file.behaviors:
                if name not in names:
                    raise ConfigError(f"{place}: unknown behavior {name}. {guess(name, names)}")
            if (file.time is None) != (first_time is None):
                first = "the log" if like else "the first file"
                has = "has times" if first_time else "has no times"
                raise ConfigError(
                    f"{place}: time must be as in all files of a log, and {first} {has}, got {file.time or 'none'}."
                )
            columns = ["|".join(file.behaviors.get(name, ())) for name in names]
            own = file.model_dump(exclude={"source", "file", "behaviors"})
            form = parse(
                LogFormat, {**own, **shared, "behaviors": names, "columns": columns}, place
            )
            parts.append(
                LogPart(self.path.parent / file.source, form, (file.file,) if file.file else ())
            )
        return tuple(parts)

    def require_as(self, facts: Mapping[str, Any], folder: Path) -> None:
        """Refuse what is said of the log otherwise than it was prepared.

        Args:
            facts: what `data prepare` recorded of the log.
            folder: where it did so, for the message.

        Raises:
            ConfigError: a setting differs.
        """
        auxiliary = facts["auxiliary"] or ()
        before = {
            "auxiliary": (auxiliary,) if isinstance(auxiliary, str) else tuple(auxiliary),
            "keep_repeats": facts["log"].get("keep_repeats", False),
            "license": facts["license"],
            "recipe": Recipe.model_validate(facts["recipe"]),
            "date_order": facts["log"].get("date_order") or self.log.date_order,
        }
        said = {name: getattr(self.log, name) for name in self.log.model_fields_set & before.keys()}
        if "recipe" in said:
            said["recipe"] = before["recipe"].model_copy(
                update=said["recipe"].model_dump(exclude_unset=True)
            )
        for name, value in said.items():
            if value != before[name]:
                raise ConfigError(
                    f"{self.path}: {name} must be as {folder} was prepared ({_shown(before[name])}), got "
                    f"{_shown(value)}; leave it out, for newer rows are read and split as the log."
                )


def _is_list_of_mappings(entries: Any) -> bool:
    return (
        isinstance(entries, list)
        and bool(entries)
        and all(isinstance(entry, dict) for entry in entries)
    )


def _place(path: Path, entries: Sequence[Any], number: int) -> str:
    """Return how errors call an entry of `files`: by its number from 1, if there are several."""
    return str(path) if len(entries) == 1 else f"{path}: files, entry {number + 1}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, Recipe):
        return ", ".join(f"{name} {number}" for name, number in value.model_dump().items())
    return str(value)
